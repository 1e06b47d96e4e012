// Which connection to an instance is used again? The one that came back last: it is the likeliest to be alive, and the
// others get old enough to be closed. While the instance answers quickly, one is shared by many requests.
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
  /** The one that other requests use too, while that is worth it for this instance; see batch-gauge.ts. */
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

/** Bounds of a pool. What is in use is bounded by the requests in flight. */
export interface PoolLimits {
  readonly idlePerInstance: number;
  readonly sharedDepth: number;
  readonly connectMs: number;
}

/** As kept ones: before Node's own server would close it. */
const SHARED_IDLE_MS = 4_000;
/** What is known of an instance that nobody has asked for so long is forgotten. */
const FORGET_AFTER_MS = 60_000;

/** One instance at one address. */
interface Place {
  readonly service: string;
  readonly id: string;
  readonly gauge: BatchGauge;
  /** The oldest first. */
  readonly idle: UpstreamConnection[];
  /** One: the more requests go out in one write the better, and whoever does not fit has a connection alone. */
  shared: SharedConnection | undefined;
  /** since the latest look */
  isUsed: boolean;
  usedMs: number;
  isForgotten: boolean;
}

/** No connections. */
export function createUpstreamPools(
  { idlePerInstance, sharedDepth, connectMs }: PoolLimits,
  nowMs: () => number,
): UpstreamPools {
  const all = new Set<UpstreamConnection>();
  const places = new Map<string, Place>();
  // a target lives until the table changes: making a key of strings for every request would cost more than all the rest here
  const known = new WeakMap<Target, Place>();

  const placeOf = (target: Target): Place => {
    let place = known.get(target);
    if (place === undefined || place.isForgotten) {
      const { service, id, origin } = target;
      const key = `${service} ${id} ${origin}`;
      place = places.get(key) ?? newPlace(target);
      places.set(key, place);
      known.set(target, place);
    }
    place.isUsed = true;
    return place;
  };
  const closed = (connection: UpstreamConnection): void => {
    all.delete(connection);
    const { idle } = placeOf(connection.target);
    const at = idle.indexOf(connection);
    if (at >= 0) idle.splice(at, 1);
  };
  const take = (target: Target): UpstreamConnection | undefined => {
    const { idle } = placeOf(target);
    if (idle.length === 0) return undefined;
    const turn = loopTurn();
    for (let at = idle.length - 1; at >= 0; at -= 1) {
      const connection = idle[at] as UpstreamConnection;
      if (connection.keptTurn === turn) continue;
      idle.splice(at, 1);
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
    const connection = new UpstreamConnection({ target, bare, closed });
    all.add(connection);
    return connection;
  };

  return {
    take,
    open,
    gauge: (target) => placeOf(target).gauge,
    shared(target) {
      if (sharedDepth === 0) return undefined;
      const place = placeOf(target);
      const { gauge, shared } = place;
      if (!gauge.isOn(target.meter.inFlight)) return undefined;
      if (shared !== undefined) return shared.hasRoom ? shared : undefined;
      const connection = take(target) ?? open(target);
      const gone = (): void => void (place.shared = undefined);
      place.shared = new SharedConnection({ connection, gauge, deepest: sharedDepth, nowMs, gone });
      return place.shared;
    },
    put(connection, atMs, idleMs) {
      connection.release();
      const { idle } = placeOf(connection.target);
      if (idle.length >= idlePerInstance || idleMs <= 0) {
        connection.destroy();
        return;
      }
      connection.keptTurn = loopTurn();
      connection.idleUntilMs = atMs + idleMs;
      idle.push(connection);
    },
    drop(service, id) {
      for (const place of places.values()) {
        if (place.id !== id || place.service !== service) continue;
        place.shared?.close();
        for (const one of place.idle.splice(0)) one.destroy();
      }
    },
    sweep(atMs) {
      for (const [key, place] of places) {
        const { shared, idle } = place;
        shared?.expireConnecting(connectMs);
        if (shared?.depth === 0 && atMs - shared.idleSinceMs > SHARED_IDLE_MS) shared.close();
        while (idle[0] !== undefined && atMs > idle[0].idleUntilMs) idle.shift()?.destroy();
        if (place.isUsed || place.shared !== undefined || idle.length > 0) {
          place.isUsed = false;
          place.usedMs = atMs;
        } else if (atMs - place.usedMs > FORGET_AFTER_MS) {
          place.isForgotten = true;
          places.delete(key);
        }
      }
    },
    destroy() {
      for (const { shared } of places.values()) shared?.close();
      for (const connection of all) connection.destroy();
      places.clear();
      all.clear();
    },
  };
}

function newPlace({ service, id }: Target): Place {
  const gauge = new BatchGauge();
  return { service, id, gauge, idle: [], shared: undefined, isUsed: true, usedMs: 0, isForgotten: false };
}
