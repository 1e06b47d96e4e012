// What stands behind the proxies? A small app on node:http, as most users have it, with the troubles that a bench asks for.
import { createServer } from 'node:http';
import { writeSync } from 'node:fs';

const small = 'hello world, this is a small body....';
const large = Buffer.alloc(100_000, 'x');
const streamBytes = 100_000_000;
/** What `/slow` takes. */
const slowMs = 50;
const piece = Buffer.alloc(65_536, 'x');

/**
 * An origin on loopback. `id` is said in every answer (X-Origin), `delayMs` passes before each, `failing` answers 503 to
 * everything but the health check. `counted` writes one letter to stdout for each request that arrives, at once, so that
 * the count survives the death of the process: g for GET, p for POST, x for poison.
 */
export function createOrigin({ id, port, delayMs = 0, failing = false, counted = false }) {
  let leaving = false;
  let closing = false;
  const answer = (request, response) => {
    response.setHeader('X-Origin', id);
    // Node keeps the connections that are busy at a close for as long as they stay busy.
    if (closing) response.setHeader('Connection', 'close');
    if (request.url === '/livez') {
      response.statusCode = leaving ? 503 : 200;
      return response.end('live');
    }
    if (counted) writeSync(1, request.url === '/poison' ? 'x' : request.method === 'POST' ? 'p' : 'g');
    // A request that its reader does not survive: no answer, and every connection is gone.
    if (request.url === '/poison') return server.closeAllConnections();
    if (failing) return fail(response);
    if (delayMs > 0) return setTimeout(() => reply(request, response), delayMs);
    return reply(request, response);
  };
  const server = createServer(answer);
  return {
    listen: () => new Promise((resolve) => server.listen({ port, host: '127.0.0.1', backlog: 1_024 }, resolve)),
    /** From now on the health check says no; requests are answered all the same. */
    announceLeave: () => (leaving = true),
    /** Accepts nothing more and resolves when what was under way has been answered. */
    close() {
      closing = true;
      const sweep = setInterval(() => server.closeIdleConnections(), 100);
      return new Promise((resolve) => {
        server.close(() => {
          clearInterval(sweep);
          resolve();
        });
      });
    },
  };
}

function reply(request, response) {
  response.setHeader('Content-Type', 'text/plain');
  if (request.method === 'POST') return echo(request, response);
  if (request.url === '/large') return response.end(large);
  if (request.url === '/slow') return setTimeout(() => response.end(small), slowMs);
  if (request.url === '/stream') return stream(response);
  return response.end(small);
}

function fail(response) {
  response.statusCode = 503;
  response.end('not today');
}

function echo(request, response) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => response.end(Buffer.concat(chunks)));
}

/** 100 MB, as fast as they are taken. */
function stream(response) {
  response.setHeader('Content-Length', streamBytes);
  let left = streamBytes;
  const more = () => {
    while (left > 0) {
      const now = left < piece.length ? piece.subarray(0, left) : piece;
      left -= now.length;
      if (!response.write(now)) return response.once('drain', more);
    }
    return response.end();
  };
  more();
}
