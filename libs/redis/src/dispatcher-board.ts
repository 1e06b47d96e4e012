// Where do dispatchers tell all others about themselves? In two hashes, with the time of each on Redis's clock beside them.
import type { Redis } from 'ioredis';
import {
  decodeJson,
  DISPATCHER_STALE_MS,
  dispatcherDrainsSchema,
  dispatcherStateSchema,
  keys,
} from '@switchyard/protocol';
import type { DispatcherDrains, DispatcherState, Result } from '@switchyard/protocol';
import { loadScript } from './script.ts';

/** A dispatcher that was heard, and what it told; undefined when that cannot be read, or it has told nothing yet. */
export interface HeardDispatcher<T> {
  readonly id: string;
  /** Ms since it was last heard, on Redis's clock. */
  readonly ageMs: number;
  readonly told: T | undefined;
}

/** What all dispatchers tell. Every method rejects while Redis is away. */
export interface DispatcherBoard {
  /** Tells what is given and counts as a sign of life. False when there are too many other dispatchers. */
  publish(id: string, told: { readonly state?: DispatcherState; readonly drains?: DispatcherDrains }): Promise<boolean>;
  /** Takes everything back that this dispatcher told: it has left. */
  withdraw(id: string): Promise<void>;
  states(): Promise<readonly HeardDispatcher<DispatcherState>[]>;
  /** With the epoch of the catalog now: what was told of another one says nothing about this one. */
  drains(): Promise<HeardDrains>;
}

/** What all dispatchers tell about instances that leave. */
export interface HeardDrains {
  readonly epoch: number;
  readonly dispatchers: readonly HeardDispatcher<DispatcherDrains>[];
}

const forgetAfterMs = 3 * DISPATCHER_STALE_MS;
/** More than this are not one group that a person looks at. */
const mostDispatchers = 64;

const publishScript = loadScript('publish-dispatcher');
const readScript = loadScript('read-dispatchers');
const allKeys = [keys.dispatcherBeats, keys.dispatcherStates, keys.dispatcherDrains] as const;

/** The board on `redis`, a `commands` connection. Those heard last come first, at most 64. */
export function createDispatcherBoard(redis: Redis): DispatcherBoard {
  const read = async <T>(
    hash: string,
    decode: (text: string) => Result<T>,
  ): Promise<{ readonly epoch: number; readonly dispatchers: HeardDispatcher<T>[] }> => {
    const [epoch, ...flat] = (await readScript.run(
      redis,
      [keys.dispatcherBeats, hash, keys.catalogMeta],
      [forgetAfterMs, mostDispatchers],
    )) as (string | number)[];
    const dispatchers = Array.from({ length: flat.length / 3 }, (_, i) => {
      const decoded = decode(String(flat[3 * i + 2]));
      return {
        id: String(flat[3 * i]),
        ageMs: Math.max(0, Number(flat[3 * i + 1])),
        told: decoded.ok ? decoded.value : undefined,
      };
    });
    return { epoch: Number(epoch), dispatchers };
  };
  return {
    async publish(id, { state, drains }) {
      const documents = [state, drains].map((one) => (one === undefined ? '' : JSON.stringify(one)));
      return (await publishScript.run(redis, allKeys, [id, forgetAfterMs, mostDispatchers, ...documents])) === 1;
    },
    async withdraw(id) {
      await redis
        .multi()
        .zrem(keys.dispatcherBeats, id)
        .hdel(keys.dispatcherStates, id)
        .hdel(keys.dispatcherDrains, id)
        .exec();
    },
    states: async () =>
      (await read(keys.dispatcherStates, (text) => decodeJson(dispatcherStateSchema, text))).dispatchers,
    drains: () => read(keys.dispatcherDrains, (text) => decodeJson(dispatcherDrainsSchema, text)),
  };
}
