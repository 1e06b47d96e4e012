// What does a crowd of connections hold that does nothing? A process that opens them, tells when they are all there, and keeps
// them until it is ended. Argument: JSON `{ port, count, path, read }`; with `read: false` each asks for `path` and never
// reads the answer, else each has one whole answer and then rests.
import { connect } from 'node:net';
import { AnswerReader } from './answer-reader.mjs';

const atOnce = 50;
const { port, count, path, read } = JSON.parse(process.argv[2]);
const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
const held = [];

function open() {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    held.push(socket);
    const reader = new AnswerReader();
    socket.once('connect', () => {
      socket.write(request);
      if (read) return;
      socket.pause();
      resolve(true);
    });
    if (read) {
      socket.on('data', (bytes) => {
        if (reader.feed(bytes)) resolve(reader.status < 400);
      });
    }
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

let opened = 0;
let good = 0;
async function openInTurn() {
  while (opened < count) {
    opened += 1;
    if (await open()) good += 1;
  }
}

await Promise.all(Array.from({ length: atOnce }, openInTurn));
process.send({ state: 'held', good });
process.on('disconnect', () => process.exit());
