// Which writes were acknowledged, and which of those are there in the end? A process of its own that writes and keeps the ledger.
//
// Plan: { client, place, loops, paceMs: [least, most], level: 'async' | 'replicated', prefix }. Every loop writes one key after the
// other and waits for each answer. Messages: 'stop' ends the loops and tells what was seen since the marks (milliseconds of the
// machine's monotonic clock); 'verify' asks a node for every key that was acknowledged.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { openClient } from './clients.mjs';
import { nowMs } from './monotonic.mjs';
import { groupCommit, waited } from './replicated-writes.mjs';

const {
  client: kind,
  place,
  loops = 16,
  paceMs = [2, 5],
  level = 'async',
  prefix = 'ledger',
} = JSON.parse(process.argv[2]);
const mostAcked = 2_000_000;
/** For each acknowledged write: loop, number, and when it was acknowledged. */
const acked = { loop: [], number: [], atMs: [] };
const errors = new Map();
const stopper = new AbortController();

process.on('disconnect', () => process.exit(0));
const { redis, connections, close } = openClient(kind, place);
const write = writeAt(level);
const going = Array.from({ length: loops }, (_none, loop) => run(loop));
process.on('message', (message) => void answer(message));

function writeAt(wanted) {
  if (wanted !== 'replicated') return (key, value) => redis.set(key, value);
  return connections === undefined ? (key, value) => waited(redis, key, value) : groupCommit(connections);
}

async function run(loop) {
  for (let number = 0; !stopper.signal.aborted && acked.loop.length < mostAcked; number += 1) {
    try {
      await write(`${prefix}:${loop}:${number}`, String(number));
      if (acked.loop.length === 0) process.send({ state: 'ready' });
      acked.loop.push(loop);
      acked.number.push(number);
      acked.atMs.push(nowMs());
    } catch (error) {
      const why = error.message.slice(0, 80);
      if (errors.has(why) || errors.size < 20) errors.set(why, (errors.get(why) ?? 0) + 1);
    }
    const [least, most] = paceMs;
    await sleep(least + ((loop * 7 + number * 3) % (1 + most - least)));
  }
}

async function answer(message) {
  if (message.do === 'stop') {
    stopper.abort();
    // what hangs is not waited for: it was never acknowledged
    await Promise.race([Promise.all(going), sleep(2_000)]);
    const told = message.marks.map((markMs) => since(markMs, message.graceMs ?? 0));
    process.send({ state: 'stopped', acked: acked.loop.length, errors: Object.fromEntries(errors), told });
  }
  if (message.do === 'look')
    process.send({ state: 'seen', told: message.marks.map((mark) => since(mark, message.graceMs)) });
  if (message.do === 'verify') {
    const outcome = await verify(message.node).catch((error) => ({ failed: error.message }));
    process.send({ state: 'verified', ...outcome });
  }
  if (message.do === 'end') {
    close();
    process.exit(0);
  }
}

/** The first acknowledgement later than `graceMs` after the mark; the longest silence that ended after the mark. */
function since(markMs, graceMs) {
  let first;
  let last;
  let count = 0;
  let longestGapMs = 0;
  let before = markMs;
  for (const atMs of acked.atMs.toSorted((one, other) => one - other)) {
    if (atMs < markMs) {
      before = atMs;
      continue;
    }
    longestGapMs = Math.max(longestGapMs, atMs - before);
    before = atMs;
    if (atMs < markMs + graceMs) continue;
    first ??= atMs;
    last = atMs;
    count += 1;
  }
  const after = (atMs) => (atMs === undefined ? undefined : atMs - markMs);
  return { firstMs: after(first), lastMs: after(last), count, longestGapMs };
}

/** How many acknowledged keys this node does not have. */
async function verify({ host, port }) {
  const node = new Redis({ host, port, maxRetriesPerRequest: 1 });
  node.on('error', () => undefined);
  let lost = 0;
  let firstLostMs = Infinity;
  let lastLostMs = -Infinity;
  try {
    for (let from = 0; from < acked.loop.length; from += 1_000) {
      const pipeline = node.pipeline();
      const to = Math.min(from + 1_000, acked.loop.length);
      for (let at = from; at < to; at += 1) pipeline.get(`${prefix}:${acked.loop[at]}:${acked.number[at]}`);
      for (const [index, [error, value]] of (await pipeline.exec()).entries()) {
        if (error) throw error;
        if (value === String(acked.number[from + index])) continue;
        lost += 1;
        firstLostMs = Math.min(firstLostMs, acked.atMs[from + index]);
        lastLostMs = Math.max(lastLostMs, acked.atMs[from + index]);
      }
    }
  } finally {
    node.disconnect();
  }
  return { lost, checked: acked.loop.length, lostForMs: lost === 0 ? 0 : lastLostMs - firstLostMs };
}
