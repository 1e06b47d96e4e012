// So many callers that write one key after the other and wait until a replica has it: how many writes a second is that?
import { createRedis } from '@switchyard/redis';
import { Redis } from 'ioredis';
import { quantile } from '../statistics.mjs';
import { silent } from './clients.mjs';
import { nowMs } from './monotonic.mjs';
import { groupCommit, waited } from './replicated-writes.mjs';

const { client, address, callers, seconds } = JSON.parse(process.argv[2]);
const warmMs = 1_000;
const poolSize = 16;
const [host, portText] = address.split(':');
const port = Number(portText);
process.on('disconnect', () => process.exit(0));

const writers = {
  /** No waiting for anybody: the ceiling. */
  'no-wait': () => {
    const redis = new Redis({ host, port });
    return (key, value) => redis.set(key, value);
  },
  'wait-shared': () => {
    const redis = new Redis({ host, port });
    return (key, value) => waited(redis, key, value);
  },
  'wait-pool': () => {
    const pool = Array.from({ length: poolSize }, () => new Redis({ host, port }));
    const free = [...pool];
    const queue = [];
    return async (key, value) => {
      const redis = free.pop() ?? (await new Promise((resolve) => queue.push(resolve)));
      try {
        await waited(redis, key, value);
      } finally {
        const next = queue.shift();
        if (next === undefined) free.push(redis);
        else next(redis);
      }
    };
  },
  ours: () => {
    const connections = createRedis(
      { kind: 'single', endpoint: { host, port }, group: 'main' },
      { logger: silent, name: 'bench' },
    );
    return groupCommit(connections);
  },
};

const write = writers[client]();
const startMs = nowMs() + warmMs;
const endMs = startMs + seconds * 1_000;
const tookMs = [];
let failed = 0;
const value = 'x'.repeat(90);
await Promise.all(
  Array.from({ length: callers }, async (_none, caller) => {
    for (let number = 0; nowMs() < endMs; number += 1) {
      const sentMs = nowMs();
      try {
        await write(`t:${caller}:${number % 1_000}`, value);
      } catch {
        // before the start some are not connected yet
        if (sentMs >= startMs) failed += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      const doneMs = nowMs();
      if (sentMs >= startMs && doneMs <= endMs && tookMs.length < 5_000_000) tookMs.push(doneMs - sentMs);
    }
  }),
);
const sorted = Float64Array.from(tookMs).toSorted();
process.send(
  {
    state: 'done',
    perSecond: tookMs.length / seconds,
    p50Ms: sorted.length === 0 ? undefined : quantile(sorted, 0.5),
    p99Ms: sorted.length === 0 ? undefined : quantile(sorted, 0.99),
    failed,
  },
  () => process.exit(0),
);
