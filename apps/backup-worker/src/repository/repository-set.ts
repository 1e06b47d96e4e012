// How are several repositories one? The first is written to; copies of what is in it are made in the others (repository-copier.ts), and
// what is missing or unreadable in one is read from the next. A listing shows what any of them has.
import type { Readable } from 'node:stream';
import { ObjectStoreError, type ObjectStore, type StoredObject } from './object-store.ts';

/** Several repositories as one, and what happened to it since. */
export interface RepositorySet extends ObjectStore {
  readonly copies: readonly ObjectStore[];
  /** Called with each name that was written to the first one. */
  onWritten(listener: (name: string) => void): void;
  /** Tries again to remove from the others what could not be removed there; resolves with how many are left. */
  removePending(signal: AbortSignal): Promise<number>;
}

/** Others than the first are not asked again for so long after they failed to answer. */
const restMs = 30_000;
/** They get so long where another one has answered already. */
const patienceMs = 10_000;
const mostPending = 10_000;

/** `stores` in the order in which they are read; the first one is written to. `nowMs` is monotonic. */
export function createRepositorySet(
  stores: readonly [ObjectStore, ...ObjectStore[]],
  nowMs: () => number,
): RepositorySet {
  const [first, ...others] = stores;
  const restsUntilMs = new Map<ObjectStore, number>();
  const pending = new Map<string, { readonly store: ObjectStore; readonly name: string }>();
  const listeners: ((name: string) => void)[] = [];

  const isResting = (store: ObjectStore): boolean => nowMs() < (restsUntilMs.get(store) ?? -Infinity);
  const failed = (store: ObjectStore, error: unknown): void => {
    const isAway = !(error instanceof ObjectStoreError) || error.kind === 'unreachable';
    if (store !== first && isAway) restsUntilMs.set(store, nowMs() + restMs);
  };
  const awake = (): ObjectStore[] => stores.filter((store) => store === first || !isResting(store));
  const soon = (store: ObjectStore, signal: AbortSignal): AbortSignal =>
    store === first ? signal : AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);

  /** The first answer; missing only when it is missing wherever it could be asked for. */
  const anyOf = async <T>(signal: AbortSignal, ask: (store: ObjectStore) => Promise<T>): Promise<T> => {
    let told: { readonly error: unknown; readonly isMissing: boolean } | undefined;
    for (const store of awake()) {
      try {
        return await ask(store);
      } catch (error) {
        signal.throwIfAborted();
        failed(store, error);
        const isMissing = error instanceof ObjectStoreError && error.kind === 'missing';
        if (told === undefined || (told.isMissing && !isMissing && store === first)) told = { error, isMissing };
      }
    }
    throw told?.error;
  };

  async function* list(prefix: string, signal: AbortSignal): AsyncGenerator<StoredObject> {
    const heads: Head[] = [];
    let firstError: { readonly error: unknown } | undefined;
    const advance = async (head: Head): Promise<void> => {
      try {
        const next = await head.objects.next();
        head.next = next.done === true ? undefined : next.value;
      } catch (error) {
        signal.throwIfAborted();
        failed(head.store, error);
        if (head.store === first) firstError = { error };
        head.next = undefined;
        head.hasFailed = true;
      }
    };
    for (const store of awake()) {
      const objects = store.list(prefix, soon(store, signal))[Symbol.asyncIterator]();
      heads.push({ store, objects, next: undefined, hasFailed: false });
    }
    await Promise.all(heads.map(advance));
    if (firstError !== undefined && heads.every(({ hasFailed }) => hasFailed)) throw firstError.error;
    for (;;) {
      const names = heads.flatMap(({ next }) => (next === undefined ? [] : [next.name]));
      if (names.length === 0) return;
      const name = names.reduce((least, one) => (one < least ? one : least));
      const having = heads.filter(({ next }) => next?.name === name);
      const [object] = having.flatMap(({ next }) => next ?? []);
      await Promise.all(having.map(advance));
      if (object !== undefined && !isPending(object.name)) yield object;
    }
  }

  const keyOf = (store: ObjectStore, name: string): string => `${stores.indexOf(store)} ${name}`;
  const isPending = (name: string): boolean => others.some((store) => pending.has(keyOf(store, name)));
  const written = (name: string): void => {
    for (const store of others) pending.delete(keyOf(store, name));
    for (const listener of listeners) listener(name);
  };

  return {
    place: stores.map(({ place }) => place).join(', '),
    copies: stores,

    prepare: async (signal) => {
      await first.prepare(signal);
      // The others are in nobody's way: their state is shown by the copier.
      for (const store of others)
        if (!isResting(store)) await store.prepare(soon(store, signal)).catch((error: unknown) => failed(store, error));
      signal.throwIfAborted();
    },

    list,

    folders: async (prefix, signal) => {
      const found = await Promise.all(
        awake().map(async (store) => {
          try {
            return await store.folders(prefix, soon(store, signal));
          } catch (error) {
            signal.throwIfAborted();
            failed(store, error);
            return { error };
          }
        }),
      );
      const answers = found.flatMap((one) => ('error' in one ? [] : [one]));
      const [firstAnswer] = found;
      if (answers.length === 0 && firstAnswer !== undefined && 'error' in firstAnswer) throw firstAnswer.error;
      return [...new Set(answers.flat())].toSorted((a, b) => (a < b ? -1 : 1));
    },

    get: (name, options): Promise<Readable> => anyOf(options.signal, (store) => store.get(name, options)),
    read: (name, mostBytes, signal) => anyOf(signal, (store) => store.read(name, mostBytes, signal)),

    put: async (name, body, options) => {
      await first.put(name, body, options);
      written(name);
    },
    putStream: async (name, body, signal) => {
      const put = await first.putStream(name, body, signal);
      written(name);
      return put;
    },

    remove: async (name, signal) => {
      await first.remove(name, signal);
      for (const store of others) {
        if (pending.size < mostPending) pending.set(keyOf(store, name), { store, name });
        if (isResting(store)) continue;
        try {
          await store.remove(name, soon(store, signal));
          pending.delete(keyOf(store, name));
        } catch (error) {
          signal.throwIfAborted();
          failed(store, error);
        }
      }
    },

    onWritten: (listener) => void listeners.push(listener),

    removePending: async (signal) => {
      for (const [key, { store, name }] of pending) {
        if (isResting(store)) continue;
        try {
          await store.remove(name, signal);
          pending.delete(key);
        } catch (error) {
          signal.throwIfAborted();
          failed(store, error);
        }
      }
      return pending.size;
    },

    close: async () => {
      for (const store of stores) await store.close();
    },
  };
}

interface Head {
  readonly store: ObjectStore;
  readonly objects: AsyncIterator<StoredObject>;
  next: StoredObject | undefined;
  hasFailed: boolean;
}
