import { createRedisNodeAdmin, type RedisNodeAdmin } from '@switchyard/redis';
import { createLogger, systemClock } from '@switchyard/runtime';
import { startRedis, type TestRedis } from '@switchyard/testing';
import { compareWithPrimary } from './salvage-compare.ts';
import { startScratch } from './salvage-scratch.ts';
import { dumpKey, keyText, restoreKey } from './salvage-scripts.ts';

const logger = createLogger('test');
const clock = systemClock;
const signal = AbortSignal.timeout(60_000);

describe('a copy beside a primary', () => {
  let there: TestRedis;
  let here: TestRedis;
  let copy: RedisNodeAdmin;
  let primary: RedisNodeAdmin;
  beforeAll(async () => {
    [there, here] = await Promise.all([startRedis(), startRedis()]);
    const adminOf = ({ host, port }: TestRedis): RedisNodeAdmin =>
      createRedisNodeAdmin({ host, port, clock, logger, deadlineMs: 5_000 });
    copy = adminOf(there);
    primary = adminOf(here);
    for (const node of [there, here]) {
      await node.cli('RPUSH', 'list', 'a', 'b');
      await node.cli('XADD', 'stream', '1-1', 'f', 'v');
      await node.cli('SADD', 'set', 'a', 'b', 'c');
    }
    await there.cli('ZADD', 'zset', 1, 'a', 2, 'b');
    await here.cli('ZADD', 'zset', 2, 'b', 1, 'a');
    // The same hash in another encoding: its DUMP differs, its content does not.
    await here.cli('HSET', 'hash', 'long', 'x'.repeat(100), 'a', '1');
    await here.cli('HSET', 'hash', 'long', 'y');
    await there.cli('HSET', 'hash', 'a', '1', 'long', 'y');
  }, 30_000);
  afterAll(async () => {
    copy.close();
    primary.close();
    await Promise.all([there.stop(), here.stop()]);
  }, 20_000);

  const compare = (mostKeys = 100): ReturnType<typeof compareWithPrimary> =>
    compareWithPrimary({ copy, primary, mostKeys, signal });

  it('has no key that differs while the contents are the same, in whatever order and encoding', async () => {
    expect(await compare()).toEqual({ keys: [], truncated: false, compared: 5 });
  });
  it('gives each type, bytes of any kind, times to live and other databases back', async () => {
    const write = 'redis.call("SELECT", 3); redis.call("SET", "\\0\\255", "\\1\\2\\254", "PX", 500000)';
    await there.cli('EVAL', write, 0);
    await there.cli('RPUSH', 'list', 'c');
    await there.cli('ZADD', 'zset', 9, 'a');
    await there.cli('HSET', 'hash', 'new', '1');
    const found = await compare();
    expect(found.keys.map(({ key, kind }) => [key, kind])).toEqual([
      ['db3:0x00ff', 'only-there'],
      ['hash', 'different'],
      ['list', 'different'],
      ['zset', 'different'],
    ]);
    for (const place of found.keys) {
      const dumped = await dumpKey(copy, place);
      if (dumped === null) throw new Error(`${keyText(place)} is gone`);
      const kept = await restoreKey(primary, place, { ...dumped, replace: false });
      expect(kept).toBe(place.kind === 'different' ? 'exists' : 'restored');
      if (kept === 'exists') {
        expect(await restoreKey(primary, place, { ...dumped, replace: true })).toBe('restored');
      }
    }
    expect((await compare()).keys).toEqual([]);
    const ttl = await here.cli('EVAL', 'redis.call("SELECT", 3); return redis.call("PTTL", "\\0\\255")', 0);
    expect(Number(ttl)).toBeGreaterThan(400_000);
    expect(Number(ttl)).toBeLessThanOrEqual(500_000);
  }, 20_000);
  it('lists no more than was asked for, and says that there is more', async () => {
    for (let at = 0; at < 30; at += 1) await there.cli('SET', `more:${String(at)}`, at);
    const { keys, truncated } = await compare(10);
    expect(keys).toHaveLength(10);
    expect(truncated).toBe(true);
  });
});

describe('a scratch server', () => {
  it('says why it cannot be used, and leaves nothing', async () => {
    const options = { file: '/nowhere/none.rdb', clock, logger };
    await expect(startScratch({ ...options, redisServer: '/nowhere/redis-server' })).rejects.toThrow('ENOENT');
  });
  it('refuses a file that is no copy', async () => {
    const options = { file: import.meta.filename, clock, logger };
    const redisServer = process.env['SWITCHYARD_REDIS_SERVER'] ?? 'redis-server';
    await expect(startScratch({ ...options, redisServer })).rejects.toThrow('could not load the copy');
  }, 20_000);
});
