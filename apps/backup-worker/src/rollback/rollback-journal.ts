// What must the next process know? Which rollback was under way, how far it was, which settings are to be put back, and how it ended:
// one document for each, in the repository, because Redis may be what is rolled back. It holds no secrets.
import { hostname } from 'node:os';
import { layout, type RollbackSetting, type RollbackState } from '@switchyard/backup';
import type { BackupManifest, DataDiff, RestorePoint, RollbackRequest, SafetyPoint } from '@switchyard/protocol';
import type { Clock, Logger } from '@switchyard/runtime';
import { ObjectStoreError, type ObjectStore } from '../repository/object-store.ts';

/** A document of the journal. Times are unix ms. */
export interface RollbackRecord {
  readonly formatVersion: 1;
  readonly id: string;
  readonly group: string;
  readonly request: RollbackRequest;
  readonly beganAtMs: number;
  readonly writtenAtMs: number;
  /** Who works on it. */
  readonly by: { readonly instance: string; readonly host: string; readonly pid: number };
  readonly point: RestorePoint;
  /** The catalog in it was marked: its readers begin a new epoch. */
  readonly marked: boolean;
  /** Of the data set that is handed over, the mark included. */
  readonly keys: BackupManifest['keys'];
  readonly diff: DataDiff;
  readonly warnings: readonly string[];
  readonly safetyPoint: SafetyPoint | null;
  readonly state: RollbackState;
  /** When each step began. */
  readonly steps: readonly { readonly waitsFor: RollbackState['waitsFor']; readonly atMs: number }[];
  /** Managers that were told, and are to be told that it is over. */
  readonly managers: readonly string[];
  /** Null until it has ended. */
  readonly result: Readonly<Record<string, unknown>> | null;
  /** Settings that are still to be put back. */
  readonly left: readonly RollbackSetting[];
}

/** The documents of a group. Methods reject with an ObjectStoreError. */
export interface RollbackJournal {
  write(record: RollbackRecord, signal: AbortSignal): Promise<void>;
  /** Newest first; what cannot be read is left out and logged. */
  list(signal: AbortSignal): Promise<readonly RollbackRecord[]>;
  /** Removes the oldest that have ended, beyond a hundred. */
  prune(signal: AbortSignal): Promise<void>;
}

const mostKept = 100;
const longestRecordBytes = 1024 * 1024;

/** The journal of `group` in `store`. */
export function createRollbackJournal(options: {
  readonly store: Pick<ObjectStore, 'list' | 'read' | 'put' | 'remove'>;
  readonly group: string;
  readonly logger: Logger;
}): RollbackJournal {
  const { store, group, logger } = options;
  /** What has ended never changes, so it is read once. */
  const ended = new Map<string, RollbackRecord>();

  const read = async (name: string, signal: AbortSignal): Promise<RollbackRecord | null> => {
    const known = ended.get(name);
    if (known !== undefined) return known;
    try {
      const record = JSON.parse(
        (await store.read(name, longestRecordBytes, signal)).toString('utf8'),
      ) as RollbackRecord;
      if (record.formatVersion !== 1 || record.group !== group || typeof record.state.waitsFor !== 'string')
        throw new Error('foreign');
      if (isOver(record)) ended.set(name, record);
      return record;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ObjectStoreError && error.kind !== 'missing') throw error;
      logger.warn({ group, name, err: error }, 'rollback.record_unreadable');
      return null;
    }
  };
  const list = async (signal: AbortSignal): Promise<readonly RollbackRecord[]> => {
    const found: RollbackRecord[] = [];
    for await (const { name } of store.list(layout.rollbacks(group), signal)) {
      const record = name.endsWith('.json') ? await read(name, signal) : null;
      if (record !== null) found.push(record);
    }
    return found.toSorted((a, b) => b.beganAtMs - a.beganAtMs);
  };

  return {
    write: async (record, signal) => {
      const name = layout.rollback(group, record.id);
      ended.delete(name);
      await store.put(name, Buffer.from(`${JSON.stringify(record)}\n`), { signal });
    },
    list,
    prune: async (signal) => {
      const old = (await list(signal)).filter(isOver).slice(mostKept);
      for (const { id } of old) {
        ended.delete(layout.rollback(group, id));
        await store.remove(layout.rollback(group, id), signal);
      }
    },
  };
}

/** Nothing is left to be done about it. */
export function isOver({ state, left }: RollbackRecord): boolean {
  return state.waitsFor === 'ended' && left.length === 0;
}

/** Who writes a record now. */
export function thisWorker(instance: string): RollbackRecord['by'] {
  return { instance, host: hostname(), pid: process.pid };
}

/** A record that nobody has touched for so long has lost its worker. */
const abandonedAfterMs = 8_000;

/** Whether its worker is gone: for sure on this machine, by its silence on another one. */
export function isAbandoned({ by, writtenAtMs }: RollbackRecord, clock: Clock): boolean {
  if (by.host !== hostname()) return clock.unixMs() - writtenAtMs > abandonedAfterMs;
  if (by.pid === process.pid) return true;
  try {
    process.kill(by.pid, 0);
    return clock.unixMs() - writtenAtMs > abandonedAfterMs;
  } catch {
    return true;
  }
}
