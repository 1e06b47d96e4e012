// Who notices first that a process died? Whoever holds a connection to it: the kernel closes it with the process. Nothing is sent
// over it, so it needs no user and no password.
import { connect, type Socket } from 'node:net';
import type { Address } from '@switchyard/replication';
import type { Clock } from '@switchyard/runtime';

/** A connection that is held, and held anew when it closed. */
export interface Alarm {
  readonly at: Address;
  close(): void;
}

const againMs = 500;
const keepAliveMs = 5_000;

/** Calls `onClosed` once for each connection that had been made and was closed by the other side. */
export const createAlarm = (at: Address, clock: Clock, onClosed: () => void): Alarm => {
  const over = new AbortController();
  let socket: Socket | undefined;
  const hold = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await new Promise<void>((closed) => {
        let isHeld = false;
        const held = connect({ host: at.host, port: at.port, keepAlive: true, keepAliveInitialDelay: keepAliveMs });
        socket = held;
        held.on('connect', () => {
          isHeld = true;
        });
        held.on('error', () => undefined);
        held.resume();
        held.once('close', () => {
          if (isHeld && !over.signal.aborted) onClosed();
          closed();
        });
      });
      await clock.sleep(againMs, over.signal).catch(() => undefined);
    }
  };
  void hold();
  return {
    at,
    close() {
      over.abort();
      socket?.destroy();
    },
  };
};
