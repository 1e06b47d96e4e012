// Do background jobs get done, each once, whatever happens to the Redis below? A process with one BullMQ queue and one worker.
//
// Plan: { client, place, everyMs }. Messages: 'pause' ends the adding, 'tell' gives the ledger.
import { setTimeout as sleep } from 'node:timers/promises';
import { createJobQueue, createJobWorker } from '@switchyard/redis/queues';
import { systemClock } from '@switchyard/runtime';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { followSentinels, ownConnections, silent, tuned } from './clients.mjs';
import { nowMs } from './monotonic.mjs';

const { client, place, everyMs = 10 } = JSON.parse(process.argv[2]);
const queueName = 'bench-jobs';
const mostJobs = 1_000_000;
const added = new Set();
const timesDone = new Map();
const doneAtMs = [];
let refused = 0;
const enough = new AbortController();
process.on('disconnect', () => process.exit(0));

const done = async (job) => {
  if (doneAtMs.length === 0) process.send({ state: 'ready' });
  timesDone.set(job.data.id, (timesDone.get(job.data.id) ?? 0) + 1);
  doneAtMs.push(nowMs());
};

const add = client === 'ours' ? await ours() : plain();
const going = produce();
process.on('message', (message) => void answer(message));

async function answer(message) {
  if (message.do === 'pause') {
    enough.abort();
    await Promise.race([going, sleep(1_000)]);
    process.send({ state: 'paused' });
  }
  if (message.do === 'tell') process.send({ state: 'told', ...ledger(message.markMs, message.untilMs) });
}

async function produce() {
  for (let id = 0; !enough.signal.aborted && id < mostJobs; id += 1) {
    // in the background: one that waits for Redis must not keep the next one from being tried
    void add(id).then(
      () => added.add(id),
      () => (refused += 1),
    );
    await sleep(everyMs);
  }
}

async function ours() {
  const connections = ownConnections(place);
  const queue = createJobQueue(connections, queueName, silent);
  const worker = createJobWorker(connections, { queue: queueName, process: done, clock: systemClock, logger: silent });
  await worker.start(new AbortController().signal);
  return (id) => queue.add('job', { id });
}

function plain() {
  const options = followSentinels(place, { maxRetriesPerRequest: null, ...(client === 'ioredis-tuned' ? tuned : {}) });
  const connect = () => new Redis(options).on('error', () => undefined);
  const queue = new Queue(queueName, { connection: connect() });
  queue.on('error', () => undefined);
  new Worker(queueName, done, { connection: connect(), removeOnComplete: { count: 200 } }).on('error', () => undefined);
  return (id) => queue.add('job', { id }, { removeOnComplete: { count: 200 } });
}

function ledger(markMs, untilMs) {
  let before = markMs;
  let stallMs = 0;
  for (const atMs of [...doneAtMs.filter((at) => at >= markMs && at <= untilMs), untilMs]) {
    stallMs = Math.max(stallMs, atMs - before);
    before = atMs;
  }
  const missing = [...added].filter((id) => !timesDone.has(id)).length;
  const duplicates = [...timesDone.values()].filter((times) => times > 1).length;
  return { added: added.size, done: timesDone.size, missing, duplicates, refused, stallMs };
}
