// Do jobs go on through a kill, a freeze and a blackout of the Redis that keeps them, without one that was acknowledged getting lost?
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, manualClock, startRedis, startSentinelGroup } from '@switchyard/testing';
import type { SentinelGroup, TestRedis } from '@switchyard/testing';
import { replicatedPrimary } from './failover-fixture.ts';
import { createRedis, redisRefusal } from './index.ts';
import type { RedisConnections } from './index.ts';
import { createJobQueue, createJobWorker } from './queues.ts';
import type { Job } from './queues.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const signal = new AbortController().signal;

interface Task {
  readonly n: number;
}

describe('a producer and a worker', () => {
  let group: SentinelGroup;
  let connections: RedisConnections;
  beforeEach(async () => {
    // what is to survive a blackout has to be on disk; starved Sentinels fail to elect, and try again after twice the time-out
    group = await startSentinelGroup({ downAfterMs: 1_000, failoverTimeoutMs: 3_000, args: ['--appendonly', 'yes'] });
    const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
    connections = createRedis({ kind: 'sentinel', sentinels, group: group.group }, { logger, name: 'test' });
  });
  afterEach(async () => {
    for (const node of group.nodes) if (node.running()) node.resume();
    await connections.stop();
    await group.stop();
  });

  /** Ms until the Sentinels name another primary. */
  const namedAfter = async (than: TestRedis, sinceMs: number): Promise<number> => {
    await group.primaryOtherThan(than, 60_000);
    return performance.now() - sinceMs;
  };

  /** Adds a job every few ms, again until it is acknowledged, and works on them. */
  async function startWork(durability: 'async' | 'replicated' = 'async') {
    const queue = createJobQueue<Task>(connections, { name: 'work', durability }, logger);
    const acknowledged = new Set<number>();
    const doneAtMs = new Map<number, number[]>();
    const worker = createJobWorker<Task>(connections, {
      queue: 'work',
      process: async (job: Job<Task>) => {
        await systemClock.sleep(2);
        doneAtMs.set(job.data.n, [...(doneAtMs.get(job.data.n) ?? []), performance.now()]);
      },
      clock: systemClock,
      logger,
    });
    await worker.start?.(signal);
    const over = new AbortController();
    const producing = (async () => {
      for (let n = 0; !over.signal.aborted; n += 1) {
        while (!acknowledged.has(n)) {
          try {
            await queue.add('count', { n }, { jobId: `n${String(n)}` });
            acknowledged.add(n);
          } catch {
            await systemClock.sleep(20);
            if (over.signal.aborted) return;
          }
        }
        await systemClock.sleep(10);
      }
    })();
    await eventually(() => doneAtMs.size > 50, { timeoutMs: 20_000 });
    return {
      /** Ms from `sinceMs` until a job was done that nobody had done before. */
      async resumedAfter(sinceMs: number): Promise<number> {
        const firstAfter = (): number | null => {
          const times = [...doneAtMs.values()].map(([at]) => at ?? 0).filter((at) => at > sinceMs + 250);
          return times.length === 0 ? null : Math.min(...times);
        };
        return (await eventually(firstAfter, { timeoutMs: 60_000 })) - sinceMs;
      },
      async finish(what: string, resumedMs: number): Promise<void> {
        await systemClock.sleep(500);
        over.abort();
        await producing;
        // one that was in work is given to somebody else when its lock is over
        await eventually(() => expect([...acknowledged].filter((n) => !doneAtMs.has(n))).toEqual([]), {
          timeoutMs: 100_000,
        });
        const twice = [...doneAtMs.values()].filter((times) => times.length > 1).length;
        process.stdout.write(
          `${what}: resumed after ${resumedMs.toFixed(0)} ms, ${String(acknowledged.size)} jobs, 0 missing, ${String(twice)} twice\n`,
        );
        // at least once is what is promised; more than those in flight would be a fault
        expect(twice).toBeLessThanOrEqual(3);
        expect(await queue.counts()).toMatchObject({ waiting: 0, failed: 0 });
        await worker.stop?.();
        await queue.stop?.();
      },
    };
  }

  it.each(['async', 'replicated'] as const)(
    'lose no acknowledged job when the primary is killed (%s)',
    async (durability) => {
      const work = await startWork(durability);
      const primary = await replicatedPrimary(group);
      const killedMs = performance.now();
      await primary.kill();
      const named = namedAfter(primary, killedMs);

      const resumedMs = await work.resumedAfter(killedMs);

      // when it happens is up to the Sentinels; what comes after that is ours
      expect(resumedMs).toBeLessThan((await named) + 10_000);
      await work.finish(`kill -9, ${durability}`, resumedMs);
    },
    180_000,
  );

  it('lose no acknowledged job when the primary freezes for 15 seconds', async () => {
    const work = await startWork();
    const primary = await replicatedPrimary(group);
    const frozenMs = performance.now();
    primary.freeze();
    const named = namedAfter(primary, frozenMs);

    const resumedMs = await work.resumedAfter(frozenMs);

    expect(resumedMs).toBeLessThan((await named) + 10_000);
    await systemClock.sleep(Math.max(0, 15_000 - (performance.now() - frozenMs)));
    primary.resume();
    await work.finish('SIGSTOP for 15 s', resumedMs);
  }, 180_000);

  it('lose no acknowledged job when all nodes and Sentinels are away for five seconds', async () => {
    const work = await startWork();
    await replicatedPrimary(group);
    await Promise.all([...group.sentinels, ...group.nodes].map((one) => one.kill()));
    await systemClock.sleep(5_000);
    // the primary first: an empty or older one must not be the first to be found
    for (const node of group.nodes) await node.restart();
    await Promise.all(group.sentinels.map((one) => one.restart()));
    const backMs = performance.now();

    const resumedMs = await work.resumedAfter(backMs - 250);

    expect(resumedMs).toBeLessThan(40_000);
    await work.finish('blackout of 5 s', resumedMs);
  }, 180_000);
});

