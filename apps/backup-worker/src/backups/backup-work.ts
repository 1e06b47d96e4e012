// What happens when a job's turn comes? It runs as an operation: with steps and percent, an end with a reason, and a way to cancel.
import { backupJobSchema, decode, errorTable, type BackupJob, type Refusal, type Result } from '@switchyard/protocol';
import {
  advanceOperation,
  backupPlan,
  failOperation,
  interruptOperation,
  isFinished,
  queuedOperation,
  startOperation,
  succeedOperation,
  verifyPlan,
  viewBackup,
  type OperationRecord,
} from '@switchyard/backup';
import type { Clock, Logger } from '@switchyard/runtime';
import type { BackupMetrics } from './backup-metrics.ts';
import type { Operations } from '../operations/operations.ts';
import type { BackupTaker, Report } from './take-backup.ts';
import type { BackupVerifier } from './verify-backup.ts';
import { refusalOfWork } from '../work-refusal.ts';

/** The part of a BullMQ job that matters here. */
export interface WorkItem {
  readonly id?: string | undefined;
  readonly data: unknown;
  readonly attemptsMade: number;
  readonly opts: { readonly attempts?: number | undefined };
}

/** Does the work of the queue. */
export interface BackupWork {
  /** Runs one job. Rejects when it should be tried again (or cannot be any more): the queue counts that. */
  process(item: WorkItem, signal: AbortSignal): Promise<unknown>;
  /** Ends an operation that is running here; without effect on others. */
  abort(operation: string): void;
  /** Whether it is running here. */
  isRunning(operation: string): boolean;
}

/** An operation that has not begun. */
export function operationOf(job: BackupJob, id: string, nowMs: number): OperationRecord {
  return job.task === 'backup'
    ? queuedOperation({ id, kind: 'backup', subject: job.group, plan: backupPlan }, nowMs)
    : queuedOperation({ id, kind: 'verify', subject: job.label, plan: verifyPlan }, nowMs);
}

