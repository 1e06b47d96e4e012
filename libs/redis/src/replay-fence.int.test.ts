// Is a keyed request granted its one repetition once, by all dispatchers together, and never on a guess?
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createRedis, createReplayFence } from './index.ts';
import type { Redis, RedisConnections } from './index.ts';

const logger = createLogger('test', { level: 'silent' });
const claimOf = (fingerprint: string, requestId = 'r1', service = 'shop') => ({ service, fingerprint, requestId });

describe('the fence of keyed requests', () => {
  let server: TestRedis;
  let connections: RedisConnections;
  const redis: Redis[] = [];
  beforeAll(async () => {
    server = await startRedis();
    const endpoint = { host: server.host, port: server.port };
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    redis.push(connections.connect('commands'), connections.connect('commands'));
    await eventually(() => Promise.all(redis.map((one) => one.ping())));
  });
  afterEach(async () => {
    server.resume();
    await eventually(() => Promise.all(redis.map((one) => one.ping())));
    await server.cli('FLUSHALL');
  });
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });
  const fenceOf = (holder: string, more: object = {}) =>
    createReplayFence({ redis: redis[holder === 'd1' ? 0 : 1] as Redis, holder, ...more });

  it('grants one of many claims at the same moment at two dispatchers, and tells the others who has it', async () => {
    const fences = [fenceOf('d1'), fenceOf('d2')] as const;

    const verdicts = await Promise.all(
      Array.from({ length: 40 }, (_, n) => fences[n % 2 === 0 ? 0 : 1].claim(claimOf('POST\nkey-1', `r${n}`))),
    );

    expect(verdicts.filter(({ granted }) => granted)).toHaveLength(1);
    const winner = verdicts.findIndex(({ granted }) => granted);
    const losers = new Set(verdicts.filter(({ granted }) => !granted).map(({ reason }) => reason));
    expect([...losers]).toEqual([expect.stringContaining(`request r${winner} at d${(winner % 2) + 1}`)]);
  });

  it('tells claims apart by service and by fingerprint, and keeps neither credentials nor keys in clear', async () => {
    const fence = fenceOf('d1');

    expect(await fence.claim(claimOf('POST\nBearer secret\nkey-2'))).toMatchObject({ granted: true });
    expect(await fence.claim(claimOf('POST\nBearer secret\nkey-3'))).toMatchObject({ granted: true });
    expect(await fence.claim(claimOf('POST\nBearer secret\nkey-2', 'r1', 'bank'))).toMatchObject({ granted: true });
    expect(await fence.claim(claimOf('POST\nBearer secret\nkey-2', 'r9'))).toMatchObject({ granted: false });

    const stored = (await server.cli('KEYS', '*')) as string[];
    expect(stored).toHaveLength(3);
    for (const key of stored) {
      expect(key).toMatch(/replay:[0-9a-f]{64}$/);
      expect(await server.cli('GET', key)).not.toContain('secret');
    }
  });

  it('forgets a claim after its time', async () => {
    const fence = fenceOf('d1', { ttlMs: 60 });
    expect(await fence.claim(claimOf('POST\nkey-4'))).toMatchObject({ granted: true });
    expect(await fence.claim(claimOf('POST\nkey-4'))).toMatchObject({ granted: false });

    await eventually(async () => (await fence.claim(claimOf('POST\nkey-4'))).granted);
  });

  it('remembers a claim for a day', async () => {
    await fenceOf('d1').claim(claimOf('POST\nkey-5'));
    const [key] = (await server.cli('KEYS', '*')) as string[];
    expect(Number(await server.cli('PTTL', String(key)))).toBeGreaterThan(86_000_000);
  });

  it('grants nothing while Redis does not answer, says so in time, and takes no more claims than it may', async () => {
    const fence = fenceOf('d1', { deadlineMs: 100, most: 2 });
    server.freeze();
    const startedMs = performance.now();

    const verdicts = await Promise.all(['a', 'b', 'c'].map((key) => fence.claim(claimOf(key))));

    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(verdicts.map(({ granted }) => granted)).toEqual([false, false, false]);
    expect(verdicts[0]?.reason).toContain('did not end within 100 ms');
    expect(verdicts[2]?.reason).toBe('2 other claims wait for Redis');
    server.resume();
    await eventually(async () => (await fence.claim(claimOf('d'))).granted);
  });

  it('grants nothing while Redis is gone', async () => {
    const fence = fenceOf('d1');
    await server.kill();
    await eventually(() => expect(redis[0]?.status).not.toBe('ready'));

    expect(await fence.claim(claimOf('e'))).toEqual({
      granted: false,
      reason: 'Redis cannot be asked whether somebody else did',
    });
    await server.restart();
  });
});
