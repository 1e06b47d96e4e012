// How does a connection leave HTTP for a protocol of its own (RFC 9110 7.8)? At the paths that are named here, and nowhere else:
// whoever asks for another protocol, or elsewhere, gets the ordinary answer to the request, as the RFC allows.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';

/** One protocol at one path. */
export interface Upgrade {
  readonly path: string;
  /** As the header `Upgrade` names it, lower case. */
  readonly protocol: string;
  /** Takes the connection over; the 101 was written. `early` is what came with the request. Errors of the socket are its own. */
  readonly accept: (socket: Socket, early: Buffer) => void;
  /** The listener drains: end every connection, the other side connects elsewhere. */
  readonly drain: () => void;
}

/** The upgrades of one listener. */
export interface Upgrades {
  /** Whether the request is for one of them. */
  wants(req: IncomingMessage): boolean;
  take(req: IncomingMessage, socket: Duplex, early: Buffer): void;
  /** Asks each to end its connections; those that come later are ended at once. */
  drain(): void;
  /** Cuts off what is left. */
  destroy(): void;
}

/** Keeps count of the connections of `upgrades`, so that the end of the listener is theirs too. */
export const createUpgrades = (upgrades: readonly Upgrade[]): Upgrades => {
  const open = new Set<Duplex>();
  let draining = false;
  const find = ({ method, url, headers }: IncomingMessage): Upgrade | undefined => {
    if (method !== 'GET') return undefined;
    const path = url?.split('?', 1)[0];
    const asked = headers.upgrade?.toLowerCase().split(',') ?? [];
    return upgrades.find((one) => one.path === path && asked.some((name) => name.trim() === one.protocol));
  };
  return {
    wants: (req) => !draining && find(req) !== undefined,
    take: (req, socket, early) => {
      const upgrade = find(req);
      // nobody listens for errors of a socket that has left HTTP
      socket.on('error', () => socket.destroy());
      if (!upgrade || draining) {
        socket.destroy();
        return;
      }
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${upgrade.protocol}\r\n\r\n`);
      upgrade.accept(socket as Socket, early);
    },
    drain: () => {
      draining = true;
      for (const one of upgrades) one.drain();
    },
    destroy: () => {
      for (const socket of open) socket.destroy();
    },
  };
};
