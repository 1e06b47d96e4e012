// Fills a node with keys, then asks it for some at a steady pace and notes how long each answer takes.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { quantile } from '../statistics.mjs';
import { nowMs } from './monotonic.mjs';

const { port, keys } = JSON.parse(process.argv[2]);
const batch = 2_000;
const everyMs = 5;
process.on('disconnect', () => process.exit(0));
const redis = new Redis({ host: '127.0.0.1', port });
redis.on('error', () => undefined);

for (let from = 0; from < keys; from += batch) {
  const pipeline = redis.pipeline();
  for (let at = from; at < Math.min(keys, from + batch); at += 1) pipeline.set(`key:${at}`, `${at}:`.padEnd(90, 'v'));
  await pipeline.exec();
}
await redis.wait(2, 30_000);
process.send({ state: 'ready' });

let tookMs;
process.on('message', (message) => {
  if (message.do === 'begin') tookMs = [];
  if (message.do === 'end') {
    const sorted = Float64Array.from(tookMs).toSorted();
    process.send({ state: 'latency', p99Ms: quantile(sorted, 0.99), worstMs: sorted.at(-1), asked: sorted.length });
    tookMs = undefined;
  }
});
// A question counts from the moment when it was due: one that waits behind a block is as late as it is.
for (let dueMs = nowMs(); ; dueMs += everyMs) {
  await sleep(Math.max(0, dueMs - nowMs()));
  const list = tookMs;
  const dueAtMs = dueMs;
  redis.get(`key:${Math.floor(dueAtMs * 7_919) % keys}`).then(
    () => list?.push(nowMs() - dueAtMs),
    () => list?.push(nowMs() - dueAtMs),
  );
}
