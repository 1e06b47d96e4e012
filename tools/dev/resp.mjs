// What does a Redis node or a Sentinel of the yard say now? One question, one answer, without a library (RESP2).
import { createConnection } from 'node:net';

/** Sends one command to 127.0.0.1:`port`; rejects on an error reply, a refused connection or after `timeoutMs`. */
export function ask(port, words, timeoutMs = 1_000) {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    let received = '';
    const finish = (settle, value) => {
      clearTimeout(timer);
      socket.destroy();
      settle(value);
    };
    const timer = setTimeout(() => finish(reject, new Error(`no answer from port ${port}`)), timeoutMs);
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(`*${words.length}\r\n${words.map(bulk).join('')}`));
    socket.on('error', (error) => finish(reject, error));
    socket.on('close', () => finish(reject, new Error(`port ${port} closed the connection`)));
    socket.on('data', (text) => {
      received += text;
      try {
        const reply = readReply(received, 0);
        if (reply) finish(resolve, reply.value);
      } catch (error) {
        finish(reject, error);
      }
    });
  });
}

function bulk(word) {
  return `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
}

/** Reads one reply of ASCII text (all that the yard asks for); undefined while it is incomplete. */
export function readReply(text, start) {
  const lineEnd = text.indexOf('\r\n', start);
  if (lineEnd < 0) return undefined;
  const line = text.slice(start + 1, lineEnd);
  const next = lineEnd + 2;
  const length = Number(line);
  switch (text[start]) {
    case '+':
      return { value: line, next };
    case ':':
      return { value: length, next };
    case '$':
      if (length < 0) return { value: null, next };
      return text.length < next + length + 2
        ? undefined
        : { value: text.slice(next, next + length), next: next + length + 2 };
    case '*':
      return length < 0 ? { value: null, next } : readList(text, next, length);
    default:
      throw new Error(text[start] === '-' ? line : 'not a reply of Redis');
  }
}

function readList(text, start, length) {
  const value = [];
  let next = start;
  while (value.length < length) {
    const item = readReply(text, next);
    if (!item) return undefined;
    value.push(item.value);
    next = item.next;
  }
  return { value, next };
}
