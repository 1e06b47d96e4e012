// How does long work run that must not need a queue? At once, in this process, as an operation: a rollback is wanted most when Redis,
// and with it every queue, is what has to be rolled back.
import { randomUUID } from 'node:crypto';
import { ok, refuse, type Refusal, type Result } from '@switchyard/protocol';
import {
  advanceOperation,
  failOperation,
  isFinished,
  queuedOperation,
  startOperation,
  succeedOperation,
  type OperationRecord,
  type PlannedStep,
} from '@switchyard/backup';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { Report } from '../backups/take-backup.ts';
import { refusalOfWork } from '../work-refusal.ts';
import type { Operations } from './operations.ts';

/** Work for the runner. */
export interface DirectWork {
  readonly kind: string;
  readonly subject: string;
  readonly plan: readonly PlannedStep[];
  /** Given for work that goes on after a restart. */
  readonly id?: string;
  /** Resolves with its result, or with why not; may give a result along with the refusal. I/O errors reject. Ends soon after the signal. */
  run(work: DirectWorkTools): Promise<DirectOutcome>;
}

/** How it ended. */
export type DirectOutcome =
  | Result<Readonly<Record<string, unknown>>>
  | { readonly ok: false; readonly error: Refusal; readonly result: Readonly<Record<string, unknown>> };

/** What work is given. */
export interface DirectWorkTools {
  readonly id: string;
  readonly report: Report;
  /** Aborted by DELETE /v1/operations/{id} and by the end of the process. */
  readonly signal: AbortSignal;
}

/** Runs work at once. */
export interface OperationRunner extends Component {
  /** Begins; the operation is on the disk when it resolves. Refuses with `overloaded` when too much is under way. */
  begin(work: DirectWork): Promise<Result<OperationRecord>>;
  /** Ends one that runs here; false when there is none by that id. Work that must not be cut off ends by itself, soon. */
  cancel(id: string): boolean;
  /** Resolves when it has ended. */
  ended(id: string): Promise<void>;
}

const defect: Refusal = { code: 'internal', detail: 'The work failed for a reason that is in the log.' };

/** A runner; `stop` aborts what runs and waits for it. */
export function createOperationRunner(options: {
  readonly operations: Operations;
  readonly clock: Clock;
  readonly logger: Logger;
}): OperationRunner {
  const { operations, clock, logger } = options;
  const running = new Map<string, { readonly cancel: AbortController; readonly done: Promise<void> }>();

  const finish = (id: string, outcome: DirectOutcome, cancelled: boolean): void => {
    operations.change(id, (record) => {
      if (outcome.ok) return succeedOperation(record, outcome.value, clock.unixMs());
      const result = 'result' in outcome ? { result: outcome.result } : {};
      const refusal = cancelled ? { ...outcome.error, code: 'cancelled' as const } : outcome.error;
      return failOperation(record, { refusal, ...result }, clock.unixMs());
    });
    if (!outcome.ok) {
      const { code, detail, why } = outcome.error;
      logger.warn({ operation: id, code, detail, why }, 'operation.failed');
    }
  };

  const carryOut = async (id: string, work: DirectWork, cancel: AbortController): Promise<void> => {
    const report: Report = (step, progress) =>
      void operations.change(id, (record) => advanceOperation(record, step, { ...progress, atMs: clock.unixMs() }));
    let outcome: DirectOutcome;
    try {
      outcome = await work.run({ id, report, signal: cancel.signal });
    } catch (error) {
      const known = cancel.signal.aborted
        ? { code: 'cancelled' as const, detail: 'It was cancelled.' }
        : refusalOfWork(error);
      if (known === undefined) logger.error({ err: error, operation: id }, 'operation.defect');
      outcome = { ok: false, error: known ?? defect };
    }
    finish(id, outcome, cancel.signal.aborted && !outcome.ok && outcome.error.code === 'cancelled');
    running.delete(id);
    await operations.settled();
  };

  return {
    name: 'operations',
    stopDeadlineMs: 30_000,
    begin: async (work) => {
      const id = work.id ?? `op-${randomUUID()}`;
      if (running.has(id)) return refuse('conflict', `The operation ${id} is under way.`);
      const { kind, subject, plan } = work;
      const known = operations.get(id);
      if (known === undefined || isFinished(known)) {
        const added = await operations.add(queuedOperation({ id, kind, subject, plan }, clock.unixMs()));
        if (!added.ok) return added;
      }
      const begun = operations.change(id, (record) => startOperation(record, clock.unixMs()));
      if (begun === undefined) return refuse('internal', `The operation ${id} was forgotten.`);
      const cancel = new AbortController();
      running.set(id, { cancel, done: carryOut(id, work, cancel) });
      return ok(begun);
    },
    cancel: (id) => {
      const found = running.get(id);
      found?.cancel.abort(new Error('cancelled'));
      return found !== undefined;
    },
    ended: async (id) => running.get(id)?.done,
    stop: async () => {
      for (const { cancel } of running.values()) cancel.abort(new Error('the worker stops'));
      await Promise.all([...running.values()].map(({ done }) => done));
    },
  };
}
