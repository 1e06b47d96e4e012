import * as fc from 'fast-check';
import { servicePolicySchema, trafficRouteSchema } from '@switchyard/protocol';
import type { Evidence, SwitchyardEvent } from '@switchyard/protocol';
import { commitOf, inputOf, instanceOf, memoryCatalog } from './catalog-fixture.ts';
import { announce } from './commit.ts';
import type { Decision } from './commit.ts';
import {
  evictInstance,
  patchInstance,
  registerInstance,
  removeInstance,
  reviveInstance,
  suspectInstance,
} from './instance-transitions.ts';
import { deleteRoute, putRoute, putService } from './setting-transitions.ts';
import { createCatalogView, emptySnapshot, memberOfInstance } from './view.ts';
import type { CatalogSnapshot, CatalogView } from './view.ts';

const evidence: Evidence = { because: 'silence', detail: 'silent' };
const register = (id: string, service = 'shop') => registerInstance(undefined, { service, id }, inputOf(), 1);
const decided = (result: { ok: boolean; value?: Decision }): Decision => {
  if (!result.ok || !result.value) throw new Error('it was refused');
  return result.value;
};

describe('a view', () => {
  it('holds what its snapshot held', () => {
    const document = trafficRouteSchema.parse({ service: 'shop' });
    const policy = { document: servicePolicySchema.parse({ policy: 'random' }), revision: 2 };
    const view = createCatalogView({
      epoch: 3,
      revision: 9,
      instances: [instanceOf({ id: 'a' }), instanceOf({ id: 'b' }), instanceOf({ service: 'api', id: 'a' })],
      services: { shop: policy, alone: policy },
      routes: { default: { document, revision: 1 } },
    });

    expect([view.epoch, view.revision, view.instanceCount]).toEqual([3, 9, 3]);
    expect(view.instance('shop', 'b')).toMatchObject({ id: 'b' });
    expect(view.member('api/a')).toMatchObject({ service: 'api' });
    expect([...view.instancesOf('shop')].map(memberOfInstance)).toEqual(['shop/a', 'shop/b']);
    expect([...view.all()]).toHaveLength(3);
    expect(view.serviceNames()).toEqual(['alone', 'api', 'shop']);
    expect(view.policyOf('shop')).toEqual(policy);
    expect(view.routes().get('default')).toEqual({ document, revision: 1 });
  });

  it('knows nothing about what is not there, even by the names of JavaScript', () => {
    const view = createCatalogView();

    for (const name of ['shop', 'constructor', '__proto__', 'toString']) {
      expect(view.instance(name, name)).toBeUndefined();
      expect(view.member(name)).toBeUndefined();
      expect(view.member(`${name}/${name}`)).toBeUndefined();
      expect(view.policyOf(name)).toBeUndefined();
      expect(view.routes().get(name)).toBeUndefined();
      expect([...view.instancesOf(name)]).toEqual([]);
    }
  });

  it('takes the next event, and says which part it changed', () => {
    const catalog = memoryCatalog();
    const view = createCatalogView(catalog.snapshot());
    const route = trafficRouteSchema.parse({ service: 'shop' });
    const changes = [
      commitOf(register('a')),
      commitOf(decided(putRoute(undefined, 'default', route))),
      announce({ type: 'backup.finished', subject: 'x', data: { label: 'x', group: 'main', ok: true, detail: '' } }),
    ].map((commit) => view.apply(catalog.commit(commit)));

    expect(changes).toEqual([
      { type: 'applied', change: { type: 'service', service: 'shop' } },
      { type: 'applied', change: { type: 'routes' } },
      { type: 'applied', change: { type: 'none' } },
    ]);
    expect(view.instance('shop', 'a')).toMatchObject({ revision: 1 });
    expect(view.revision).toBe(3);
  });

  it('takes an event once, and none after a gap or of another epoch', () => {
    const catalog = memoryCatalog(5);
    const [first, second, third] = ['a', 'b', 'c'].map((id) => catalog.commit(commitOf(register(id)))) as [
      SwitchyardEvent,
      SwitchyardEvent,
      SwitchyardEvent,
    ];
    const view = createCatalogView({ ...emptySnapshot, epoch: 5 });

    expect(view.apply(second)).toEqual({ type: 'gap' });
    expect(view.apply(first)).toMatchObject({ type: 'applied' });
    expect(view.apply(first)).toEqual({ type: 'old' });
    expect(view.apply(third)).toEqual({ type: 'gap' });
    expect(view.apply({ ...second, epoch: 6 })).toEqual({ type: 'gap' });
    expect(view.apply({ ...second, epoch: 4 })).toEqual({ type: 'gap' });
    expect([view.revision, view.instanceCount]).toEqual([1, 1]);
    expect(view.apply(second)).toMatchObject({ type: 'applied' });
  });

  it('forgets a service with its last instance, unless it has a policy', () => {
    const catalog = memoryCatalog();
    const view = createCatalogView(catalog.snapshot());
    view.apply(catalog.commit(commitOf(register('a'))));
    const why = { type: 'instance.deregistered', reason: '' } as const;
    const current = catalog.instances.get('shop/a');
    const removed = catalog.commit(commitOf(decided(removeInstance(current, { service: 'shop', id: 'a' }, why))));

    expect(view.apply(removed)).toMatchObject({ change: { service: 'shop' } });
    expect([view.instanceCount, view.serviceNames()]).toEqual([0, []]);
  });

  it('is after every history what a snapshot of the same moment is', () => {
    const names = ['a', 'b', 'c'];
    const step = fc.record({
      what: fc.constantFrom('register', 'patch', 'remove', 'suspect', 'revive', 'evict', 'policy', 'route', 'unroute'),
      service: fc.constantFrom('shop', 'api'),
      name: fc.constantFrom(...names),
      weight: fc.integer({ min: 0, max: 3 }),
    });
    const history = fc.array(step, { maxLength: 60 });
    fc.assert(
      fc.property(history, fc.nat({ max: 60 }), (steps, joinAt) => {
        const catalog = memoryCatalog();
        const fromStart = createCatalogView({ ...emptySnapshot, epoch: 1 });
        let joined: CatalogView | undefined;
        const decide = (
          { what, service, name, weight }: (typeof steps)[number],
          nowMs: number,
        ): Decision | undefined => {
          const ref = { service, id: name };
          const current = catalog.instances.get(`${service}/${name}`);
          if (what === 'register') return registerInstance(current, ref, inputOf({ weight }), nowMs);
          if (what === 'policy') {
            const policy = servicePolicySchema.parse({ maxUnhealthyPercent: weight });
            return decided(putService(catalog.services.get(service), service, policy));
          }
          const route = catalog.routes.get(name);
          if (what === 'route') {
            return decided(putRoute(route, name, trafficRouteSchema.parse({ split: [{ service, weight }] })));
          }
          if (what === 'unroute') return route && decided(deleteRoute(route, name));
          if (!current) return undefined;
          if (what === 'patch') return decided(patchInstance(current, ref, { weight, reason: 'x' }));
          if (what === 'remove') {
            return decided(removeInstance(current, ref, { type: 'instance.deregistered', reason: 'x' }));
          }
          return { suspect: suspectInstance, revive: reviveInstance, evict: evictInstance }[what](
            current,
            evidence,
            nowMs,
          );
        };
        for (const [at, each] of steps.entries()) {
          if (at === joinAt) joined = createCatalogView(catalog.snapshot());
          const decision = decide(each, at);
          if (decision?.type !== 'commit') continue;
          const event = catalog.commit(decision.commit);
          expect(fromStart.apply(event).type).toBe('applied');
          if (joined) expect(joined.apply(event).type).toBe('applied');
        }
        joined ??= createCatalogView(catalog.snapshot());
        for (const view of [fromStart, joined]) expectSame(view.snapshot(), catalog.snapshot());
        expect(fromStart.instanceCount).toBe(catalog.instances.size);
      }),
      { numRuns: 300 },
    );
  });
});

/** Equal but for the order of instances, which means nothing. */
function expectSame(seen: CatalogSnapshot, truth: CatalogSnapshot): void {
  const byMember = ({ instances, ...rest }: CatalogSnapshot) => ({
    ...rest,
    instances: Object.fromEntries(instances.map((instance) => [memberOfInstance(instance), instance])),
  });
  expect(byMember(seen)).toEqual(byMember(truth));
}
