// Where do all managers find the failovers that any of them saw? In a bounded list of the group; the journals are the truth.
import type { Redis } from 'ioredis';
import { keys, redisFailoverSchema } from '@switchyard/protocol';
import type { RedisFailover } from '@switchyard/protocol';

/** The shared history of one group. Every method rejects while Redis is away. */
export interface RedisHistory {
  /** All that is stored, in no particular order; what cannot be read is left out. */
  list(): Promise<readonly RedisFailover[]>;
  /** Adds an entry and drops the oldest beyond `longestHistory`. */
  add(entry: RedisFailover): Promise<void>;
  /** Whether this holder is the one that announces the entry, again and again; another one may be after `claimMs`. */
  claim(id: string, claimMs: number): Promise<boolean>;
}

/** Entries kept in Redis; about 4 KB each. */
const longestHistory = 200;

/** The history of `group` on `redis`, a `commands` connection; `holder` names this process in its claims. */
export const createRedisHistory = (options: {
  readonly redis: Redis;
  readonly group: string;
  readonly holder: string;
}): RedisHistory => {
  const { redis, group, holder } = options;
  const list = keys.redisHistory(group);
  return {
    async list() {
      const stored = await redis.lrange(list, 0, longestHistory - 1);
      return stored.flatMap((text) => {
        const read = redisFailoverSchema.safeParse(parsed(text));
        return read.success ? [read.data] : [];
      });
    },
    async add(entry) {
      await redis.lpush(list, JSON.stringify(entry));
      await redis.ltrim(list, 0, longestHistory - 1);
    },
    async claim(id, claimMs) {
      const claimed = keys.lease(`redis-failover:${id}`);
      if ((await redis.set(claimed, holder, 'PX', claimMs, 'NX')) === 'OK') return true;
      return (await redis.get(claimed)) === holder;
    },
  };
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};
