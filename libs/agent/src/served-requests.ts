// What does a server have under way, and how does it end without losing any of it? It stops to accept, finishes, then closes.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { Clock } from '@switchyard/runtime';

/** A server of node:http or node:https; one of node:net has no requests, its connections count. */
export type AnyServer = Server & {
  readonly closeIdleConnections?: () => void;
  readonly closeAllConnections?: () => void;
};

export interface ServedRequests {
  /** Requests (or connections, without HTTP) under way. */
  inflight(): number;
  /** From now on answers ask their clients to connect anew, so that connections end with an answer and not before one. */
  announceEnd(): void;
  /** Accepts nothing more; true when all ended by themselves within `ms`, false when some were cut off. */
  finish(ms: number): Promise<boolean>;
}

const lookEveryMs = 20;

/**
 * Counts from now on. Each answer says who gave it in `Switchyard-Instance`, so that nobody takes another process at the same
 * address for this one. `close` ends the framework around the server, if there is one.
 */
export const watchRequests = (
  server: AnyServer,
  options: { readonly id: string; readonly clock: Clock; readonly close?: () => unknown },
): ServedRequests => {
  const { id, clock } = options;
  const sockets = new Set<Socket>();
  let inflight = 0;
  let ending = false;
  const isHttp = typeof server.closeIdleConnections === 'function';
  if (isHttp) {
    server.prependListener('request', (_req: IncomingMessage, res: ServerResponse) => {
      inflight += 1;
      res.once('close', () => (inflight -= 1));
      res.setHeader('switchyard-instance', id);
      if (ending) res.setHeader('connection', 'close');
    });
  } else {
    server.prependListener('connection', (socket: Socket) => {
      sockets.add(socket);
      inflight += 1;
      socket.once('close', () => {
        sockets.delete(socket);
        inflight -= 1;
      });
    });
  }
  return {
    inflight: () => inflight,
    announceEnd: () => {
      ending = true;
    },
    finish: async (ms) => {
      ending = true;
      const endMs = clock.monotonicMs() + ms;
      const end = { closed: !server.listening };
      server.once('close', () => (end.closed = true));
      if (server.listening) server.close();
      // the hooks of a framework; what they reject with is theirs to tell
      const rest = Promise.resolve(options.close?.()).catch(() => undefined);
      while (!end.closed && clock.monotonicMs() < endMs) {
        server.closeIdleConnections?.();
        await clock.sleep(lookEveryMs);
      }
      server.closeAllConnections?.();
      for (const socket of sockets) socket.destroy();
      await Promise.race([rest, clock.sleep(Math.max(0, endMs - clock.monotonicMs()))]);
      return end.closed;
    },
  };
};
