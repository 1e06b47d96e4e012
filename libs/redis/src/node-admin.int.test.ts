import { createLogger, systemClock } from '@switchyard/runtime';
import {
  eventually,
  freePort,
  startRedis,
  startSentinelGroup,
  type SentinelGroup,
  type TestRedis,
} from '@switchyard/testing';
import { RedisNodeError } from './direct-connection.ts';
import { createRedisNodeAdmin, type RedisNodeAdmin } from './node-admin.ts';
import { createSentinelWatch, type SentinelMessage } from './sentinel-watch.ts';

const logger = createLogger('test', { level: 'silent' });
const clock = systemClock;
const key = '{switchyard}:test-probe';
const adminOf = ({ host, port }: { host: string; port: number }, more: { password?: string } = {}): RedisNodeAdmin =>
  createRedisNodeAdmin({ host, port, logger, clock, deadlineMs: 300, ...more });
const faultOf = (question: Promise<unknown>): Promise<string> =>
  question.then(
    () => 'answered',
    (error: unknown) => (error instanceof RedisNodeError ? error.kind : String(error)),
  );

describe('questions to one node', () => {
  let redis: TestRedis;
  let admin: RedisNodeAdmin;
  beforeEach(async () => {
    redis = await startRedis();
    admin = adminOf(redis);
    await eventually(() => admin.ping());
  });
  afterEach(async () => {
    admin.close();
    await redis.stop();
  });

  it('are answered: INFO, ROLE, settings and a write that expires by itself', async () => {
    expect(await admin.info()).toContain('role:master');
    expect(await admin.role()).toMatchObject(['master', expect.any(Number), []]);
    expect(await admin.configGet('save')).toBe('');
    expect(await admin.configGet('no-such-setting')).toBeUndefined();
    expect(await admin.probeWrite(key, 5_000)).toBeGreaterThan(0);
    expect(Number(await redis.cli('PTTL', key))).toBeGreaterThan(0);
  });

  it('can be several that happen at the same moment, or not at all', async () => {
    const nowhere = ['REPLICAOF', '127.0.0.1', '1'] as const;
    await expect(admin.transaction([nowhere, ['REPLICAOF', 'NO', 'ONE'], ['PING']])).resolves.toEqual([
      'OK',
      'OK',
      'PONG',
    ]);
    expect(await admin.role()).toMatchObject(['master', expect.any(Number), []]);
    expect(await faultOf(admin.transaction([nowhere, ['NOSUCH']]))).toBe('refused');
    expect(await admin.role()).toMatchObject(['master', expect.any(Number), []]);
    await redis.kill();
    expect(await faultOf(admin.transaction([['PING']]))).toBe('gone');
  });

  it('fail within their deadline while the node is frozen, do not pile up, and work again at once when it wakes', async () => {
    redis.freeze();
    const startedMs = performance.now();
    const kinds = await Promise.all(Array.from({ length: 20 }, () => faultOf(admin.ping())));
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    expect(new Set(kinds)).toEqual(new Set(['silent']));
    redis.resume();
    await eventually(() => admin.ping(), { timeoutMs: 1_000 });
  });

  it('work again when the node was frozen for so long that its connection was given up', async () => {
    redis.freeze();
    // Watched as a manager does: asked again and again.
    const fault = await eventually(
      async () => {
        const said = await admin.info().catch((error: Error) => error.message);
        return /Socket timeout|closed/.test(said) && said;
      },
      { timeoutMs: 10_000, intervalMs: 100 },
    );
    expect(fault).toBeDefined();
    redis.resume();
    await eventually(() => admin.ping(), { timeoutMs: 4_000 });
  }, 20_000);

  it('tell a node that is gone from one that is silent, and reach it again after its restart', async () => {
    await redis.kill();
    await eventually(async () => expect(await faultOf(admin.ping())).toBe('gone'));
    await redis.restart();
    await eventually(() => admin.ping(), { timeoutMs: 3_000 });
  });

  it('are refused, not lost, with a wrong password', async () => {
    await redis.cli('CONFIG', 'SET', 'requirepass', 'right');
    const stranger = adminOf(redis, { password: 'wrong' });
    try {
      await eventually(async () => expect(await faultOf(stranger.info())).toBe('refused'));
    } finally {
      stranger.close();
    }
  });

  it('fail at once for a port where nobody ever was', async () => {
    const nobody = adminOf({ host: '127.0.0.1', port: await freePort() });
    try {
      await eventually(async () => expect(await faultOf(nobody.ping())).toBe('gone'));
    } finally {
      nobody.close();
    }
  });
});

describe('the watch over all Sentinels', () => {
  let group: SentinelGroup;
  beforeAll(async () => {
    group = await startSentinelGroup({ replicas: 1 });
  });
  afterAll(async () => {
    await group.stop();
  });

  it('asks each of them, and hears each message once for each Sentinel, the first one marked', async () => {
    const heard: SentinelMessage[] = [];
    const sentinels = group.sentinels.map(({ host, port }, at) => ({ name: `s${String(at + 1)}`, host, port }));
    const watch = createSentinelWatch({
      sentinels,
      group: 'main',
      logger,
      clock,
      onMessage: (message) => heard.push(message),
    });
    try {
      const [first] = watch.members();
      if (first === undefined) throw new Error('no member');
      await eventually(async () => expect(await first.master()).toContain('config-epoch'));
      expect(await first.replicas()).toHaveLength(1);
      expect(await first.sentinels()).toHaveLength(2);
      expect(await first.info()).toContain('sentinel_tilt:0');
      expect(await first.ckquorum()).toMatchObject({ ok: true });
      watch.add({ name: 'again', host: first.host, port: first.port });
      expect(watch.members()).toHaveLength(3);

      for (const sentinel of group.sentinels) {
        await eventually(async () => expect(String(await sentinel.cli('CLIENT', 'LIST'))).toContain(' psub=1 '));
      }
      // Each says the same words: +set master main <ip> <port> parallel-syncs 1
      await Promise.all(
        group.sentinels.map((sentinel) => sentinel.cli('SENTINEL', 'SET', 'main', 'parallel-syncs', 1)),
      );
      await eventually(() => expect(heard.filter(({ channel }) => channel === '+set')).toHaveLength(3));
      expect(heard.filter(({ channel, first: isFirst }) => channel === '+set' && isFirst)).toHaveLength(1);
    } finally {
      watch.close();
    }
  });

  it('says null for a group that the Sentinel does not know, and keeps listening after its restart', async () => {
    const heard: string[] = [];
    const [sentinel] = group.sentinels;
    if (sentinel === undefined) throw new Error('no Sentinel');
    const watch = createSentinelWatch({
      sentinels: [{ name: 's1', host: sentinel.host, port: sentinel.port }],
      group: 'other',
      logger,
      clock,
      onMessage: ({ message }) => heard.push(message),
    });
    try {
      const [member] = watch.members();
      await eventually(async () => expect(await member?.master()).toBeNull());
      expect(await member?.ckquorum()).toMatchObject({ ok: false });
      await sentinel.kill();
      await eventually(async () => expect(await faultOf(member?.info() ?? Promise.resolve())).toBe('gone'));
      await sentinel.restart();
      await eventually(async () => {
        await member?.info();
        await sentinel.cli('SENTINEL', 'SET', 'main', 'parallel-syncs', 2);
        expect(heard.some((message) => message.includes('parallel-syncs 2'))).toBe(true);
      });
    } finally {
      watch.close();
    }
  });
});
