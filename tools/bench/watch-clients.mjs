// Who watches in the watch-fanout bench? Thousands of raw connections in one process; only the moments of arrival are kept.
//
// Messages of the parent: { open, port, path, everyMs? }, { expect }. Answers: { state: 'open' }, { state: 'heard', atMs: [...] }.
import { connect } from 'node:net';

const OPENING = 100;
const marker = Buffer.from('\nevent: instance.');
const begun = Buffer.from('\nevent: start');

const sockets = new Set();
let arrivals = [];
let expected = Infinity;

/** Ms on a clock that all processes of this machine share. */
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

function heard() {
  if (arrivals.length < expected) return;
  expected = Infinity;
  process.send({ state: 'heard', atMs: arrivals });
  arrivals = [];
}

/** While it listens it does not sleep: to wake up another core for each write would be counted as the registry's cost. */
function stayAwake() {
  if (expected !== Infinity) setImmediate(stayAwake);
}

function open(port, path) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`));
    sockets.add(socket);
    socket.once('error', reject);
    socket.on('close', () => process.exit(3));
    socket.on('data', (bytes) => {
      if (bytes.includes(marker)) {
        arrivals.push(nowMs());
        heard();
      } else if (bytes.includes(begun)) resolve();
    });
  });
}

const openAll = async (message) => {
  for (let left = message.open; left > 0; left -= OPENING) {
    await Promise.all(Array.from({ length: Math.min(left, OPENING) }, () => open(message.port, message.path)));
  }
  process.send({ state: 'open' });
};

process.on('message', (message) => {
  if (message.open !== undefined) void openAll(message);
  else {
    expected = message.expect;
    arrivals = [];
    stayAwake();
  }
});
