// How does slow work get done once, on schedule, through failovers? BullMQ, with connections that never hang.
//
// Facts from BullMQ's guides and issues 3088, 4378, 4586: a worker needs `maxRetriesPerRequest: null`; a lock must outlive a
// failover; a worker can stop taking jobs after an outage without an error, so one that makes no progress is made anew. From the
// source of 6.7: a Queue asks for Redis's version once, when it is made, and never works again if nobody answers then; `close`
// of a Worker waits for a Redis that is away.
import { Queue, Worker } from 'bullmq';
import type { Job, JobsOptions, Processor } from 'bullmq';
import { keys } from '@switchyard/protocol';
import { createTicker, withDeadline } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { RedisConnections } from './connection.ts';
import { confirmed, createDurableWriter } from './durability.ts';
import type { DurabilityLevel } from './durability-level.ts';

/** Longer than the worst failover, so that a job in work is not given to a second worker meanwhile. */
const LOCK_MS = 30_000;
/** A job whose worker died is found at the first look after its lock has ended, if a look before that has seen it in work. */
const STALLED_EVERY_MS = 10_000;
const STUCK_MS = 30_000;
const WATCH_EVERY_MS = 5_000;
/** How long a stop waits for the job in work; one that takes longer is begun again by another worker. */
const JOB_END_MS = 3_000;
const KEEP = { count: 200, age: 7 * 86_400 } as const;

const jobOptions: JobsOptions = {
  removeOnComplete: KEEP,
  removeOnFail: KEEP,
  attempts: 3,
  backoff: { type: 'exponential', delay: 1_000 },
};

export type { Job } from 'bullmq';

export interface JobQueue<T> extends Component {
  /**
   * Adds a job; the same `jobId` again adds nothing. Rejects while Redis is away, and when it is not known to be as safe as asked:
   * then it may be there.
   */
  add(name: string, data: T, options?: { readonly jobId?: string; readonly attempts?: number }): Promise<string>;
  /** Runs `name` every `everyMs`; the same scheduler again replaces its settings. */
  schedule(id: string, everyMs: number, job: { readonly name: string; readonly data: T }): Promise<void>;
  counts(): Promise<Record<string, number>>;
  /** Removes a job that no worker has begun; false when it is too late. */
  remove(jobId: string): Promise<boolean>;
}

/** A queue, and when a job counts as added: `async` unless given. */
export interface JobQueueOptions {
  readonly name: string;
  readonly durability?: DurabilityLevel;
}

/** The sending side of a queue, by its name or with options. */
export function createJobQueue<T extends object>(
  connections: RedisConnections,
  options: string | JobQueueOptions,
  logger: Logger,
): JobQueue<T> {
  const { name, durability: level = 'async' } = typeof options === 'string' ? { name: options } : options;
  const connection = connections.connect('queue');
  const writer = level === 'async' ? undefined : createDurableWriter(connections, { level, redis: connection, logger });
  const queue = new Queue(name, {
    connection,
    prefix: keys.queuePrefix,
    defaultJobOptions: jobOptions,
    // made before Redis is there; each command finds out by itself
    skipWaitingForReady: true,
    skipVersionCheck: true,
  });
  queue.on('error', (error: Error) => logger.debug({ fault: error.message }, 'queue.error'));
  return {
    name: `queue:${name}`,
    async add(job, data, jobSettings = {}) {
      const add = (): Promise<Job<T>> => queue.add(job, data, jobSettings) as Promise<Job<T>>;
      const added = writer === undefined ? await add() : confirmed(await writer.run(add));
      return String(added.id);
    },
    async schedule(id, everyMs, job) {
      await queue.upsertJobScheduler(id, { every: everyMs }, { name: job.name, data: job.data, opts: jobOptions });
    },
    counts: () => queue.getJobCounts('waiting', 'active', 'delayed', 'failed', 'completed'),
    async remove(jobId) {
      const job = await queue.getJob(jobId);
      if (!job || !((await job.isWaiting()) || (await job.isDelayed()))) return false;
      await job.remove();
      return true;
    },
    async stop() {
      await queue.close();
      connection.disconnect();
    },
  };
}

/** The working side: one job at a time. Carries on by itself after kill, freeze, or absence of Redis. */
export function createJobWorker<T extends object>(
  connections: RedisConnections,
  options: {
    readonly queue: string;
    readonly process: (job: Job<T>, signal: AbortSignal) => Promise<unknown>;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly concurrency?: number;
  },
): Component & { readonly running: boolean } {
  const { queue, process, clock, logger } = options;
  const watchQueue = createJobQueue<T>(connections, queue, logger);
  let worker: Worker | undefined;
  let connection: ReturnType<RedisConnections['connect']> | undefined;
  let stopping = new AbortController();
  const inWork = new Set<Promise<unknown>>();
  let progressAtMs = clock.monotonicMs();

  const progress = (): void => {
    progressAtMs = clock.monotonicMs();
  };
  const handle: Processor = async (job) => {
    const work = process(job as Job<T>, stopping.signal);
    inWork.add(work);
    progress();
    try {
      return await work;
    } finally {
      inWork.delete(work);
      progress();
    }
  };
  const open = (): void => {
    connection = connections.connect('worker');
    worker = new Worker(queue, handle, {
      connection,
      prefix: keys.queuePrefix,
      concurrency: options.concurrency ?? 1,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_EVERY_MS,
      maxStalledCount: 2,
      removeOnComplete: KEEP,
      removeOnFail: KEEP,
    });
    worker.on('error', (error) => logger.debug({ fault: error.message }, 'worker.error'));
    worker.on('failed', (job, error) =>
      logger.warn({ job: job?.id, task: job?.name, fault: error.message }, 'job.failed'),
    );
    progress();
  };
  /** Waits for the job in work, but not for a Redis that is away, and not for a worker that hangs: it would keep its timers for ever. */
  const close = async (isStuck = false): Promise<void> => {
    const [oldWorker, oldConnection] = [worker, connection];
    worker = undefined;
    try {
      const closed = oldWorker?.close(isStuck || oldConnection?.status !== 'ready');
      await withDeadline(Promise.allSettled([closed, ...inWork]), JOB_END_MS, `the end of the worker of ${queue}`);
    } catch (error) {
      logger.warn({ queue, inWork: inWork.size, err: error }, 'worker.abandoned');
    } finally {
      oldConnection?.disconnect();
    }
  };
  const watch = async (): Promise<void> => {
    const counts = await watchQueue.counts();
    if (inWork.size > 0 || (counts['waiting'] ?? 0) === 0) return progress();
    if (clock.monotonicMs() - progressAtMs < STUCK_MS) return;
    logger.warn({ queue, waiting: counts['waiting'] }, 'worker.stuck');
    await close(true);
    open();
  };
  const ticker = createTicker({ name: `worker-watch:${queue}`, everyMs: WATCH_EVERY_MS, run: watch, clock, logger });

  return {
    name: `worker:${queue}`,
    get running() {
      return worker?.isRunning() ?? false;
    },
    async start(signal) {
      stopping = new AbortController();
      open();
      await ticker.start(signal);
    },
    async stop() {
      stopping.abort(new Error('the worker is stopping'));
      await ticker.stop();
      await close();
      await watchQueue.stop?.();
    },
  };
}
