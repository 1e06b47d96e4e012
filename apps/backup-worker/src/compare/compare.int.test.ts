import { startRedis, type TestRedis } from '@switchyard/testing';
import { createAsking } from '../scratch/asking.ts';
import { connectServer, type ServerConnection } from '../scratch/server-connection.ts';
import { compareData, type DifferingKeys } from './compare.ts';
import type { Asks } from './key-batches.ts';

const never = new AbortController().signal;
const fill =
  "for i = 1, 5000 do redis.call('SET', 'same:' .. i, i) redis.call('HSET', 'hash:' .. i, 'a', i, 'b', i) end " +
  "redis.call('PEXPIREAT', 'same:7', 4102444800000)";

describe('compareData', () => {
  let nodes: TestRedis[];
  let connections: ServerConnection[];
  let sides: { now: Asks; target: Asks };
  beforeEach(async () => {
    nodes = await Promise.all([startRedis(), startRedis()]);
    connections = await Promise.all(nodes.map(({ host, port }) => connectServer({ host, port }, { signal: never })));
    const [now, target] = connections.map((connection) => ({ ask: createAsking(connection) }));
    sides = { now: now as Asks, target: target as Asks };
    for (const node of nodes) await node.cli('EVAL', fill, 0);
  });
  afterEach(async () => {
    for (const connection of connections) connection.close();
    await Promise.all(nodes.map((node) => node.stop()));
  });

  it('finds no difference where there is none, however the same content came about', async () => {
    const [now, target] = nodes as [TestRedis, TestRedis];
    await now.cli('ZADD', 'set', 1, 'a', 2, 'b');
    await target.cli('ZADD', 'set', 2, 'b', 1, 'a', 3, 'gone');
    await target.cli('ZREM', 'set', 'gone');
    await now.cli('SADD', 'words', 'x', 'y');
    await target.cli('SADD', 'words', 'y', 'x');
    const fractions: number[] = [];
    const onFraction = (fraction: number): void => void fractions.push(fraction);
    expect(await compareData({ ...sides, mode: 'all', signal: never, onFraction })).toEqual({
      now: 10_002,
      target: 10_002,
      added: 0,
      changed: 0,
      removed: 0,
      samples: { added: [], changed: [], removed: [] },
    });
    expect(fractions.at(-1)).toBe(1);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
  });

  it('finds every key that would come back, change or go, in all databases, also by its time to live', async () => {
    const [now, target] = nodes as [TestRedis, TestRedis];
    await now.cli('DEL', 'same:1', 'same:2');
    await now.cli('SET', 'same:3', 'other');
    await now.cli('PERSIST', 'same:7');
    await now.cli('DEL', 'hash:9');
    await now.cli('SET', 'hash:9', 'another type');
    await now.cli('EVAL', "for i = 1, 30 do redis.call('SET', 'new:' .. i, 1) end", 0);
    await now.cli('EVAL', "redis.call('SELECT', 3) redis.call('SET', 'here', 1) redis.call('SET', 'both', 1)", 0);
    await target.cli('EVAL', "redis.call('SELECT', 3) redis.call('SET', 'both', 2)", 0);
    await target.cli('EVAL', "redis.call('SELECT', 9) redis.call('SET', 'there', 1)", 0);
    const found: Record<string, number> = {};
    const onKeys = async ({ kind, names }: DifferingKeys): Promise<void> => {
      found[kind] = (found[kind] ?? 0) + names.length;
    };
    const diff = await compareData({ ...sides, mode: 'all', signal: never, onKeys });
    expect(diff).toMatchObject({ now: 10_030, target: 10_002, added: 3, changed: 4, removed: 31 });
    expect(found).toEqual({ added: 3, changed: 4, removed: 31 });
    expect(diff.samples.added.toSorted()).toEqual(['db9 there', 'same:1', 'same:2']);
    expect(diff.samples.changed.toSorted()).toEqual(['db3 both', 'hash:9', 'same:3', 'same:7']);
    expect(diff.samples.removed).toHaveLength(10);
    for (const name of diff.samples.removed) expect(name).toMatch(/^new:\d+$|^db3 here$/);
  });

  it('counts a key whose time has come as gone, on either side', async () => {
    for (const node of nodes) await node.cli('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
    const [now, target] = nodes as [TestRedis, TestRedis];
    await target.cli('SET', 'over', 'x', 'PX', 1);
    await now.cli('SET', 'over', 'x');
    await now.cli('SET', 'here', 'x', 'PX', 1);
    await target.cli('SET', 'here', 'x', 'PX', 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await compareData({ ...sides, mode: 'all', signal: never })).toMatchObject({
      now: 10_001,
      target: 10_000,
      added: 0,
      changed: 0,
      removed: 1,
      samples: { removed: ['over'] },
    });
  });

  it('looks only at keys that match, and counts only if asked to', async () => {
    const [now] = nodes as [TestRedis, TestRedis];
    await now.cli('DEL', 'hash:1');
    await now.cli('DEL', 'same:1');
    const match = 'hash:1*';
    expect(await compareData({ ...sides, mode: 'all', match, signal: never })).toMatchObject({
      now: 1_110,
      target: 1_111,
      added: 1,
      removed: 0,
      samples: { added: ['hash:1'] },
    });
    const counts = { added: null, changed: null, removed: null };
    expect(await compareData({ ...sides, mode: 'counts', match, signal: never })).toMatchObject({
      now: 1_110,
      target: 1_111,
      ...counts,
    });
    expect(await compareData({ ...sides, mode: 'counts', signal: never })).toMatchObject({
      now: 9_998,
      target: 10_000,
      ...counts,
    });
  });

  it('shows any name as text that a terminal can bear', async () => {
    const [, target] = nodes as [TestRedis, TestRedis];
    const [, connection] = connections as [ServerConnection, ServerConnection];
    await target.cli('FLUSHALL');
    await nodes[0]?.cli('FLUSHALL');
    await connection.ask('SET', Buffer.from([0x1b, 0x5b, 0xff, 0x00]), 'x');
    await connection.ask('SET', 'a\nb\\c', 'x');
    await connection.ask('SET', 'Straße:🚋', 'x');
    await connection.ask('SET', 'long'.repeat(1_000), 'x');
    const { samples } = await compareData({ ...sides, mode: 'all', signal: never });
    expect(samples.added.toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
      'Straße:🚋',
      '\\x1b[\\xff\\x00',
      'a\\x0ab\\\\c',
      `${'long'.repeat(50).slice(0, 199)}…`,
    ]);
  });

  it('ends with the reason of whoever cancels, or with what a server that is gone leaves', async () => {
    await expect(
      compareData({ ...sides, mode: 'all', signal: AbortSignal.abort(new Error('enough')) }),
    ).rejects.toThrow('enough');
    await nodes[1]?.kill();
    await expect(compareData({ ...sides, mode: 'all', signal: never })).rejects.toThrow(/closed|reached/);
  });
});
