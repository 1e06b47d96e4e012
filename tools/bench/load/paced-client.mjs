// What does a client see that sends at a fixed rate, whatever the answers take? A process of its own, told what to do by its
// first argument (JSON) and begun by the message "go". A request counts from the moment it was due, not from the moment a
// connection was free: a stall delays all the requests that it would have delayed in life.
import { quantile, seededRandom } from '../statistics.mjs';
import { createClientPool } from './client-pool.mjs';

/** Ends a measurement that nobody ended. */
const longestMs = 10 * 60_000;
/** Requests beyond this are not kept one by one. */
const mostRequests = 2_000_000;

const plan = JSON.parse(process.argv[2]);
const { port, ratePerSecond, seconds, connections, warm, spacing, seed, kinds, timeoutMs, pollMs } = plan;
const random = seededRandom(seed);
const messages = kinds.map((kind) => ({ ...kind, bytes: bytesOf(kind) }));
const latenciesMs = new Float64Array(Math.min(mostRequests, Math.ceil(ratePerSecond * seconds * 1.5) + 1_024));
let timedCount = 0;
const tally = { requests: 0, ended: 0, over1s: 0, slowestMs: 0, failed: {}, ends: {} };

const pool = createClientPool({ port, most: connections, timeoutMs, onEnd });

function bytesOf({ method, path, bodyBytes = 0 }) {
  const body = bodyBytes === 0 ? '' : 'x'.repeat(bodyBytes);
  const length = method === 'POST' ? `Content-Length: ${bodyBytes}\r\nContent-Type: text/plain\r\n` : '';
  const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: bench\r\nAccept: */*\r\n${length}\r\n`;
  return Buffer.from(head + body, 'latin1');
}

function onEnd({ dueMs, name, timed }, { status = 0, error }) {
  const tookMs = performance.now() - dueMs;
  if (timed && timedCount < latenciesMs.length) latenciesMs[timedCount++] = tookMs;
  tally.ended += 1;
  tally.slowestMs = Math.max(tally.slowestMs, tookMs);
  if (tookMs > 1_000) tally.over1s += 1;
  const end = error ?? String(status);
  tally.ends[end] = (tally.ends[end] ?? 0) + 1;
  if (error !== undefined || status >= 400) tally.failed[name] = (tally.failed[name] ?? 0) + 1;
}

/** Which kind is next: each has its share of 1. */
function nextMessage() {
  let drawn = random();
  for (const message of messages) if ((drawn -= message.share) < 0) return message;
  return messages[0];
}

// A timer of Node wakes at whole ms, which would send in bunches: sleep in the thread instead, but never past `pollMs` while
// answers are out.
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const sleepMs = (ms) => Atomics.wait(sleeper, 0, 0, ms);

let startMs = 0;
let dueMs = 0;
let endMs = 0;
let nextSweepMs = 0;

function turn() {
  const nowMs = performance.now();
  while (dueMs <= nowMs && dueMs < endMs) {
    const { bytes, name, untimed = false } = nextMessage();
    tally.requests += 1;
    pool.request({ bytes, name, dueMs, timed: !untimed });
    const gapMs = 1_000 / ratePerSecond;
    dueMs += spacing === 'random' ? -Math.log(1 - random()) * gapMs : gapMs;
  }
  if (nowMs > nextSweepMs) {
    nextSweepMs = nowMs + 50;
    pool.sweep();
  }
  const isOver = dueMs >= endMs;
  if (isOver && (tally.ended === tally.requests || nowMs > endMs + timeoutMs + 1_000)) return report(nowMs);
  const waitMs = isOver ? pollMs : dueMs - performance.now();
  if (pollMs >= 1) return setTimeout(turn, Math.min(waitMs, pollMs));
  const isQuiet = tally.ended === tally.requests;
  const restMs = isQuiet ? waitMs : Math.min(waitMs, pollMs);
  if (restMs > 0.01) sleepMs(restMs);
  return setImmediate(turn);
}

function report(nowMs) {
  pool.close();
  const sorted = latenciesMs.subarray(0, timedCount).sort();
  const at = (part) => (sorted.length === 0 ? undefined : quantile(sorted, part));
  process.send({
    state: 'done',
    result: {
      ...tally,
      unanswered: tally.requests - tally.ended,
      tookMs: nowMs - startMs,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      p999Ms: at(0.999),
    },
  });
  process.disconnect();
}

process.on('message', ({ order }) => {
  if (order === 'go') {
    startMs = performance.now();
    dueMs = startMs + 5;
    endMs = startMs + seconds * 1_000;
    turn();
  }
  // What the measurement was waiting for is over: no further requests.
  if (order === 'enough') endMs = Math.min(endMs, performance.now());
});
process.on('disconnect', () => pool.close());
setTimeout(() => process.exit(1), longestMs).unref();

await pool.warm(warm);
process.send({ state: 'ready' });
