// What happens after a protocol switch (WebSocket and others)? Two sockets, bytes both ways, each half closed on its own.
import type { Socket } from 'node:net';
import type { Deadlines } from './deadlines.ts';

/** Two connected sockets and what was read from each too early. */
export interface TunnelEnds {
  readonly client: Socket;
  readonly clientEarly: Buffer;
  readonly instance: Socket;
  readonly instanceEarly: Buffer;
}

/** An open tunnel. */
export interface Tunnel {
  /** Breaks both connections off. */
  destroy(): void;
}

/**
 * Joins the two ends; `closed` is called once when both are gone. Ends after `idleMs` without a byte either way, after
 * `halfClosedMs` when one side has ended: that may be a half-close, or a process that died.
 */
export function openTunnel(
  ends: TunnelEnds,
  options: {
    readonly deadlines: Deadlines;
    readonly idleMs: number;
    readonly halfClosedMs: number;
    readonly closed: () => void;
  },
): Tunnel {
  const { client, instance } = ends;
  let over = false;

  const destroy = (): void => {
    client.destroy();
    instance.destroy();
    if (over) return;
    over = true;
    deadline.close();
    options.closed();
  };
  const deadline = options.deadlines.open(destroy);
  const touch = (): void => {
    const halfClosed = client.readableEnded || instance.readableEnded;
    deadline.set(halfClosed ? Math.min(options.halfClosedMs, options.idleMs) : options.idleMs);
  };
  touch();

  for (const socket of [client, instance]) {
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.on('error', destroy);
  }
  if (ends.clientEarly.length > 0) instance.write(ends.clientEarly);
  if (ends.instanceEarly.length > 0) client.write(ends.instanceEarly);
  carry(client, instance, { touch, destroy });
  carry(instance, client, { touch, destroy });
  return { destroy };
}

// One direction: bytes at the reader's pace, and its end as a half-close.
function carry(from: Socket, to: Socket, events: { readonly touch: () => void; readonly destroy: () => void }): void {
  from.on('data', (chunk: Buffer) => {
    events.touch();
    if (to.writable && !to.write(chunk)) from.pause();
  });
  to.on('drain', () => {
    events.touch();
    from.resume();
  });
  from.on('end', () => {
    events.touch();
    if (to.writable) to.end();
  });
  from.on('close', () => {
    // After an ordinary end the other side may still have to say something; after an error nobody listens.
    if (!from.readableEnded || to.readableEnded || to.destroyed) events.destroy();
  });
  from.resume();
}
