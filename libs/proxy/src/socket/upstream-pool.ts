// Which connection to an instance is used again? The one that came back last: it is the likeliest to be alive, and the
// others get old enough to be closed.
import type { Target } from '../engine.ts';
import { BatchGauge } from './batch-gauge.ts';
import { loopTurn } from './loop-turn.ts';
import { SharedConnection } from './shared-connection.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** Connections to all instances. */
export interface UpstreamPools {
  /** An idle connection, or undefined. */
  take(target: Target): UpstreamConnection | undefined;
  /** A new one; it is connecting. `bare`: its socket will be given away. */
  open(target: Target, bare?: boolean): UpstreamConnection;
  /** One that other requests use too, while that is worth it for this instance; see batch-gauge.ts. */
  shared(target: Target): SharedConnection | undefined;
  /** What the answers of the instance have been like. */
  gauge(target: Target): BatchGauge;
  /** Keeps it for the next request for at most `idleMs`, unless there are enough. */
  put(connection: UpstreamConnection, nowMs: number, idleMs: number): void;
  /** Closes what is idle or shared at an instance that is gone; what relays an answer goes on. */
  drop(service: string, id: string): void;
  /** Closes those that were idle for too long. */
  sweep(nowMs: number): void;
  destroy(): void;
}

/** Shared connections to one instance: enough to fill a write, few enough to fill it often. */
const MOST_SHARED = 2;
/** As kept ones: before Node's own server would close it. */
const SHARED_IDLE_MS = 4_000;
/** A gauge of an instance that nobody has asked for so long is forgotten. */
const FORGET_AFTER_MS = 60_000;

/** What is shared at one instance. */
interface Sharing {
  readonly gauge: BatchGauge;
  readonly connections: SharedConnection[];
  usedMs: number;
}

/** No connections. `idlePerInstance` bounds what is kept; what is in use is bounded by the requests in flight. */
export function createUpstreamPools(
  {
    idlePerInstance,
    sharedDepth,
    connectMs,
  }: { readonly idlePerInstance: number; readonly sharedDepth: number; readonly connectMs: number },
  nowMs: () => number,
): UpstreamPools {
  const idle = new Map<string, UpstreamConnection[]>();
  const all = new Set<UpstreamConnection>();
  const sharings = new Map<string, Sharing>();

  const keyOf = ({ origin, id }: Target): string => `${id} ${origin}`;
  const closed = (connection: UpstreamConnection): void => {
    all.delete(connection);
    const kept = idle.get(connection.key);
    const at = kept?.indexOf(connection) ?? -1;
    if (at >= 0) kept?.splice(at, 1);
    if (kept?.length === 0) idle.delete(connection.key);
  };

  const sharingOf = (target: Target): Sharing => {
    const key = keyOf(target);
    let sharing = sharings.get(key);
    if (sharing === undefined) sharings.set(key, (sharing = { gauge: new BatchGauge(), connections: [], usedMs: 0 }));
    sharing.usedMs = nowMs();
    return sharing;
  };
  const take = (target: Target): UpstreamConnection | undefined => {
    const kept = idle.get(keyOf(target));
    if (kept === undefined) return undefined;
    const turn = loopTurn();
    for (let at = kept.length - 1; at >= 0; at -= 1) {
      const connection = kept[at] as UpstreamConnection;
      if (connection.keptTurn === turn) continue;
      kept.splice(at, 1);
      const { socket } = connection;
      // its end may have been read already while its event still waits for its turn
      if (!socket.destroyed && socket.writable && !socket.readableEnded) {
        connection.reused = true;
        connection.takenTurn = turn;
        return connection;
      }
      connection.destroy();
    }
    return undefined;
  };
  const open = (target: Target, bare = false): UpstreamConnection => {
    const connection = new UpstreamConnection({ target, key: keyOf(target), bare, closed });
    all.add(connection);
    return connection;
  };

  return {
    take,
    open,
    gauge: (target) => sharingOf(target).gauge,
    shared(target) {
      if (sharedDepth === 0) return undefined;
      const { gauge, connections } = sharingOf(target);
      if (!gauge.isOn(target.meter.inFlight)) return undefined;
      let best: SharedConnection | undefined;
      for (const one of connections) if (one.hasRoom && (best === undefined || one.depth < best.depth)) best = one;
      if (best !== undefined && (best.depth === 0 || connections.length >= MOST_SHARED)) return best;
      if (connections.length >= MOST_SHARED) return undefined;
      const opened = new SharedConnection({
        connection: take(target) ?? open(target),
        gauge,
        deepest: sharedDepth,
        nowMs,
        gone: (shared) => {
          const at = connections.indexOf(shared);
          if (at >= 0) connections.splice(at, 1);
        },
      });
      connections.push(opened);
      return opened;
    },
    put(connection, atMs, idleMs) {
      connection.release();
      let kept = idle.get(connection.key);
      if (kept === undefined) idle.set(connection.key, (kept = []));
      if (kept.length >= idlePerInstance || idleMs <= 0) {
        connection.destroy();
        return;
      }
      connection.keptTurn = loopTurn();
      connection.idleUntilMs = atMs + idleMs;
      kept.push(connection);
    },
    drop(service, id) {
      const isAt = ({ key, service: of }: UpstreamConnection): boolean => of === service && key.startsWith(`${id} `);
      for (const { connections } of sharings.values()) {
        for (const one of connections.slice()) if (isAt(one.connection)) one.close();
      }
      for (const kept of idle.values()) for (const one of kept.filter(isAt)) one.destroy();
    },
    sweep(atMs) {
      for (const [key, { connections, usedMs }] of sharings) {
        for (const one of connections.slice()) one.expireConnecting(connectMs);
        const unused = connections.filter(
          ({ depth, idleSinceMs }) => depth === 0 && atMs - idleSinceMs > SHARED_IDLE_MS,
        );
        for (const one of unused) one.close();
        if (connections.length === 0 && atMs - usedMs > FORGET_AFTER_MS) sharings.delete(key);
      }
      for (const kept of idle.values()) {
        // the oldest stand first
        while (kept[0] !== undefined && atMs > kept[0].idleUntilMs) kept.shift()?.destroy();
      }
    },
    destroy() {
      for (const { connections } of sharings.values()) for (const one of connections.slice()) one.close();
      sharings.clear();
      for (const connection of all) connection.destroy();
      idle.clear();
      all.clear();
    },
  };
}
