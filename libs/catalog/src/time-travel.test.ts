import * as fc from 'fast-check';
import { servicePolicySchema, trafficRouteSchema } from '@switchyard/protocol';
import { inputOf, memoryCatalog } from './catalog-fixture.ts';
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
import { undoOf, walkBack } from './time-travel.ts';
import type { PastChange } from './time-travel.ts';
import type { CatalogSnapshot } from './view.ts';

const ids = ['a', 'b', 'c'] as const;
const step = fc.record({
  what: fc.constantFrom('register', 'patch', 'remove', 'suspect', 'revive', 'evict', 'service', 'route', 'unroute'),
  id: fc.constantFrom(...ids),
  weight: fc.integer({ min: 0, max: 5 }),
  zone: fc.option(fc.constantFrom('east', 'west')),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a step decides; undefined when it is not allowed now. */
function decisionOf(catalog: ReturnType<typeof memoryCatalog>, { what, id, weight, zone }: Step, nowMs: number) {
  const ref = { service: 'shop', id };
  const current = catalog.instances.get(`shop/${id}`);
  const evidence = { because: 'silence', detail: `at ${nowMs}` } as const;
  const value = (outcome: { ok: boolean; value?: Decision }): Decision | undefined =>
    outcome.ok ? outcome.value : undefined;
  switch (what) {
    case 'register':
      return registerInstance(current, ref, inputOf({ weight, ...(zone ? { zone } : {}) }), nowMs);
    case 'patch':
      return value(patchInstance(current, ref, { weight, intent: 'draining', reason: `r${nowMs}` }));
    case 'remove':
      return value(removeInstance(current, ref, { type: 'instance.deregistered', reason: 'x' }));
    case 'suspect':
      return current && suspectInstance(current, evidence, nowMs);
    case 'revive':
      return current && reviveInstance(current, evidence, nowMs);
    case 'evict':
      return current && evictInstance(current, evidence, nowMs);
    case 'service': {
      const policy = servicePolicySchema.parse({ maxUnhealthyPercent: weight, ...(zone ? { policy: 'random' } : {}) });
      return value(putService(catalog.services.get('shop'), 'shop', policy));
    }
    case 'route':
      return value(putRoute(catalog.routes.get(id), id, trafficRouteSchema.parse({ service: zone ?? 'shop' })));
    case 'unroute':
      return value(deleteRoute(catalog.routes.get(id), id));
  }
}

const sorted = (snapshot: CatalogSnapshot) => ({
  ...snapshot,
  instances: snapshot.instances.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
});

describe('a walk back through the changes of the catalog', () => {
  it('finds the catalog exactly as it was at every revision', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const catalog = memoryCatalog();
        const past: CatalogSnapshot[] = [catalog.snapshot()];
        const changes: PastChange[] = [];
        for (const [at, each] of steps.entries()) {
          const decision = decisionOf(catalog, each, 1_000 + at);
          if (decision?.type !== 'commit') continue;
          const event = catalog.commit(decision.commit);
          // as it comes out of the store
          const undo = JSON.parse(JSON.stringify(undoOf(decision.commit))) as PastChange['undo'];
          changes.push({ epoch: 1, revision: event.revision, timeMs: at, undo });
          past.push(catalog.snapshot());
        }
        const walk = walkBack(past.at(-1) as CatalogSnapshot);
        for (const change of changes.toReversed()) {
          expect(walk.back(change)).toBe(true);
          expect(sorted(walk.snapshot())).toEqual(sorted(past[change.revision - 1] as CatalogSnapshot));
        }
      }),
    );
  });

  it('stops at a change that does not say what was before', () => {
    const catalog = memoryCatalog();
    const walk = walkBack(catalog.snapshot());

    expect(walk.back({ epoch: 1, revision: 0, timeMs: 0, undo: undefined })).toBe(false);
    // nor is one left out, or taken from another epoch
    expect(walk.back({ epoch: 1, revision: 5, timeMs: 0, undo: [] })).toBe(false);
    expect(walk.back({ epoch: 2, revision: 0, timeMs: 0, undo: [] })).toBe(false);
    expect(walk.back({ epoch: 1, revision: 0, timeMs: 0, undo: [] })).toBe(true);
    const commit = { expect: [], writes: [{ kind: 'route', key: 'x', document: {} }], event: {} } as never;
    expect(undoOf(commit)).toBeUndefined();
  });
});
