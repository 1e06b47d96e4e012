// How does work get its turn, once and on schedule, whatever happens to Redis? A BullMQ queue, a worker, and a look once a minute
// whether the schedule and all unfinished work are still known there (a flushed or rolled-back Redis has forgotten them).
import { randomUUID } from 'node:crypto';
import { ok, queues, refuse, type BackupJob, type Result } from '@switchyard/protocol';
import { failOperation, isFinished, type OperationRecord } from '@switchyard/backup';
import { createJobQueue, createJobWorker, type JobQueue } from '@switchyard/redis/queues';
import type { RedisConnections } from '@switchyard/redis';
import { createTicker, type Clock, type Component, type Health, type Logger } from '@switchyard/runtime';
import { operationOf, type BackupWork } from './backup-work.ts';
import type { OperationRunner } from '../operations/operation-runner.ts';
import type { Operations } from '../operations/operations.ts';
import { withReadyQueues } from './ready-queues.ts';

/** The queue of backups and verifications. */
export interface BackupQueue extends Component {
  /** Puts work into the queue; resolves with its operation. Rejects while Redis is away. */
  submit(job: BackupJob): Promise<Result<OperationRecord>>;
  /** Ends an operation that waits or runs. Refuses with `not_found`, or with `conflict` when it has ended already. */
  cancel(id: string): Promise<Result<OperationRecord>>;
}

const lookEveryMs = 60_000;
/** Work that nobody took up for so long is not wanted any more. */
const longestWaitMs = 6 * 3_600_000;
const attempts = 5;
const cancelWaitMs = 5_000;

/** The queue; `start` waits for Redis. */
export function createBackupQueue(options: {
  readonly connections: RedisConnections;
  readonly operations: Operations;
  readonly runner: Pick<OperationRunner, 'cancel' | 'ended'>;
  readonly work: BackupWork;
  /** What is scheduled. */
  readonly group: string;
  readonly everyMs: number;
  /** Why no backup of the group can be taken at all; then none is scheduled. */
  readonly cannot: string | null;
  readonly clock: Clock;
  readonly health: Health;
  readonly logger: Logger;
}): BackupQueue {
  const { connections, operations, runner, work, group, everyMs, cannot, clock, health, logger } = options;
  let queue: JobQueue<BackupJob> | undefined;
  let worker: Component | undefined;

  const enqueue = async (target: JobQueue<BackupJob>, job: BackupJob, id: string): Promise<void> => {
    await target.add(job.task, { ...job, operation: id }, { jobId: id, attempts });
  };

  const look = async (): Promise<void> => {
    if (queue === undefined) return;
    if (cannot === null) {
      await queue.schedule(`backup-${group}`, everyMs, { name: 'backup', data: { task: 'backup', group } });
    }
    for (const record of operations.list()) {
      if (isFinished(record) || !isQueued(record) || work.isRunning(record.id)) continue;
      if (clock.unixMs() - record.createdAtMs > longestWaitMs) operations.change(record.id, forgotten(clock.unixMs()));
      // A job that the queue still knows by this id is not added twice.
      else await enqueue(queue, jobOf(record), record.id);
    }
    const detail = cannot ?? `a backup of ${group} every ${everyMs} ms`;
    health.set('schedule', { ok: cannot === null, critical: false, detail });
  };
  const ticker = createTicker({ name: 'backup-schedule', everyMs: lookEveryMs, run: look, clock, logger });

  return {
    name: 'backup-queue',
    start: async (signal) => {
      health.set('queue', { ok: false, detail: 'waits for Redis' });
      const ready = await withReadyQueues(connections, 2, signal);
      queue = createJobQueue<BackupJob>(ready, queues.backup, logger);
      worker = createJobWorker<BackupJob>(ready, {
        queue: queues.backup,
        process: (job, stopping) => work.process(job, stopping),
        clock,
        logger,
      });
      await worker.start?.(signal);
      health.set('queue', { ok: true });
      await ticker.start(signal);
    },
    stop: async () => {
      await ticker.stop();
      await worker?.stop?.();
      await queue?.stop?.();
      await operations.settled();
    },
    submit: async (job) => {
      if (queue === undefined) return refuse('not_ready', 'The queue is not open yet: Redis was not reached so far.');
      const id = `op-${randomUUID()}`;
      const added = await operations.add(operationOf(job, id, clock.unixMs()));
      if (!added.ok) return added;
      try {
        await enqueue(queue, job, id);
      } catch (error) {
        const detail = 'It could not be put into the queue.';
        operations.change(id, (record) =>
          failOperation(record, { refusal: { code: 'redis_unavailable', detail } }, clock.unixMs()),
        );
        throw error;
      }
      return added;
    },
    cancel: async (id) => {
      const record = operations.get(id);
      if (record === undefined) return refuse('not_found', `There is no operation ${id}.`);
      if (isFinished(record)) return refuse('conflict', `The operation ${id} has ended: ${record.state}.`);
      if (runner.cancel(id)) {
        // What must not be cut off (a rollback that has begun to commit) says by its end how it went.
        await Promise.race([runner.ended(id), clock.sleep(cancelWaitMs)]);
        return ok(operations.get(id) ?? record);
      }
      const refusal = { code: 'cancelled', detail: 'It was cancelled.' } as const;
      const cancelled = operations.change(id, (one) => failOperation(one, { refusal }, clock.unixMs())) ?? record;
      work.abort(id);
      // Were it to stay in the queue, its turn would end at once: the operation has ended.
      await queue?.remove(id).catch(() => false);
      await operations.settled();
      return ok(cancelled);
    },
  };
}

/** Whether it is work of the queue; all else runs without one. */
function isQueued({ kind }: OperationRecord): boolean {
  return kind === 'backup' || kind === 'verify';
}

function jobOf({ id, kind, subject }: OperationRecord): BackupJob {
  return kind === 'verify'
    ? { task: 'verify', label: subject, operation: id }
    : { task: 'backup', group: subject, operation: id };
}

function forgotten(nowMs: number): (record: OperationRecord) => OperationRecord {
  const refusal = { code: 'timed_out', detail: 'Nobody took it up for hours.' } as const;
  return (record) => failOperation(record, { refusal }, nowMs);
}