describe('a job that is to be replicated', () => {
  it('is added when a replica has it, and told as not known while none gets it', async () => {
    const primary = await startRedis();
    const replica = await startRedis({ replicaOf: primary });
    const connections = createRedis(
      { kind: 'single', endpoint: { host: '127.0.0.1', port: primary.port }, group: 'main' },
      { logger, name: 'test' },
    );
    const queue = createJobQueue<Task>(connections, { name: 'safe', durability: 'replicated' }, logger);
    try {
      await eventually(() => queue.add('count', { n: 1 }, { jobId: 'n1' }), { timeoutMs: 15_000 });
      expect(Number(await replica.info('replication', 'slave_repl_offset'))).toBeGreaterThan(0);
      replica.freeze();

      const told = await queue.add('count', { n: 2 }, { jobId: 'n2' }).catch((error: unknown) => error);

      expect(redisRefusal(told)).toMatchObject({ code: 'not_replicated' });
      expect(await queue.counts()).toMatchObject({ waiting: 2 });
    } finally {
      replica.resume();
      await queue.stop?.();
      await connections.stop();
      await replica.stop();
      await primary.stop();
    }
  }, 30_000);
});

describe('a worker that hangs in its blocking call', () => {
  it('is made anew when jobs have waited for half a minute', async () => {
    const server = await startRedis();
    const real = createRedis(
      { kind: 'single', endpoint: { host: '127.0.0.1', port: server.port }, group: 'main' },
      { logger, name: 'test' },
    );
    let made = 0;
    const connections: RedisConnections = {
      ...real,
      connect(use) {
        const redis = real.connect(use);
        if (use !== 'worker') return redis;
        made += 1;
        if (made > 1) return redis;
        // as after an outage with the faults that dependency-floor.test.ts names: it blocks, and nothing ever ends that
        const duplicate = redis.duplicate.bind(redis);
        redis.duplicate = (override) =>
          Object.assign(duplicate(override), { bzpopmin: () => new Promise(() => undefined) });
        return redis;
      },
    };
    const clock = manualClock();
    const done: number[] = [];
    const worker = createJobWorker<Task>(connections, {
      queue: 'stuck',
      process: async (job: Job<Task>) => void done.push(job.data.n),
      clock,
      logger,
    });
    const queue = createJobQueue<Task>(connections, 'stuck', logger);
    try {
      await worker.start?.(signal);
      await eventually(() => worker.running);
      await systemClock.sleep(300);
      await eventually(() => queue.add('count', { n: 1 }));
      const pass = async (ms: number): Promise<void> => {
        for (let passedMs = 0; passedMs < ms; passedMs += 5_000) {
          await eventually(() => clock.sleepers() > 0);
          await clock.advance(5_000);
          await systemClock.sleep(50);
        }
      };
      await pass(25_000);
      expect({ made, done }).toEqual({ made: 1, done: [] });

      await pass(20_000);

      await eventually(() => expect(done).toEqual([1]), { timeoutMs: 10_000 });
      expect(made).toBe(2);
    } finally {
      await queue.stop?.();
      await Promise.all([worker.stop?.(), eventually(() => clock.advance(5_000).then(() => true))]);
      await real.stop();
      await server.stop();
    }
  }, 60_000);
});
