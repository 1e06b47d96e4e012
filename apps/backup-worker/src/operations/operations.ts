// What long work is there, and how did it end? In memory, with one small file for each change of state beside the backups, so
// that a restarted worker still knows it, also when Redis is away.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ok, refuse, type Result } from '@switchyard/protocol';
import {
  failOperation,
  forgettable,
  interruptOperation,
  isFinished,
  learnWeights,
  type OperationRecord,
} from '@switchyard/backup';
import type { Logger } from '@switchyard/runtime';
import { writeDurably } from '../repository/durable-file.ts';
import { textOf } from '../system-error.ts';

/** The operations of this worker. */
export interface Operations {
  /** Reads what an earlier process left; its unfinished work waits to be tried again. */
  load(): Promise<void>;
  /** Newest first. */
  list(): readonly OperationRecord[];
  get(id: string): OperationRecord | undefined;
  /** Adds new work once it is written down. Refuses with `overloaded` when too much waits already. Rejects on I/O errors. */
  add(record: OperationRecord): Promise<Result<OperationRecord>>;
  /** Changes a known one; its file follows when its state has changed. Undefined when it is not known. */
  change(id: string, step: (record: OperationRecord) => OperationRecord): OperationRecord | undefined;
  /** Calls back after each change of one operation, until the returned function is called. Undefined when too many listen already. */
  watch(id: string, listener: (record: OperationRecord) => void): (() => void) | undefined;
  /** Resolves when every change is on the disk, or could not be written. */
  settled(): Promise<void>;
}

const mostKept = 200;
const mostUnfinished = 20;
const mostListeners = 200;

/** The operations kept in `directory`. Nothing is read or written before a method is called. */
export function createOperations(directory: string, logger: Logger): Operations {
  const records = new Map<string, OperationRecord>();
  const unwritten = new Set<string>();
  let writing: Promise<void> = Promise.resolve();
  let fault = '';
  const listeners = new Set<{ readonly id: string; readonly listener: (record: OperationRecord) => void }>();

  const fileOf = (id: string): string => join(directory, `${id}.json`);

  const writeAll = async (): Promise<void> => {
    for (const id of unwritten) {
      unwritten.delete(id);
      const record = records.get(id);
      try {
        if (record === undefined) await rm(fileOf(id), { force: true });
        else await writeDurably(fileOf(id), `${JSON.stringify(record)}\n`);
        fault = '';
      } catch (error) {
        const message = textOf(error);
        // The work itself goes on: what is lost is its memory after a restart.
        if (message !== fault) logger.warn({ err: error, operation: id }, 'operation.not_written');
        fault = message;
      }
    }
  };
  const keep = (record: OperationRecord): void => {
    records.set(record.id, record);
    for (const id of forgettable([...records.values()], mostKept)) {
      records.delete(id);
      unwritten.add(id);
    }
  };
  const write = (): void => {
    writing = writing.then(writeAll);
  };
  const remember = (record: OperationRecord): void => {
    keep(record);
    unwritten.add(record.id);
    write();
  };

  return {
    load: async () => {
      await mkdir(directory, { recursive: true, mode: 0o750 });
      for (const name of await readdir(directory)) {
        if (!name.endsWith('.json')) continue;
        const record = await readRecord(join(directory, name));
        if (record === undefined) logger.warn({ file: name }, 'operation.unreadable');
        else if (isFinished(record)) keep(record);
        else remember(afterRestart(record));
      }
      write();
      await writing;
    },
    list: () => [...records.values()].toSorted((a, b) => b.createdAtMs - a.createdAtMs),
    get: (id) => records.get(id),
    add: async (given) => {
      const record = learnWeights(given, [...records.values()]);
      const unfinished = [...records.values()].filter((one) => !isFinished(one)).length;
      if (unfinished >= mostUnfinished)
        return refuse('overloaded', `${unfinished} operations wait already.`, {
          next: 'Wait until some have ended, or cancel them with DELETE /v1/operations/{id}.',
        });
      await mkdir(directory, { recursive: true, mode: 0o750 });
      await writeDurably(fileOf(record.id), `${JSON.stringify(record)}\n`);
      keep(record);
      write();
      return ok(record);
    },
    change: (id, step) => {
      const before = records.get(id);
      if (before === undefined) return undefined;
      const after = step(before);
      if (after.state === before.state) records.set(id, after);
      else remember(after);
      if (after !== before) for (const one of listeners) if (one.id === id) one.listener(after);
      return after;
    },
    watch: (id, listener) => {
      if (listeners.size >= mostListeners) return undefined;
      const one = { id, listener };
      listeners.add(one);
      return () => listeners.delete(one);
    },
    settled: () => writing,
  };
}

/** Work that is taken up again: by the queue, or because a journal says how far it was. All other work has to be asked for again. */
const takenUpAgain: ReadonlySet<string> = new Set(['backup', 'verify', 'rollback']);

function afterRestart(record: OperationRecord): OperationRecord {
  if (takenUpAgain.has(record.kind)) return interruptOperation(record, 'the worker was restarted');
  const refusal = {
    code: 'cancelled',
    detail: 'The worker was restarted while this was under way.',
    next: 'Start it again: nothing was left half-done.',
  } as const;
  // When it ended nobody saw: the last moment that is known.
  return failOperation(record, { refusal }, record.startedAtMs ?? record.createdAtMs);
}

// Only this program writes these files; the check is for files that were cut off or put there by somebody else.
async function readRecord(path: string): Promise<OperationRecord | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<OperationRecord> | null;
    const isWhole =
      typeof value?.id === 'string' &&
      path.endsWith(`${value.id}.json`) &&
      typeof value.kind === 'string' &&
      typeof value.subject === 'string' &&
      typeof value.createdAtMs === 'number' &&
      Array.isArray(value.steps) &&
      typeof value.state === 'string';
    return isWhole ? (value as OperationRecord) : undefined;
  } catch {
    return undefined;
  }
}
