import { servicePolicySchema, trafficRouteSchema } from '@switchyard/protocol';
import { commitOf } from './catalog-fixture.ts';
import { deleteRoute, putRoute, putService } from './setting-transitions.ts';

const policy = servicePolicySchema.parse({ policy: 'random' });
const route = trafficRouteSchema.parse({ service: 'shop', headers: { a: '1', b: '2' } });

describe('the policy of a service', () => {
  it('is written under its name, for the readers of that service', () => {
    const decision = putService(undefined, 'shop', policy);

    if (!decision.ok) throw new Error('nothing stands against it');
    expect(commitOf(decision.value)).toMatchObject({
      expect: [{ kind: 'service', key: 'shop', revision: 0 }],
      writes: [{ kind: 'service', key: 'shop', document: policy }],
      service: 'shop',
      event: { type: 'service.updated', subject: 'shop', data: { name: 'shop', policy } },
    });
  });

  it('put again changes nothing', () => {
    const current = { document: servicePolicySchema.parse({ policy: 'random' }), revision: 4 };

    expect(putService(current, 'shop', policy)).toEqual({ ok: true, value: { type: 'unchanged' } });
  });

  it('is refused when it was changed in the meantime', () => {
    const current = { document: policy, revision: 4 };

    expect(putService(current, 'shop', policy, 3)).toMatchObject({ error: { code: 'revision_mismatch' } });
    expect(putService(undefined, 'shop', policy, 3)).toMatchObject({ error: { code: 'revision_mismatch' } });
    expect(putService(undefined, 'shop', policy, 0)).toMatchObject({ ok: true });
    expect(putService(current, 'shop', servicePolicySchema.parse({}), 4)).toMatchObject({ ok: true });
  });

  it('that must exist is refused when it does not, and changed whatever its revision is', () => {
    const current = { document: policy, revision: 4 };

    expect(putService(undefined, 'shop', policy, 'existing')).toMatchObject({
      error: { code: 'revision_mismatch', detail: 'service shop does not exist' },
    });
    expect(putService(current, 'shop', servicePolicySchema.parse({}), 'existing')).toMatchObject({ ok: true });
  });
});

describe('a route', () => {
  it('put again changes nothing, in whatever order its headers stand', () => {
    const current = { document: route, revision: 2 };

    const again = putRoute(current, 'api', trafficRouteSchema.parse({ headers: { b: '2', a: '1' }, service: 'shop' }));

    expect(again).toEqual({ ok: true, value: { type: 'unchanged' } });
  });

  it('with another list of methods is another route', () => {
    const current = { document: trafficRouteSchema.parse({ service: 'shop', methods: ['GET', 'PUT'] }), revision: 2 };

    const other = putRoute(current, 'api', trafficRouteSchema.parse({ service: 'shop', methods: ['PUT', 'GET'] }));

    if (!other.ok) throw new Error('nothing stands against it');
    expect(commitOf(other.value).event.type).toBe('route.updated');
    expect(commitOf(other.value).expect).toEqual([{ kind: 'route', key: 'api', revision: 2 }]);
  });

  it('is removed as it was read, and not when it was changed since, or is unknown', () => {
    const current = { document: route, revision: 2 };

    const removed = deleteRoute(current, 'api', 2);
    if (!removed.ok) throw new Error('nothing stands against it');
    expect(commitOf(removed.value)).toMatchObject({
      expect: [{ kind: 'route', key: 'api', revision: 2 }],
      writes: [{ kind: 'route', key: 'api', document: null }],
      event: { type: 'route.deleted', subject: 'api', data: { name: 'api' } },
    });
    expect(deleteRoute(current, 'api', 1)).toMatchObject({ error: { code: 'revision_mismatch' } });
    expect(deleteRoute(undefined, 'api')).toMatchObject({ error: { code: 'not_found' } });
  });
});
