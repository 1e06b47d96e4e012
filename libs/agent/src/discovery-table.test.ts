import { defaultServicePolicy } from '@switchyard/protocol';
import { viewed } from './discovery-news.ts';
import type { DiscoveredInstance } from './discovery-news.ts';
import { createDiscoveryTable } from './discovery-table.ts';
import type { DiscoveryTable } from './discovery-table.ts';

const instance = (id: string, more: object = {}): DiscoveredInstance =>
  viewed('shop', { id, url: `http://${id}`, weight: 1, liveness: 'alive', eligible: true, ...more });

/** A table of these instances at epoch 1, revision 10, and its clock. */
const tableOf = (ids: readonly string[], policy: object = {}) => {
  const clock = { ms: 0 };
  const table = createDiscoveryTable({ name: 'shop', nowMs: () => clock.ms, random: () => 0 });
  const instances = ids.map((id) => instance(id));
  table.load(
    { name: 'shop', policy: { ...defaultServicePolicy, policy: 'round-robin', ...policy }, instances },
    { epoch: 1, revision: 10 },
  );
  return { table, clock };
};
const picks = (table: DiscoveryTable, count = 6): Set<string | undefined> =>
  new Set(Array.from({ length: count }, () => table.pick()?.id));

describe('the table of a discovery client', () => {
  it('leaves out who refused a connection, for a second', () => {
    const { table, clock } = tableOf(['a', 'b', 'c']);
    table.failed('b', 'connect', 'it refused the connection');
    expect(picks(table)).toEqual(new Set(['a', 'c']));
    clock.ms = 999;
    expect(picks(table)).toEqual(new Set(['a', 'c']));
    clock.ms = 1_000;
    expect(picks(table)).toEqual(new Set(['a', 'b', 'c']));
  });

  it('leaves out half of a service at most, and never the last one', () => {
    const { table } = tableOf(['a', 'b', 'c', 'd']);
    for (const id of ['a', 'b', 'c', 'd']) table.failed(id, 'connect', 'it refused the connection');
    expect(picks(table)).toEqual(new Set(['c', 'd']));
    const { table: single } = tableOf(['a']);
    single.failed('a', 'connect', 'it refused the connection');
    expect(single.pick()?.id).toBe('a');
  });

  it('uses those that it left out when too few others are left', () => {
    const { table } = tableOf(['a', 'b']);
    table.failed('a', 'connect', 'it refused the connection');
    table.remove('b', { epoch: 1, revision: 11 });
    expect(table.pick()?.id).toBe('a');
  });

  it('leaves nobody out where the service does not want it', () => {
    const { table } = tableOf(['a', 'b'], { outlier: { ...defaultServicePolicy.outlier, enabled: false } });
    table.failed('a', 'connect', 'it refused the connection');
    expect(picks(table)).toEqual(new Set(['a', 'b']));
  });

  it('counts what is under way for the policy that asks for it', () => {
    const { table } = tableOf(['a', 'b'], { policy: 'least-request' });
    const over = [table.begin('a'), table.begin('a')];
    expect(picks(table)).toEqual(new Set(['b']));
    for (const end of over) end();
    over[0]?.();
    table.begin('b');
    expect(picks(table)).toEqual(new Set(['a']));
  });

  it('takes nothing from the past, and nothing from another epoch without its snapshot', () => {
    const { table } = tableOf(['a']);
    table.remove('a', { epoch: 1, revision: 10 });
    table.put([instance('b')], { epoch: 2, revision: 11 });
    expect(table.instances().map(({ id }) => id)).toEqual(['a']);
    const empty = { name: 'shop', policy: defaultServicePolicy, instances: [] };
    expect(table.load(empty, { epoch: 1, revision: 9 })).toBe(false);
    expect(table.pick()?.id).toBe('a');
    expect(table.load(empty, { epoch: 2, revision: 1 })).toBe(true);
    expect(table.pick()).toBeUndefined();
  });

  it('tells who waits that an instance is dead or gone, once', () => {
    const { table } = tableOf(['a', 'b']);
    const told: string[] = [];
    table.onGone('a', () => told.push('a'));
    table.onGone('b', () => told.push('b'));
    table.onGone('b', () => told.push('never'))();
    table.put([instance('a', { liveness: 'suspect', eligible: false })], { epoch: 1, revision: 11 });
    expect(told).toEqual([]);
    table.put([instance('a', { liveness: 'dead', eligible: false })], { epoch: 1, revision: 12 });
    table.remove('a', { epoch: 1, revision: 13 });
    table.remove('b', { epoch: 1, revision: 14 });
    expect(told).toEqual(['a', 'b']);
  });
});
