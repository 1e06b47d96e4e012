// Where are the outcomes of rehearsals kept? One small document for each in the repository, so that the trend outlives the worker.
import { decode, rehearsalSchema, type Rehearsal } from '@switchyard/protocol';
import { layout } from '@switchyard/backup';
import type { Logger } from '@switchyard/runtime';
import { ObjectStoreError, type ObjectStore } from '../repository/object-store.ts';

/** The rehearsals of one group. Methods reject with an ObjectStoreError. */
export interface RehearsalStore {
  /** Newest first, at most 400. What is no rehearsal is left out and logged once. */
  list(signal: AbortSignal): Promise<readonly Rehearsal[]>;
  /** Adds one; the oldest go when there are more than 400. */
  add(rehearsal: Rehearsal, signal: AbortSignal): Promise<void>;
}

/** More than a year of nights. */
const mostKept = 400;
const longestBytes = 64 * 1024;

/** Rehearsals of `group` in `store`. */
export function createRehearsalStore(options: {
  readonly store: Pick<ObjectStore, 'list' | 'read' | 'put' | 'remove'>;
  readonly group: string;
  readonly logger: Logger;
}): RehearsalStore {
  const { store, group, logger } = options;
  /** By name; they never change. Null is what cannot be read. */
  const known = new Map<string, Rehearsal | null>();

  const read = async (name: string, signal: AbortSignal): Promise<Rehearsal | null> => {
    try {
      const text = (await store.read(name, longestBytes, signal)).toString('utf8');
      const found = decode(rehearsalSchema, JSON.parse(text));
      if (found.ok) return found.value;
      logger.warn({ group, name, why: found.error.why }, 'rehearsal.unreadable');
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ObjectStoreError && error.retryable) throw error;
      logger.warn({ group, name, err: error }, 'rehearsal.unreadable');
    }
    return null;
  };
  const list = async (signal: AbortSignal): Promise<readonly Rehearsal[]> => {
    const names = new Set<string>();
    for await (const { name } of store.list(layout.rehearsals(group), signal)) {
      if (!name.endsWith('.json')) continue;
      names.add(name);
      if (!known.has(name)) known.set(name, await read(name, signal));
    }
    for (const name of known.keys()) if (!names.has(name)) known.delete(name);
    const found = [...known.values()].filter((rehearsal) => rehearsal !== null);
    return found.toSorted((a, b) => b.atMs - a.atMs).slice(0, mostKept);
  };

  return {
    list,
    add: async (rehearsal, signal) => {
      const name = layout.rehearsal(group, rehearsal.operation);
      await store.put(name, Buffer.from(`${JSON.stringify(rehearsal)}\n`), { signal });
      known.set(name, rehearsal);
      const kept = new Set((await list(signal)).map(({ operation }) => operation));
      for (const [other, found] of known)
        if (found !== null && !kept.has(found.operation)) await store.remove(other, signal);
    },
  };
}
