import * as fc from 'fast-check';
import { servicePolicySchema } from '@switchyard/protocol';
import type { Evidence, Instance, ServicePolicy } from '@switchyard/protocol';
import { activateInstance, activeOf, bestStandby, decideActivation, vacateService } from './activation.ts';
import type { GovernedService } from './activation.ts';
import { inputOf, instanceOf, memoryCatalog } from './catalog-fixture.ts';
import type { Decision } from './commit.ts';
import { eligibilityOf } from './eligibility.ts';
import {
  evictInstance,
  patchInstance,
  registerInstance,
  registerInstanceUnder,
  removeInstance,
  reviveInstance,
  rightRole,
  suspectInstance,
} from './instance-transitions.ts';
import { presentService } from './presentation.ts';
import { activationOf, policyAlone } from './roles.ts';
import { putService } from './setting-transitions.ts';
import type { Versioned } from './setting-transitions.ts';
import { createCatalogView, emptySnapshot } from './view.ts';

const evidence: Evidence = { because: 'probe-failed', detail: 'connect ECONNREFUSED' };
const policy = (mode: ServicePolicy['mode']): ServicePolicy => servicePolicySchema.parse({ mode });

/** A catalog with one service, and a view that follows its events. */
function scene(mode: ServicePolicy['mode'] = 'active-standby') {
  const catalog = memoryCatalog();
  const view = createCatalogView({ ...emptySnapshot, epoch: 1 });
  const settings = (): Versioned<ServicePolicy> | undefined => catalog.services.get('shop');
  const get = (id: string): Instance | undefined => catalog.instances.get(`shop/${id}`);
  const service = (): GovernedService => ({
    name: 'shop',
    settings: settings() as Versioned<ServicePolicy>,
    instances: [...catalog.instances.values()],
  });
  const carry = (decision: Decision | { ok: boolean; value?: Decision }): void => {
    const decided = 'ok' in decision ? decision.value : decision;
    if (decided?.type === 'commit') view.apply(catalog.commit(decided.commit));
  };
  const known = (id: string, change: (instance: Instance) => Decision | { ok: boolean; value?: Decision }): void => {
    const found = get(id);
    if (found) carry(change(found));
  };
  const scenery = {
    catalog,
    view,
    get,
    service,
    carry,
    setMode: (next: ServicePolicy['mode']) => carry(putService(settings(), 'shop', policy(next))),
    register: (id: string, nowMs = 1_000, more: object = {}) =>
      carry(registerInstanceUnder(get(id), { service: 'shop', id }, inputOf(more), { nowMs, settings: settings() })),
    evict: (id: string, nowMs = 2_000) => known(id, (instance) => evictInstance(instance, evidence, nowMs)),
    suspect: (id: string, by: 'silence' | 'check' | 'doubt', nowMs = 2_000) =>
      known(id, (instance) => suspectInstance(instance, evidence, nowMs, by)),
    revive: (id: string, nowMs = 3_000) => known(id, (instance) => reviveInstance(instance, evidence, nowMs)),
    intend: (id: string, intent: 'in-service' | 'draining' | 'maintenance') =>
      known(id, (instance) => patchInstance(instance, { service: 'shop', id }, { intent })),
    remove: (id: string) =>
      known(id, (instance) => removeInstance(instance, instance, { type: 'instance.deregistered', reason: 'asked' })),
    right: () => {
      for (const { id } of catalog.instances.values()) known(id, (instance) => rightRole(instance, settings()));
    },
    /** One look of the leader; says what it decided. */
    look(nowMs = 5_000): string {
      const now = service();
      const verdict = decideActivation(now, nowMs);
      if (verdict.type === 'activate') {
        view.apply(catalog.commit(activateInstance(now, verdict.chosen, { reason: verdict.reason, nowMs })));
        return `${verdict.chosen.id}: ${verdict.reason}`;
      }
      if (verdict.type === 'keep') return `keep ${verdict.active.id}`;
      if (verdict.type === 'vacate') {
        const commit = vacateService(now, { reason: verdict.reason, nowMs });
        if (commit) view.apply(catalog.commit(commit));
      }
      return `${verdict.type}: ${verdict.reason}`;
    },
    roles: () =>
      Object.fromEntries(
        [...catalog.instances.values()].map(({ id, role, fencingToken }) => [id, [role, fencingToken]]),
      ),
  };
  scenery.setMode(mode);
  return scenery;
}

