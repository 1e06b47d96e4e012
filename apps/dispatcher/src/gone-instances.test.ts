import { createMeters } from '@switchyard/proxy';
import type { Instance } from '@switchyard/protocol';
import { createCatalogView } from '@switchyard/catalog';
import { instanceOf, snapshotOf } from './catalog-fixture.ts';
import { goneBetween } from './gone-instances.ts';
import { tableOf } from './routing-table.ts';

const context = { meters: createMeters(), random: () => 0, nowMs: () => 0 };
const table = (instances: readonly Instance[]) =>
  tableOf({ view: createCatalogView(snapshotOf(instances)), source: 'redis', context });
const reasonOf = (before: Partial<Instance>, after: Partial<Instance> | undefined) =>
  goneBetween(table([instanceOf('a', before)]), table(after ? [instanceOf('a', after)] : []))[0]?.reason;

describe('an instance from one table to the next', () => {
  it.each<[string, Partial<Instance>, Partial<Instance> | undefined, string | undefined]>([
    ['stays', {}, {}, undefined],
    ['is evicted', {}, { liveness: 'dead', livenessReason: 'silent' }, 'it was evicted: silent'],
    ['is removed', {}, undefined, 'it was removed from the catalog'],
    ['is put into maintenance', {}, { intent: 'maintenance' }, 'it was put into maintenance'],
    ['drains', {}, { intent: 'draining' }, undefined],
    ['has drained and leaves', { intent: 'draining' }, undefined, undefined],
    ['dies while it drains', { intent: 'draining' }, { liveness: 'dead' }, 'it was evicted'],
    ['was dead and is reaped', { liveness: 'dead' }, undefined, undefined],
    ['is suspected', {}, { liveness: 'suspect' }, undefined],
  ])('that %s', (_what, before, after, expected) => {
    expect(reasonOf(before, after)).toBe(expected);
  });

  it('is found when its service alone changed, and all are compared otherwise', () => {
    const before = table([instanceOf('a'), instanceOf('x', { service: 'other' })]);
    const after = table([]);
    expect(goneBetween(before, after, 'shop').map(({ id }) => id)).toEqual(['a']);
    expect(new Set(goneBetween(before, after).map(({ id }) => id))).toEqual(new Set(['a', 'x']));
    expect(goneBetween(undefined, after)).toEqual([]);
  });
});
