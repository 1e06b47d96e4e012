// Asks a node to write and to read at a steady pace, as a user would notice it. A process of its own.
//
// Plan: { port }. Messages: 'begin' forgets what was; 'end' tells the latency of writes and the longest time without a write, and
// without a read, that went well.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { nowMs } from '../failover/monotonic.mjs';
import { quantile } from '../statistics.mjs';

const { port } = JSON.parse(process.argv[2]);
const everyMs = 5;
process.on('disconnect', () => process.exit(0));
// A connection for each: a write that is held back would hold back the reads behind it.
const connect = () => {
  const redis = new Redis({
    host: '127.0.0.1',
    port,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    retryStrategy: () => 20,
  });
  redis.on('error', () => undefined);
  return new Promise((resolve) => {
    redis.once('ready', () => resolve(redis));
  });
};
const [writing, reading] = await Promise.all([connect(), connect()]);

const kinds = ['write', 'read'];
let told = fresh();
process.on('message', (message) => {
  if (message.do === 'begin') told = fresh();
  if (message.do === 'end') {
    const atMs = nowMs();
    for (const kind of kinds) note(told[kind], atMs);
    const sorted = Float64Array.from(told.write.tookMs).toSorted();
    process.send({
      state: 'latency',
      p99Ms: sorted.length === 0 ? undefined : quantile(sorted, 0.99),
      worstMs: sorted.at(-1),
      writeGapMs: told.write.gapMs,
      readGapMs: told.read.gapMs,
    });
  }
});

function fresh() {
  const one = () => ({ tookMs: [], lastMs: nowMs(), gapMs: 0 });
  return { write: one(), read: one() };
}
function note(one, atMs) {
  one.gapMs = Math.max(one.gapMs, atMs - one.lastMs);
  one.lastMs = atMs;
}

process.send({ state: 'ready' });
// A question counts from the moment when it was due: one that waits behind a block is as late as it is.
for (let dueMs = nowMs(); ; dueMs += everyMs) {
  await sleep(Math.max(0, dueMs - nowMs()));
  const dueAtMs = dueMs;
  const now = told;
  const went = (kind) => () => {
    now[kind].tookMs.push(nowMs() - dueAtMs);
    note(now[kind], nowMs());
  };
  writing.set('probe', String(dueAtMs)).then(went('write'), () => undefined);
  reading.get('probe').then(went('read'), () => undefined);
}