describe('the first activation', () => {
  it('takes one instance and leaves the others on standby', () => {
    const shop = scene();
    shop.register('b');
    shop.register('a');

    expect(shop.roles()).toEqual({ a: ['standby', undefined], b: ['standby', undefined] });
    expect(shop.look()).toBe('a: the first one of the service');
    expect(shop.roles()).toEqual({ a: ['active', 1], b: ['standby', undefined] });
    expect([...shop.view.instancesOf('shop')].map((each) => eligibilityOf(each).eligible)).toEqual([false, true]);
    expect(shop.look()).toBe('keep a');
  });

  it('prefers who is declared the active one, then weight, then age, then the id', () => {
    const one = (id: string, more: Partial<Instance> = {}) => instanceOf({ id, role: 'standby', ...more });

    expect(bestStandby([one('a'), one('b')])?.id).toBe('a');
    expect(bestStandby([one('a', { sinceMs: 2_000 }), one('b')])?.id).toBe('b');
    expect(bestStandby([one('a', { sinceMs: 2_000, weight: 2 }), one('b')])?.id).toBe('a');
    expect(bestStandby([one('a', { weight: 2 }), one('b', { declaredRole: 'active' })])?.id).toBe('b');
    expect(bestStandby([one('a', { weight: 0 }), one('b', { intent: 'maintenance' })])).toBeUndefined();
    expect(bestStandby([one('a', { liveness: 'suspect' }), one('b', { liveness: 'dead' })])).toBeUndefined();
    expect(bestStandby([one('a', { dampedUntilMs: 9_000 }), one('b', { weight: 0.5 })])?.id).toBe('b');
    expect(bestStandby([one('a', { dampedUntilMs: 9_000 })])?.id).toBe('a');
  });

  it('waits a moment before it takes one that is declared a standby', () => {
    const shop = scene();
    shop.register('a', 5_000, { role: 'standby' });

    expect(shop.look(5_100)).toBe('nobody: a waits a moment for one that is not declared a standby');
    shop.register('b', 5_200, { role: 'active' });
    expect(shop.look(5_300)).toBe('b: the first one of the service');
    expect(shop.get('a')).toMatchObject({ role: 'standby', declaredRole: 'standby' });
  });

  it('changes a service of members in one step, and back one by one', () => {
    const shop = scene('members');
    for (const id of ['a', 'b', 'c']) shop.register(id);
    shop.setMode('active-standby');
    expect(shop.roles()).toMatchObject({ a: ['member', undefined], c: ['member', undefined] });

    expect(shop.look()).toMatch(/^a: /);
    expect(shop.roles()).toEqual({ a: ['active', 1], b: ['standby', undefined], c: ['standby', undefined] });

    shop.setMode('members');
    shop.right();
    expect(shop.roles()).toEqual({ a: ['member', undefined], b: ['member', undefined], c: ['member', undefined] });
    shop.setMode('active-standby');
    expect(shop.look()).toBe('a: a came back as a member');
    expect(shop.get('a')?.fencingToken).toBe(2);
  });
});

describe('a take-over', () => {
  it.each([
    ['dead', 'evict', 'a was evicted: connect ECONNREFUSED'],
    ['gone', 'remove', 'a is no longer registered'],
    ['draining', 'draining', 'a: draining'],
    ['in maintenance', 'maintenance', 'a: in maintenance'],
    ['suspected after its probe failed', 'doubt', 'a is suspected, and its probe failed: connect ECONNREFUSED'],
    ['suspected by its check', 'check', 'a is suspected, and its probe failed: connect ECONNREFUSED'],
  ])('comes when the active one is %s', (_state, how, reason) => {
    const shop = scene();
    for (const id of ['a', 'b']) shop.register(id);
    shop.look();
    if (how === 'evict') shop.evict('a');
    else if (how === 'remove') shop.remove('a');
    else if (how === 'draining' || how === 'maintenance') shop.intend('a', how);
    else shop.suspect('a', how as 'check' | 'doubt');

    expect(shop.look()).toBe(`b: ${reason}`);
    expect(shop.get('b')).toMatchObject({ role: 'active', fencingToken: 2 });
    if (how !== 'remove') expect(shop.get('a')).toMatchObject({ role: 'standby' });
    expect(shop.get('a')?.fencingToken).toBeUndefined();
    expect(shop.look()).toBe('keep b');
  });

  it('does not come by silence alone, and not while nobody could take over', () => {
    const shop = scene();
    for (const id of ['a', 'b']) shop.register(id);
    shop.look();
    shop.suspect('a', 'silence');
    expect(shop.look()).toBe('keep a');
    shop.revive('a');
    shop.intend('b', 'maintenance');
    shop.intend('a', 'draining');
    expect(shop.look()).toBe('keep a');
    const active = shop.get('a') as Instance;
    // somebody has to take the requests until then
    expect(eligibilityOf(active)).toEqual({ eligible: false, reason: 'draining', lastResort: true });
  });

  it('leaves who comes back on standby, whatever he declares', () => {
    const shop = scene();
    shop.register('a', 1_000, { role: 'active' });
    shop.register('b');
    shop.look();
    shop.evict('a');
    shop.look();
    shop.register('a', 6_000, { role: 'active' });

    expect(shop.look(6_000)).toBe('keep b');
    expect(shop.roles()).toEqual({ a: ['standby', undefined], b: ['active', 2] });
    shop.register('a', 7_000, { role: 'active' });
    expect(shop.get('a')?.revision).toBe(shop.view.revision);
  });

  it('gives a higher token to one that was evicted and is the only one to come back', () => {
    const shop = scene();
    shop.register('a');
    shop.look();
    shop.evict('a');

    expect(shop.look()).toBe('vacate: a was evicted: connect ECONNREFUSED, and no other instance is registered');
    expect(shop.look()).toMatch(/^nobody: a was evicted/);
    expect(activationOf(shop.view.policyOf('shop'))).toMatchObject({ id: 'a', fencingToken: 1, vacant: {} });
    expect(activeOf(shop.service())).toBeUndefined();
    shop.register('a', 6_000);
    expect(shop.get('a')).toMatchObject({ role: 'standby' });
    expect(shop.look()).toMatch(/^a: a was evicted/);
    expect(shop.get('a')?.fencingToken).toBe(2);
    expect(activationOf(shop.view.policyOf('shop'))).not.toHaveProperty('vacant');
  });

  it('is not undone by a registration of the active one, which changes nothing when it is the same', () => {
    const shop = scene();
    shop.register('a');
    shop.look();
    const { revision } = shop.view;
    shop.register('a');
    expect(shop.view.revision).toBe(revision);
    shop.register('a', 1_000, { version: '2' });
    expect(shop.get('a')).toMatchObject({ role: 'active', fencingToken: 1, version: '2' });
  });
});

