import { emptySnapshot } from '@switchyard/catalog';
import { keys, leases } from '@switchyard/protocol';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import type { Redis } from 'ioredis';
import { createCatalogStore } from './catalog-store.ts';
import { createRedis } from './connection.ts';
import type { RedisConnections } from './connection.ts';
import { readDeadlines, sweep } from './sweep.ts';
import type { SweepOptions } from './sweep.ts';

describe('a sweep', () => {
  let server: TestRedis;
  let connections: RedisConnections;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
    const endpoint = { host: server.host, port: server.port };
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    redis = connections.connect('commands');
    await eventually(() => expect(redis.status).toBe('ready'));
  });
  beforeEach(async () => {
    await redis.flushall();
    const store = createCatalogStore(redis, 'test');
    await store.raiseEpoch({ epoch: 0, revision: 0 }, { reason: 'test', snapshot: emptySnapshot });
  });
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });

  const look = (more: Partial<SweepOptions> = {}) =>
    sweep(redis, {
      holder: 'one',
      leaseMs: 5_000,
      limit: 10,
      cursorMs: -Infinity,
      horizonMs: 0,
      asked: [],
      ...more,
    });
  const clockMs = async (): Promise<number> => (await look({ holder: 'clock', limit: 1 })).nowMs;
  /** `deadlines`: ms from now. */
  const place = async (deadlines: Record<string, number>, ttlMs = 1_000): Promise<number> => {
    const nowMs = await clockMs();
    await redis.del(keys.lease(leases.monitor), keys.swept);
    for (const [member, aheadMs] of Object.entries(deadlines)) {
      await redis.zadd(keys.deadlines, nowMs + aheadMs, member);
      await redis.hset(keys.ttls, member, ttlMs);
    }
    return nowMs;
  };

  it('lets one monitor lead, and shows who is late by the clock of Redis', async () => {
    await place({ 'shop/a': -10, 'shop/b': 150, 'shop/c': 60_000 });

    const leader = await look({ horizonMs: 1_000 });
    const other = await look({ holder: 'two' });

    expect([leader.leader, other.leader]).toEqual([true, false]);
    expect(leader).toMatchObject({ known: 3, late: 2, passed: [{ member: 'shop/a', ttlMs: 1_000 }] });
    expect(other.token).toBe(leader.token);
  });

  it('shows each passed deadline once to whoever keeps its cursor', async () => {
    await place({ 'shop/a': -30, 'shop/b': -20 });
    const first = await look();
    await redis.zadd(keys.deadlines, first.nowMs + 1, 'shop/c');
    while ((await clockMs()) <= first.nowMs + 1);

    const second = await look({ cursorMs: first.cursorMs });

    expect(first.passed.map(({ member }) => member)).toEqual(['shop/a', 'shop/b']);
    expect(second.passed.map(({ member }) => member)).toEqual(['shop/c']);
    expect(first.cursorMs).toBe(first.nowMs);
  });

  it('reads thousands page by page, and loses none of those that passed in one millisecond', async () => {
    const members = Array.from({ length: 60 }, (_, n) => `shop/${String(n).padStart(2, '0')}`);
    // three moments, 20 members each: pages of 7 end within them
    await place(Object.fromEntries(members.map((member, n) => [member, -300 + 100 * Math.floor(n / 20)])));
    const seen: string[] = [];
    let cursorMs = -Infinity;
    for (let pages = 0; pages < 10; pages += 1) {
      const page = await look({ limit: 7, cursorMs });
      seen.push(...page.passed.map(({ member }) => member));
      cursorMs = page.cursorMs;
      if (cursorMs === page.nowMs) break;
    }
    expect(seen.toSorted()).toEqual(members);
  });

  it('answers for those who are asked about, in their order', async () => {
    const nowMs = await place({ 'shop/a': -10, 'shop/b': 500 });

    const { asked } = await look({ asked: ['shop/b', 'shop/gone', 'shop/a'] });

    expect(asked).toEqual([
      { member: 'shop/b', deadlineMs: nowMs + 500 },
      { member: 'shop/gone', deadlineMs: undefined },
      { member: 'shop/a', deadlineMs: nowMs - 10 },
    ]);
  });

  it('pulls deadlines back when the clock has stepped back, so that the dead do not live for as long as the step', async () => {
    const hour = 3_600_000;
    const nowMs = await place({ 'shop/a': hour, 'shop/b': 900, 'shop/c': -10 });
    await redis.set(keys.swept, nowMs + hour);

    await look();

    const deadlines = new Map((await readDeadlines(redis, 10)).map(({ member, deadlineMs }) => [member, deadlineMs]));
    expect(deadlines.get('shop/a')).toBeLessThan(nowMs + 2_000);
    expect(deadlines.get('shop/a')).toBeGreaterThanOrEqual(nowMs + 1_000);
    expect([deadlines.get('shop/b'), deadlines.get('shop/c')]).toEqual([nowMs + 900, nowMs - 10]);
    // and the clock is right again
    expect(Number(await redis.get(keys.swept))).toBeLessThan(nowMs + 10_000);
  });

  it('notices that step by what the caller has seen, too: a wipe may come between', async () => {
    const nowMs = await place({ 'shop/a': 3_600_000 });
    await look({ sweptMs: nowMs + 3_600_000 });
    expect((await readDeadlines(redis, 1))[0]?.deadlineMs).toBeLessThan(nowMs + 2_000);
  });

  it('leaves far deadlines alone while the clock goes on', async () => {
    const nowMs = await place({ 'shop/a': 3_600_000 });
    await look();
    await look();
    expect(await readDeadlines(redis, 1)).toEqual([{ member: 'shop/a', deadlineMs: nowMs + 3_600_000 }]);
  });

  it('gives a token that ends with the lease, and a higher one after it', async () => {
    const before = await look({ leaseMs: 200 });
    expect(await redis.get(keys.fence(leases.monitor))).toBe(String(before.token));
    await eventually(async () => expect(await redis.get(keys.fence(leases.monitor))).toBeNull());
    const after = await look({ leaseMs: 200 });
    expect(after).toMatchObject({ leader: true, token: before.token + 1 });
    expect((await look({ leaseMs: 200 })).token).toBe(after.token);
  });

  it('takes a lease that ends later than any can for none, and gives a higher token', async () => {
    const before = await look({ leaseMs: 5_000 });
    await redis.pexpire(keys.lease(leases.monitor), 3_600_000);
    const after = await look({ holder: 'two', leaseMs: 5_000 });
    expect([before.leader, after.leader]).toEqual([true, true]);
    expect(after.token).toBeGreaterThan(before.token);
    expect((await look({ holder: 'one', leaseMs: 5_000 })).leader).toBe(false);
  });

  it('makes nobody the leader before the next epoch of a Redis that may have forgotten the last token', async () => {
    await place({});
    await redis.hset(keys.catalogMeta, 'runId', 'another');

    expect(await look()).toMatchObject({ leader: false });

    const store = createCatalogStore(redis, 'test');
    await store.raiseEpoch({ epoch: 0, revision: 0 }, { reason: 'test', snapshot: emptySnapshot });
    expect(await look()).toMatchObject({ leader: true });
  });
});
