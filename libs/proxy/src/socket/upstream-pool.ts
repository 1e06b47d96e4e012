// Which connection to an instance is used again? The one that came back last: it is the likeliest to be alive, and the
// others get old enough to be closed.
import type { Target } from '../engine.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** Connections to all instances. */
export interface UpstreamPools {
  /** An idle connection, or undefined. */
  take(target: Target): UpstreamConnection | undefined;
  /** A new one; it is connecting. */
  open(target: Target): UpstreamConnection;
  /** Keeps it for the next request for at most `idleMs`, unless there are enough. */
  put(connection: UpstreamConnection, nowMs: number, idleMs: number): void;
  /** Closes those that were idle for too long. */
  sweep(nowMs: number): void;
  destroy(): void;
}

/** No connections. `idlePerInstance` bounds what is kept; what is in use is bounded by the requests in flight. */
export function createUpstreamPools(idlePerInstance: number): UpstreamPools {
  const idle = new Map<string, UpstreamConnection[]>();
  const all = new Set<UpstreamConnection>();

  const keyOf = ({ origin, id }: Target): string => `${id} ${origin}`;
  const closed = (connection: UpstreamConnection): void => {
    all.delete(connection);
    const kept = idle.get(connection.key);
    const at = kept?.indexOf(connection) ?? -1;
    if (at >= 0) kept?.splice(at, 1);
    if (kept?.length === 0) idle.delete(connection.key);
  };

  return {
    take(target) {
      const kept = idle.get(keyOf(target));
      for (;;) {
        const connection = kept?.pop();
        if (connection === undefined) return undefined;
        const { socket } = connection;
        // its end may have been read already while its event still waits for its turn
        if (!socket.destroyed && socket.writable && !socket.readableEnded) {
          connection.reused = true;
          return connection;
        }
        connection.destroy();
      }
    },
    open(target) {
      const connection = new UpstreamConnection(target, keyOf(target), closed);
      all.add(connection);
      return connection;
    },
    put(connection, nowMs, idleMs) {
      connection.release();
      let kept = idle.get(connection.key);
      if (kept === undefined) idle.set(connection.key, (kept = []));
      if (kept.length >= idlePerInstance || idleMs <= 0) {
        connection.destroy();
        return;
      }
      connection.idleUntilMs = nowMs + idleMs;
      kept.push(connection);
    },
    sweep(nowMs) {
      for (const kept of idle.values()) {
        // the oldest stand first
        while (kept[0] !== undefined && nowMs > kept[0].idleUntilMs) kept.shift()?.destroy();
      }
    },
    destroy() {
      for (const connection of all) connection.destroy();
      idle.clear();
      all.clear();
    },
  };
}
