import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { keys } from '@switchyard/protocol';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { beat, beatByCheck, createRedis } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

describe('a heartbeat by an answer to a check', () => {
  let server: TestRedis;
  let connections: ReturnType<typeof createRedis>;
  let redis: ReturnType<typeof connections.connect>;
  beforeAll(async () => {
    server = await startRedis();
    const settings = { kind: 'single', endpoint: { host: server.host, port: server.port }, group: 'main' } as const;
    connections = createRedis(settings, { logger, name: 'test' });
    redis = connections.connect('commands');
    await eventually(() => expect(redis.status).toBe('ready'));
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    for (const member of ['shop/a', 'shop/b']) {
      await redis.hset(keys.ttls, member, 1_000);
      await redis.zadd(keys.deadlines, (await nowMs()) + 1_000, member);
    }
  });
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });
  const nowMs = async (): Promise<number> => {
    const [seconds, micros] = await redis.time();
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  };
  /** The deadline lies `ms` after a moment between `sinceMs` and now. */
  const expectReach = async (member: string, ms: number, sinceMs: number): Promise<void> => {
    const deadlineMs = Number(await redis.zscore(keys.deadlines, member));
    expect(deadlineMs).toBeGreaterThanOrEqual(sinceMs + ms);
    expect(deadlineMs).toBeLessThanOrEqual((await nowMs()) + ms);
  };

  it('reaches as far as the next answer, when that is later than the time to live', async () => {
    const sinceMs = await nowMs();
    const [far, near] = await beatByCheck(redis, [
      { member: 'shop/a', reachMs: 20_000 },
      { member: 'shop/b', reachMs: 500 },
    ]);

    await expectReach('shop/a', 20_000, sinceMs);
    await expectReach('shop/b', 1_000, sinceMs);
    expect([far, near]).toEqual([
      Number(await redis.zscore(keys.deadlines, 'shop/a')),
      Number(await redis.zscore(keys.deadlines, 'shop/b')),
    ]);
  });

  it('reaches no further than the time to live of one that beats by itself', async () => {
    const sinceMs = await nowMs();
    const [deadlineMs] = await beatByCheck(redis, [{ member: 'shop/a', reachMs: 20_000 }]);
    await beat(redis, ['shop/a']);

    const [after] = await beatByCheck(redis, [{ member: 'shop/a', reachMs: 20_000, deadlineMs: deadlineMs ?? 0 }]);

    await expectReach('shop/a', 1_000, sinceMs);
    // it has stopped to beat: from now on its check speaks for it alone
    await beatByCheck(redis, [{ member: 'shop/a', reachMs: 20_000, deadlineMs: after ?? 0 }]);
    await expectReach('shop/a', 20_000, sinceMs);
  });

  it('says whom Redis does not know, and brings nobody to life', async () => {
    const beats = [
      { member: 'shop/x', reachMs: 1_000 },
      { member: 'shop/a', reachMs: 2_000 },
    ];

    expect(await beatByCheck(redis, beats)).toEqual([undefined, expect.any(Number)]);
    expect(await redis.zscore(keys.deadlines, 'shop/x')).toBeNull();
  });

  it('comes for a thousand at once', async () => {
    const members = Array.from({ length: 1_000 }, (_, n) => `shop/i${n}`);
    for (const member of members) await redis.hset(keys.ttls, member, 1_000);

    const deadlines = await beatByCheck(
      redis,
      members.map((member) => ({ member, reachMs: 5_000 })),
    );

    expect(deadlines.filter((deadline) => deadline !== undefined)).toHaveLength(1_000);
    expect(await redis.zcard(keys.deadlines)).toBe(1_002);
  });
});
