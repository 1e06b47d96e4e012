// How does a listener live? Opens its port with a clear error, and closes without dropping a request in flight.
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '@switchyard/protocol';
import { problemMediaType, problemOf } from '@switchyard/protocol';
import type { Component } from '@switchyard/runtime';
import { withDeadline } from '@switchyard/runtime';
import { createUpgrades } from './upgrade.ts';
import type { Upgrade } from './upgrade.ts';

/** Where and what to serve. */
export interface HttpServerOptions {
  readonly name: string;
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  readonly app: RequestListener;
  /** Connections at the same time; further ones are closed at once. 4096. */
  readonly maxConnections?: number;
  /** Called for each connection that was closed because there were too many. */
  readonly onFull?: () => void;
  /** Protocols that a connection may change to; they count as connections, and end when the listener drains. */
  readonly upgrades?: readonly Upgrade[];
  /** Ms that `stop` without a `drain` before it waits for requests in flight; 3000. */
  readonly drainMs?: number;
}

/** A listening server as a part of a service. */
export interface HttpServer extends Component {
  /** Where it listens; throws before `start`. */
  address(): { readonly host: string; readonly port: number };
  start(): Promise<void>;
  drain(): Promise<void>;
  stop(): Promise<void>;
}

/** The port could not be opened. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  /** The system's code: EADDRINUSE, EACCES, EADDRNOTAVAIL, ... */
  readonly code: string;
  readonly port: number;

  constructor(message: string, options: { readonly code: string; readonly port: number; readonly cause: unknown }) {
    super(message, { cause: options.cause });
    this.code = options.code;
    this.port = options.port;
  }
}

/**
 * A server. `drain` stops accepting, ends event streams and idle connections and waits for the requests in flight; `stop` cuts
 * off whatever is left.
 */
export const httpServer = (options: HttpServerOptions): HttpServer => {
  const { name, host, port, app, drainMs = 3_000 } = options;
  const inFlight = new Set<ServerResponse>();
  const upgrades = createUpgrades(options.upgrades ?? []);
  let server: Server | undefined;
  let drained: Promise<void> | undefined;

  const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    inFlight.add(res);
    res.once('close', () => {
      inFlight.delete(res);
      // The connection counts as idle one turn later.
      if (drained) setImmediate(() => server?.closeIdleConnections());
    });
    if (drained) res.setHeader('connection', 'close');
    app(req, res);
  };

  const drain = async (): Promise<void> => {
    const closing = server;
    if (!closing?.listening && !drained) return;
    drained ??= new Promise<void>((resolve) => closing?.close(() => resolve()));
    for (const res of inFlight) {
      if (isEventStream(res)) res.end();
      else if (!res.headersSent) res.setHeader('connection', 'close');
    }
    closing?.closeIdleConnections();
    upgrades.drain();
    await drained;
  };

  return {
    name,
    start: async () => {
      const opening = createServer(
        {
          requestTimeout: 30_000,
          headersTimeout: 10_000,
          keepAliveTimeout: 65_000,
          shouldUpgradeCallback: (req) => upgrades.wants(req),
        },
        onRequest,
      );
      opening.on('upgrade', (req, socket, early) => upgrades.take(req, socket, early));
      opening.maxConnections = options.maxConnections ?? 4096;
      if (options.onFull) opening.on('drop', options.onFull);
      opening.on('clientError', (error: NodeJS.ErrnoException, socket) => {
        // asked only when it matters: thousands of watchers may leave at the same moment
        const isBusy = (): boolean => [...inFlight].some((res) => res.socket === socket && res.headersSent);
        answerUnreadable(error, socket, isBusy);
      });
      await listen(opening, { name, host, port });
      server = opening;
    },
    drain,
    stop: async () => {
      if (!server) return;
      if (!drained) await withDeadline(drain(), drainMs, `requests of ${name}`).catch(() => undefined);
      server.closeAllConnections();
      upgrades.destroy();
      await drained;
    },
    address: () => {
      const bound = server?.address() as AddressInfo | null | undefined;
      if (!bound) throw new Error(`${name} does not listen`);
      return { host: bound.address, port: bound.port };
    },
  };
};

const isEventStream = (res: ServerResponse): boolean =>
  res.headersSent && String(res.getHeader('content-type') ?? '').startsWith('text/event-stream');

const listen = (
  server: Server,
  { name, host, port }: { readonly name: string; readonly host: string; readonly port: number },
) =>
  new Promise<void>((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      const code = error.code ?? 'UNKNOWN';
      const advice = listenAdvice[code] ?? `cannot be opened (${code})`;
      reject(new ListenError(`${name}: port ${String(port)} on ${host} ${advice}`, { code, port, cause: error }));
    };
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.off('error', onError);
      resolve();
    });
  });

const listenAdvice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use: end the process that holds it, or set another port',
  EACCES: 'is not allowed for this user: set a port above 1023',
  EADDRNOTAVAIL: 'cannot be opened: this machine does not have that address',
  ENOTFOUND: 'cannot be opened: that host name is unknown',
};

/** What Node's parser refuses never becomes a request; it is answered here, by hand, and the connection ends. */
const answerUnreadable = (error: NodeJS.ErrnoException, socket: Duplex, isBusy: () => boolean): void => {
  if (error.code === 'ECONNRESET' || !socket.writable || isBusy()) {
    socket.destroy();
    return;
  }
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    return;
  }
  const code: ErrorCode = error.code === 'HPE_HEADER_OVERFLOW' ? 'header_too_large' : 'malformed_request';
  const problem = problemOf({ code, detail: 'the request head cannot be read', why: [error.code ?? 'unknown'] });
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${String(problem.status)} ${code === 'header_too_large' ? 'Request Header Fields Too Large' : 'Bad Request'}\r\n` +
      `Content-Type: ${problemMediaType}\r\nContent-Length: ${String(Buffer.byteLength(body))}\r\nConnection: close\r\n\r\n${body}`,
  );
};