/** The work of this worker. */
export function createBackupWork(options: {
  readonly operations: Operations;
  readonly takeBackup: BackupTaker;
  readonly verifyBackup: BackupVerifier;
  readonly prune: (group: string) => Promise<readonly string[]>;
  readonly metrics: BackupMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}): BackupWork {
  const { operations, metrics, clock, logger } = options;
  const running = new Map<string, AbortController>();

  const carryOut = (job: BackupJob, report: Report, signal: AbortSignal): Promise<Result<Outcome>> =>
    job.task === 'backup' ? backUp(job.group, report, signal) : verify(job, report, signal);

  const backUp = async (group: string, report: Report, signal: AbortSignal): Promise<Result<Outcome>> => {
    const taken = await options.takeBackup(group, { report, signal });
    if (!taken.ok) return taken;
    const view = viewBackup(taken.value);
    logger.info({ group, label: view.label, bytes: view.bytes, keys: view.keys }, 'backup.taken');
    // The backup exists; that old ones could not be removed does not change that.
    const removed = await options.prune(group).catch((error: unknown) => {
      logger.warn({ err: error, group }, 'backup.not_pruned');
      return [];
    });
    const { label, state, bytes, rawBytes, keys } = view;
    return { ok: true, value: { refusal: null, result: { label, group, state, bytes, rawBytes, keys, removed } } };
  };

  const verify = async (
    job: Extract<BackupJob, { task: 'verify' }>,
    report: Report,
    signal: AbortSignal,
  ): Promise<Result<Outcome>> => {
    const verified = await options.verifyBackup(job, { report, signal });
    if (!verified.ok) return verified;
    const { backup, verification, refusal } = verified.value;
    const { label, group } = backup.manifest;
    if (refusal !== null) logger.error({ group, label, why: refusal.why }, 'backup.corrupt');
    const { ok, keys, digest, problem, tookMs, stream = null } = verification;
    return { ok: true, value: { refusal, result: { label, group, ok, keys, digest, problem, tookMs, stream } } };
  };

  return {
    process: async (item, signal) => {
      const decoded = decode(backupJobSchema, item.data, 'the job');
      if (!decoded.ok) {
        logger.warn({ job: item.id, why: decoded.error.why }, 'job.nonsense');
        return { state: 'refused' };
      }
      const job = decoded.value;
      const id = job.operation ?? operationIdOf(item);
      const known = operations.get(id);
      if (known === undefined) {
        const added = await operations.add(operationOf(job, id, clock.unixMs()));
        if (!added.ok) throw new Error(added.error.detail);
      } else if (isFinished(known)) {
        // Cancelled while it waited, or done before the queue could hear of it.
        return { operation: id, state: known.state };
      }
      const cancel = new AbortController();
      running.set(id, cancel);
      operations.change(id, (record) => startOperation(record, clock.unixMs()));
      const startedMs = clock.monotonicMs();
      const report: Report = (step, progress) =>
        void operations.change(id, (record) => advanceOperation(record, step, { ...progress, atMs: clock.unixMs() }));
      const finish = (step: (record: OperationRecord) => OperationRecord): OperationRecord['state'] =>
        operations.change(id, step)?.state ?? 'failed';
      try {
        const done = await carryOut(job, report, AbortSignal.any([signal, cancel.signal]));
        if (!done.ok) throw new ExpectedEnd(done.error);
        const { refusal, result } = done.value;
        const state = finish((record) =>
          refusal === null
            ? succeedOperation(record, result, clock.unixMs())
            : failOperation(record, { refusal, result }, clock.unixMs()),
        );
        metrics.ended(job.task, state, (clock.monotonicMs() - startedMs) / 1_000);
        return { operation: id, state };
      } catch (error) {
        if (cancel.signal.aborted) return { operation: id, state: operations.get(id)?.state };
        if (signal.aborted) {
          finish((record) => interruptOperation(record, 'the worker stopped; it is tried again'));
          throw error;
        }
        const refusal = error instanceof ExpectedEnd ? error.refusal : refusalOfWork(error);
        if (refusal === undefined) logger.error({ err: error, operation: id }, 'job.defect');
        return end({ id, item, task: job.task, refusal: refusal ?? defect, startedMs });
      } finally {
        running.delete(id);
        await operations.settled();
        await metrics.refresh();
      }
    },
    abort: (operation) => running.get(operation)?.abort(new Error('cancelled')),
    isRunning: (operation) => running.has(operation),
  };

  // Rejects while the queue will try again, and at the last try, so that the queue counts it; what is final by nature resolves.
  function end(failure: {
    readonly id: string;
    readonly item: WorkItem;
    readonly task: string;
    readonly refusal: Refusal;
    readonly startedMs: number;
  }): unknown {
    const { id, item, task, refusal, startedMs } = failure;
    const { retryable } = errorTable[refusal.code];
    const isLast = item.attemptsMade + 1 >= (item.opts.attempts ?? 1);
    if (retryable && !isLast) {
      operations.change(id, (record) => interruptOperation(record, `tried again after: ${refusal.detail}`));
      throw new Error(refusal.detail);
    }
    operations.change(id, (record) => failOperation(record, { refusal }, clock.unixMs()));
    metrics.ended(task, 'failed', (clock.monotonicMs() - startedMs) / 1_000);
    logger.warn(
      { operation: id, task, code: refusal.code, detail: refusal.detail, why: refusal.why },
      'operation.failed',
    );
    if (retryable) throw new Error(refusal.detail);
    return { operation: id, state: 'failed' };
  }
}

/** What work found; `refusal` when that is bad news. */
interface Outcome {
  readonly refusal: Refusal | null;
  readonly result: Readonly<Record<string, unknown>>;
}

class ExpectedEnd extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}

const defect: Refusal = { code: 'internal', detail: 'The work failed for a reason that is in the log.' };

// Scheduled jobs are named `repeat:<scheduler>:<ms>`; an operation's id is part of a URL and of a file's name.
function operationIdOf(item: WorkItem): string {
  return (item.id ?? 'job').replaceAll(/[^A-Za-z0-9._-]/g, '-').slice(0, 100);
}
