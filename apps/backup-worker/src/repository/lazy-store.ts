// When is the code of a kind of store loaded? When it is used for the first time: a worker with a directory never loads that for S3.
import type { ObjectStore } from './object-store.ts';

/** A store that is made at the first call; `load` is tried again when it fails. */
export function lazyStore(place: string, load: () => Promise<ObjectStore>): ObjectStore {
  let loading: Promise<ObjectStore> | undefined;
  const store = (): Promise<ObjectStore> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  return {
    place,
    prepare: async (signal) => (await store()).prepare(signal),
    list: async function* list(prefix, signal) {
      yield* (await store()).list(prefix, signal);
    },
    folders: async (prefix, signal) => (await store()).folders(prefix, signal),
    get: async (name, options) => (await store()).get(name, options),
    read: async (name, mostBytes, signal) => (await store()).read(name, mostBytes, signal),
    put: async (name, body, options) => (await store()).put(name, body, options),
    putStream: async (name, body, signal) => (await store()).putStream(name, body, signal),
    remove: async (name, signal) => (await store()).remove(name, signal),
    close: async () => {
      await (await loading)?.close();
    },
  };
}
