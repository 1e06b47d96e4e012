// Writes at a steady rate and knows which writes were acknowledged when. A process of its own.
//
// Plan: { port, perSecond, prefix, keys }. Write number n is SET <prefix>:<n modulo keys> with n in its value, so that the highest number
// among the keys of a restored node tells up to where the writes are there. Messages: 'stop' ends it and tells how many were
// acknowledged; 'verify' asks a node up to where it has them.
import { createConnection } from 'node:net';
import { nowMs } from '../failover/monotonic.mjs';

const { port, perSecond, prefix, keys } = JSON.parse(process.argv[2]);
const everyMs = 5;
const mostUnanswered = 20_000;
const filler = 'x'.repeat(80);
const bulk = (word) => `$${word.length}\r\n${word}\r\n`;
const command = (...words) => `*${words.length}\r\n${words.map(bulk).join('')}`;
const keyOf = (number) => `${prefix}:${number % keys}`;

/** [number after the last one of a batch, when all of it was acknowledged] */
const acknowledged = [];
let sent = 0;
let answered = 0;
let refused = 0;
let isStopped = false;
let stopAtZero;

process.on('disconnect', () => process.exit(0));
process.on('message', (message) => {
  if (message.do === 'stop') stop();
  if (message.do === 'verify') void verify(message).then((outcome) => process.send({ state: 'verified', ...outcome }));
});
connect();

// Number n is answered as the n-th: after a broken connection what was unanswered counts as refused.
function connect() {
  const socket = createConnection({ host: '127.0.0.1', port, noDelay: true });
  let timer;
  socket.setEncoding('latin1');
  socket.on('connect', () => {
    timer = setInterval(() => {
      const room = mostUnanswered - (sent - answered);
      if (isStopped || room <= 0) return;
      let text = '';
      for (let count = Math.min(room, (perSecond * everyMs) / 1_000); count > 0; count -= 1) {
        text += command('SET', keyOf(sent), `${sent}:${filler}`);
        sent += 1;
      }
      socket.write(text);
    }, everyMs);
  });
  socket.on('data', (text) => {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) answered += 1;
    if (text.includes('-')) refused += text.split('-').length - 1;
    else acknowledged.push([answered, nowMs()]);
    if (acknowledged.length === 1) process.send({ state: 'ready' });
    if (answered === sent) stopAtZero?.();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    clearInterval(timer);
    refused += sent - answered;
    answered = sent;
    stopAtZero?.();
    if (!isStopped) setTimeout(connect, 20);
  });
}

function stop() {
  isStopped = true;
  const tell = () => {
    stopAtZero = undefined;
    process.send({ state: 'stopped', acknowledged: acknowledged.at(-1)?.[0] ?? 0, refused });
  };
  if (sent === answered) tell();
  else {
    stopAtZero = tell;
    setTimeout(() => stopAtZero?.(), 2_000);
  }
}

/** How many writes that were acknowledged are not on that node, and for how long before `untilMs` they had been. */
async function verify({ node, untilMs }) {
  const total = acknowledged.at(-1)?.[0] ?? 0;
  const found = (await highest(node)) + 1;
  const first = acknowledged.find(([after]) => after > found);
  return {
    acknowledged: total,
    lost: Math.max(0, total - found),
    lostForMs: first === undefined ? 0 : Math.max(0, untilMs - first[1]),
  };
}

function highest(node) {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port: node });
    const count = Math.min(keys, sent);
    let best = -1;
    let seen = 0;
    let rest = '';
    socket.setTimeout(30_000, () => socket.destroy(new Error('the node is silent')));
    socket.setEncoding('latin1');
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the node closed the connection')));
    socket.on('data', (text) => {
      const lines = (rest + text).split('\r\n');
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith('$')) seen += line === '$-1' ? 1 : 0;
        else {
          seen += 1;
          best = Math.max(best, Number.parseInt(line, 10) || 0);
        }
      }
      if (seen < count) return;
      socket.off('close', reject);
      resolve(best);
      socket.destroy();
    });
    if (count === 0) resolve(best);
    for (let from = 0; from < count; from += 1_000)
      socket.write(
        Array.from({ length: Math.min(1_000, count - from) }, (_none, at) => command('GET', keyOf(from + at))).join(''),
      );
  });
}
