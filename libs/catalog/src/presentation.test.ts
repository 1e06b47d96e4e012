import {
  defaultServicePolicy,
  instanceViewSchema,
  routeViewSchema,
  servicePolicySchema,
  serviceViewSchema,
  trafficRouteSchema,
} from '@switchyard/protocol';
import { instanceOf } from './catalog-fixture.ts';
import { presentInstance, presentRoute, presentService } from './presentation.ts';
import { createCatalogView, emptySnapshot } from './view.ts';

describe('an instance for people', () => {
  it('keeps every key, whatever is set, and fits its schema', () => {
    const bare = presentInstance(instanceOf({ sinceMs: 0 }));
    const full = presentInstance(
      instanceOf({
        zone: 'west',
        version: '2',
        check: { type: 'http', path: '/livez' },
        meta: { a: '1' },
        ttlMs: 1_500,
      }),
    );

    expect(Object.keys(bare)).toEqual(Object.keys(full));
    expect(bare).toMatchObject({ zone: null, version: null, check: null, reason: null, eligible: true, ttl: '3s' });
    expect(bare.since).toBe('1970-01-01T00:00:00.000Z');
    expect(full).toMatchObject({ zone: 'west', version: '2', ttl: '1500ms' });
    for (const each of [bare, full]) expect(instanceViewSchema.parse(each)).toEqual(each);
  });

  it('says why it gets no traffic', () => {
    expect(presentInstance(instanceOf({ liveness: 'suspect', livenessReason: 'silent' }))).toMatchObject({
      eligible: false,
      reason: 'suspected: silent',
    });
  });
});

describe('a service for people', () => {
  const view = createCatalogView({
    ...emptySnapshot,
    revision: 9,
    instances: [
      instanceOf({ id: 'a', revision: 3 }),
      instanceOf({ id: 'b', revision: 7, liveness: 'suspect' }),
      instanceOf({ id: 'c', revision: 2, liveness: 'dead' }),
      instanceOf({ id: 'd', revision: 4, intent: 'draining' }),
      instanceOf({ service: 'other', id: 'x', revision: 9 }),
    ],
    services: { quiet: { document: servicePolicySchema.parse({ policy: 'random' }), revision: 5 } },
  });

  it('counts its instances, and has the revision of its latest change', () => {
    const shop = presentService(view, 'shop');

    expect(shop).toEqual({
      name: 'shop',
      policy: defaultServicePolicy,
      revision: 7,
      instances: { total: 4, eligible: 1, alive: 2, suspect: 1, dead: 1 },
    });
    expect(serviceViewSchema.parse(shop)).toEqual(shop);
  });

  it('is there when it only has a policy', () => {
    expect(presentService(view, 'quiet')).toMatchObject({
      policy: { policy: 'random' },
      revision: 5,
      instances: { total: 0, eligible: 0 },
    });
  });
});

describe('a route for people', () => {
  it('is its document, with name and revision', () => {
    const document = trafficRouteSchema.parse({ service: 'shop', pathPrefix: '/shop' });
    const shown = presentRoute('api', { document, revision: 6 });

    expect(shown).toEqual({ name: 'api', revision: 6, ...document });
    expect(routeViewSchema.parse(shown)).toEqual(shown);
  });
});
