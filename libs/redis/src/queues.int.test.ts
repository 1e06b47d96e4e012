// Is a job done, whatever happens to the Redis that keeps it, and does a worker end when it is told to?
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, freePort, startRedis, startSentinelGroup } from '@switchyard/testing';
import type { SentinelGroup, TestRedis } from '@switchyard/testing';
import { replicatedPrimary } from './failover-fixture.ts';
import { createRedis, isRedisUnavailable } from './index.ts';
import type { RedisConnections, RedisSettings } from './index.ts';
import { createJobQueue, createJobWorker } from './queues.ts';
import type { Job, JobQueue } from './queues.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const signal = new AbortController().signal;
const single = (port: number): RedisSettings => ({
  kind: 'single',
  endpoint: { host: '127.0.0.1', port },
  group: 'main',
});

interface Task {
  readonly n: number;
}

/** A worker that notes what it has done, and what it holds back. */
function startWorker(connections: RedisConnections, queue: string, workMs: number) {
  const begun: number[] = [];
  const done: number[] = [];
  const worker = createJobWorker<Task>(connections, {
    queue,
    process: async (job: Job<Task>) => {
      begun.push(job.data.n);
      await systemClock.sleep(workMs);
      done.push(job.data.n);
    },
    clock: systemClock,
    logger,
  });
  return { worker, begun, done, started: worker.start?.(signal) };
}

const addUntilTaken = (queue: JobQueue<Task>, n: number): Promise<unknown> =>
  eventually(() => queue.add('count', { n }, { jobId: `n${n}` }), { timeoutMs: 10_000, what: `job ${n} is taken` });

describe('jobs on one Redis', () => {
  let server: TestRedis;
  let connections: RedisConnections;
  beforeEach(async () => {
    server = await startRedis();
    connections = createRedis(single(server.port), { logger, name: 'test' });
  });
  afterEach(async () => {
    await connections.stop();
    await server.stop();
  });

  it('can be added by a queue that was made before Redis was there, and fail at once until then', async () => {
    const port = await freePort();
    const early = createRedis(single(port), { logger, name: 'early' });
    const queue = createJobQueue<Task>(early, 'early', logger);
    const startedMs = performance.now();
    const fault = await queue.add('count', { n: 1 }).catch((error: unknown) => error);
    expect(isRedisUnavailable(fault)).toBe(true);
    expect(performance.now() - startedMs).toBeLessThan(2_000);

    const late = await startRedis({ port });
    try {
      await addUntilTaken(queue, 1);
      expect(await queue.counts()).toMatchObject({ waiting: 1 });
    } finally {
      await queue.stop?.();
      await early.stop();
      await late.stop();
    }
  });

  it('are done once for each id', async () => {
    const queue = createJobQueue<Task>(connections, 'ids', logger);
    const { worker, done } = startWorker(connections, 'ids', 0);
    for (const n of [1, 2, 2, 3]) await addUntilTaken(queue, n);

    await eventually(() => expect(done).toHaveLength(3));

    expect(done.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
    expect(await queue.counts()).toMatchObject({ waiting: 0, failed: 0 });
    await worker.stop?.();
    await queue.stop?.();
  });

  it('can be taken back before a worker has begun them', async () => {
    const queue = createJobQueue<Task>(connections, 'back', logger);
    await addUntilTaken(queue, 1);
    const { worker, done } = startWorker(connections, 'back', 300);
    await addUntilTaken(queue, 2);
    await eventually(async () => expect(await queue.counts()).toMatchObject({ active: 1, waiting: 1 }));

    expect(await queue.remove('n2')).toBe(true);
    expect(await queue.remove('n1')).toBe(false);
    expect(await queue.remove('unknown')).toBe(false);

    await eventually(() => expect(done).toEqual([1]));
    await worker.stop?.();
    await queue.stop?.();
  });

  it('come by the latest settings of a scheduler alone', async () => {
    const queue = createJobQueue<Task>(connections, 'clock', logger);
    await eventually(() => queue.schedule('tick', 3_600_000, { name: 'count', data: { n: 1 } }).then(() => true));
    await queue.schedule('tick', 100, { name: 'count', data: { n: 2 } });
    const { worker, done } = startWorker(connections, 'clock', 0);

    await eventually(() => expect(done.filter((n) => n === 2).length).toBeGreaterThan(2));
    await queue.schedule('tick', 3_600_000, { name: 'count', data: { n: 3 } });
    await eventually(async () => expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0 }));
    const before = done.length;
    await systemClock.sleep(400);

    expect(done.slice(before).filter((n) => n !== 3)).toEqual([]);
    // the next occurrence of one scheduler, not of three
    expect((await queue.counts())['delayed']).toBeLessThanOrEqual(1);
    await worker.stop?.();
    await queue.stop?.();
  });

  it('that are in work are finished when the worker stops, and no further one is begun', async () => {
    const queue = createJobQueue<Task>(connections, 'end', logger);
    const { worker, begun, done } = startWorker(connections, 'end', 500);
    await addUntilTaken(queue, 1);
    await eventually(() => expect(begun).toEqual([1]));
    await addUntilTaken(queue, 2);

    await worker.stop?.();

    expect(done).toEqual([1]);
    expect(begun).toEqual([1]);
    expect(await queue.counts()).toMatchObject({ completed: 1, active: 0, waiting: 1 });
    await queue.stop?.();
  });

  it('do not keep a worker from stopping in time, with Redis or without, in work or idle', async () => {
    const idle = startWorker(connections, 'idle', 0);
    const busy = startWorker(connections, 'busy', 300);
    const queue = createJobQueue<Task>(connections, 'busy', logger);
    await addUntilTaken(queue, 1);
    await eventually(() => expect(busy.begun).toEqual([1]));
    const nowhere = createRedis(single(await freePort()), { logger, name: 'nowhere' });
    const lost = startWorker(nowhere, 'lost', 0);
    await server.kill();
    await systemClock.sleep(100);

    const startedMs = performance.now();
    await Promise.all([idle.worker.stop?.(), busy.worker.stop?.(), lost.worker.stop?.(), queue.stop?.()]);

    // the stop of a component is unclean after 5000 ms
    expect(performance.now() - startedMs).toBeLessThan(4_500);
    expect(busy.done).toEqual([1]);
    await nowhere.stop();
  });
});

describe('jobs on a group that fails over', () => {
  let group: SentinelGroup;
  let connections: RedisConnections;
  beforeAll(async () => {
    group = await startSentinelGroup({ downAfterMs: 500 });
    const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
    connections = createRedis({ kind: 'sentinel', sentinels, group: group.group }, { logger, name: 'test' });
  });
  afterAll(async () => {
    await connections.stop();
    await group.stop();
  });

  it('are all done by a worker that was there before, after kill -9 of the primary in the middle', async () => {
    const queue = createJobQueue<Task>(connections, 'work', logger);
    const { worker, done } = startWorker(connections, 'work', 20);
    const before = Array.from({ length: 40 }, (_, i) => i);
    const after = Array.from({ length: 20 }, (_, i) => 100 + i);
    for (const n of before) await addUntilTaken(queue, n);
    await eventually(() => expect(done.length).toBeGreaterThan(5));
    // what was taken but not replicated yet would be lost with the primary, by design
    const primary = await replicatedPrimary(group);

    await primary.kill();

    for (const n of after) await addUntilTaken(queue, n);
    await eventually(() => expect(new Set(done)).toEqual(new Set([...before, ...after])), { timeoutMs: 20_000 });
    expect(await queue.counts()).toMatchObject({ waiting: 0, failed: 0 });
    await worker.stop?.();
    await queue.stop?.();
  });
});