describe('the policy of an active/standby service', () => {
  it('can be changed without forgetting who was activated, and is shown without it', () => {
    const shop = scene();
    shop.register('a');
    shop.look();
    const stored = shop.catalog.services.get('shop');
    shop.carry(putService(stored, 'shop', { ...policy('active-standby'), reapAfter: '5s' }));

    expect(activationOf(shop.view.policyOf('shop'))).toMatchObject({ id: 'a', fencingToken: 1 });
    const shown = presentService(shop.view, 'shop').policy;
    expect(shown).toEqual({ ...policy('active-standby'), reapAfter: '5s' });
    expect(policyAlone(stored?.document as ServicePolicy)).toEqual(policy('active-standby'));
    expect(putService(shop.catalog.services.get('shop'), 'shop', shown)).toMatchObject({
      value: { type: 'unchanged' },
    });
  });

  it('stands in the way of a registration that was decided before it changed', () => {
    const shop = scene('members');
    const settings = shop.catalog.services.get('shop');
    const late = registerInstanceUnder(undefined, { service: 'shop', id: 'a' }, inputOf(), { nowMs: 1, settings });
    shop.setMode('active-standby');

    expect(() => shop.carry(late)).toThrow('service shop has revision 2, not 1');
    // an ordinary one asks nothing of it
    expect(registerInstance(undefined, { service: 'shop', id: 'b' }, inputOf(), 1)).toMatchObject({
      commit: { expect: [{ kind: 'instance' }] },
    });
  });
});

it('never lets two be active, never gives a token twice, and a view by events is the same as the documents', () => {
  const ids = fc.constantFrom('a', 'b', 'c');
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(fc.constant('register' as const), ids) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('look' as const), ids) },
    fc.tuple(
      fc.constantFrom('evict' as const, 'remove' as const, 'silence' as const, 'doubt' as const, 'revive' as const),
      ids,
    ),
    fc.tuple(
      fc.constantFrom(
        'in-service' as const,
        'draining' as const,
        'maintenance' as const,
        'mode' as const,
        'right' as const,
      ),
      ids,
    ),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const shop = scene();
      let [nowMs, highest] = [10_000, 0];
      for (const [what, id] of steps) {
        nowMs += 700;
        if (what === 'register') shop.register(id, nowMs, { role: id === 'a' ? 'active' : 'member' });
        else if (what === 'look') shop.look(nowMs);
        else if (what === 'evict') shop.evict(id, nowMs);
        else if (what === 'remove') shop.remove(id);
        else if (what === 'revive') shop.revive(id, nowMs);
        else if (what === 'silence' || what === 'doubt') shop.suspect(id, what, nowMs);
        else if (what === 'mode') {
          shop.setMode(shop.service().settings.document.mode === 'members' ? 'active-standby' : 'members');
        } else if (what === 'right') {
          // as the leader does it: only while one is active, or in a service of members
          const isActive = decideActivation(shop.service(), nowMs).type === 'keep';
          if (isActive || shop.service().settings.document.mode === 'members') shop.right();
        } else shop.intend(id, what);

        const tokens = [...shop.catalog.instances.values()].flatMap(({ fencingToken }) => fencingToken ?? []);
        expect(tokens.length).toBeLessThanOrEqual(1);
        const token = activationOf(shop.catalog.services.get('shop'))?.fencingToken ?? 0;
        expect(token).toBeGreaterThanOrEqual(highest);
        highest = token;
        expect(Math.max(0, ...tokens)).toBeLessThanOrEqual(token);
        expect(shop.view.snapshot()).toEqual({
          ...shop.catalog.snapshot(),
          instances: expect.arrayContaining(shop.catalog.snapshot().instances) as unknown,
        });
      }
      if (shop.service().settings.document.mode === 'members') return;
      shop.look(nowMs + 5_000);
      const fit = [...shop.catalog.instances.values()].some(
        ({ liveness, intent }) => liveness === 'alive' && intent === 'in-service',
      );
      if (fit) expect(activeOf(shop.service())).toBeDefined();
    }),
    { numRuns: 300 },
  );
});
