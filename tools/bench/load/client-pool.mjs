// Who sends the requests of a paced client? Keep-alive connections that carry one request at a time; when all are busy and
// there may be no more, requests wait their turn.
import { connect } from 'node:net';
import { AnswerReader } from './answer-reader.mjs';

/**
 * A pool of at most `most` connections to loopback. A request is an object that the pool hands to `onEnd(request, end)`
 * once; `end` is `{ status }` or `{ error }`: reset, closed, refused or timeout.
 */
export function createClientPool({ port, most, timeoutMs, onEnd }) {
  const idle = [];
  const waiting = [];
  const all = new Set();
  let firstIdle = 0;

  function open(request) {
    const connection = { socket: connect({ port, host: '127.0.0.1', noDelay: true }), reader: new AnswerReader() };
    connection.request = undefined;
    connection.sentMs = 0;
    all.add(connection);
    const { socket, reader } = connection;
    socket.on('data', (bytes) => {
      if (connection.request !== undefined && reader.feed(bytes)) finish(connection, { status: reader.status });
    });
    socket.on('error', (error) => lose(connection, error.code === 'ECONNREFUSED' ? 'refused' : 'reset'));
    socket.on('end', () => {
      if (connection.request !== undefined && reader.end()) finish(connection, { status: reader.status });
      lose(connection, 'closed');
    });
    socket.on('close', () => lose(connection, 'closed'));
    if (request !== undefined) send(connection, request);
    return connection;
  }

  function send(connection, request) {
    connection.request = request;
    connection.sentMs = performance.now();
    connection.socket.write(request.bytes);
  }

  function finish(connection, end) {
    const { request, reader } = connection;
    connection.request = undefined;
    onEnd(request, end);
    if (reader.closes || !all.has(connection)) {
      lose(connection, 'closed');
      if (waiting.length > 0) open(waiting.shift());
    } else if (waiting.length > 0) send(connection, waiting.shift());
    else idle.push(connection);
  }

  function lose(connection, error) {
    if (!all.delete(connection)) return;
    const { request } = connection;
    connection.request = undefined;
    connection.socket.destroy();
    if (request === undefined) return;
    onEnd(request, { error });
    if (waiting.length > 0) open(waiting.shift());
  }

  return {
    /** Connections that are open before the first request. */
    warm(count) {
      return Promise.all(
        Array.from({ length: count }, () => {
          const connection = open();
          return new Promise((resolve, reject) => {
            connection.socket.once('connect', resolve);
            connection.socket.once('error', reject);
          }).then(() => idle.push(connection));
        }),
      );
    },
    request(request) {
      // first in, first out, so that every connection is in use
      while (firstIdle < idle.length) {
        const connection = idle[firstIdle];
        firstIdle += 1;
        if (firstIdle === idle.length || firstIdle > 1_024) {
          idle.splice(0, firstIdle);
          firstIdle = 0;
        }
        if (all.has(connection)) return send(connection, request);
      }
      if (all.size < most) open(request);
      else waiting.push(request);
      return undefined;
    },
    /** Gives up on what has taken too long; to be called now and then. */
    sweep() {
      const nowMs = performance.now();
      for (const connection of all) {
        if (connection.request !== undefined && nowMs - connection.sentMs > timeoutMs) lose(connection, 'timeout');
      }
    },
    close() {
      for (const { socket } of all) socket.destroy();
    },
  };
}
