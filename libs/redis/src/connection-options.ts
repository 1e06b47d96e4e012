// With which settings does a process talk to a Redis that may be killed, frozen, failed over or restarted under it?
//
// One place for all of them (sources: ioredis 6 README and source; ioredis issues 1314, 1328, 1059; BullMQ "going to
// production"). A command either is answered, or fails within its deadline; nothing waits for ever, nothing is sent twice by
// itself. Only BullMQ's workers wait without limit: they demand it.
import type { RedisOptions as AnyRedisOptions } from 'ioredis';
import type { RedisAccess } from './direct-connection.ts';
import type { NatMap } from './nat-map.ts';

export interface RedisEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Where Redis is: by its Sentinels, by any nodes of a Redis Cluster, or one fixed address. */
export type RedisSettings = (
  | { readonly kind: 'sentinel'; readonly sentinels: readonly RedisEndpoint[]; readonly group: string }
  | { readonly kind: 'cluster'; readonly nodes: readonly RedisEndpoint[]; readonly group: string }
  | { readonly kind: 'single'; readonly endpoint: RedisEndpoint; readonly group: string }
) & {
  readonly username?: string;
  readonly password?: string;
  readonly sentinelPassword?: string;
  readonly tls?: boolean;
  /** Addresses that Sentinels or nodes announce and that this process reaches elsewhere. */
  readonly natMap?: NatMap;
};

/** A Redis that is no Redis Cluster. */
export type RedisGroupSettings = Exclude<RedisSettings, { readonly kind: 'cluster' }>;

/**
 * What the connection is for.
 * - `commands`: fails fast while Redis is away, each command has a deadline
 * - `subscriber`: pub/sub, by `keepSubscribed` alone: what ioredis resubscribes by itself can get lost
 * - `queue`: adding jobs; as `commands`
 * - `worker`: BullMQ's blocking worker; waits for Redis without limit (BullMQ demands it)
 */
export type ConnectionUse = 'commands' | 'subscriber' | 'queue' | 'worker';

const COMMAND_DEADLINE_MS = 1_500;
const CONNECT_DEADLINE_MS = 1_000;
/** A peer that owes an answer for so long has vanished without a FIN, or is frozen: the socket is given up. */
const SOCKET_SILENCE_MS = { commands: 3_000, queue: 3_000, subscriber: 10_000, worker: 15_000 } as const;
/** A frozen peer never closes its side: waiting for that would add as much to every failover. */
const CLOSE_DEADLINE_MS = 250;
const MAX_RECONNECT_DELAY_MS = 500;

/** 50 ms, doubling to half a second: a failover is over in two seconds, a longer wait would only add to it. */
export const reconnectDelayMs = (attempt: number): number =>
  Math.min(MAX_RECONNECT_DELAY_MS, 25 * 2 ** Math.min(attempt, 6));

/** Replies in the shapes of RESP2, whatever the protocol. */
type RedisOptions = AnyRedisOptions & { replyMapping: 'legacy' };

/** Where a fixed one is; that of a group or a cluster is found before each connect, by `primary-connector.ts`. */
const placeOf = (settings: RedisSettings): AnyRedisOptions =>
  settings.kind === 'single' ? { host: settings.endpoint.host, port: settings.endpoint.port } : {};

/** The options of ioredis for one connection. */
export function optionsFor(settings: RedisSettings, use: ConnectionUse, name: string): RedisOptions {
  const waits = use === 'worker';
  const fails = use === 'commands' || use === 'queue';
  return {
    ...placeOf(settings),
    replyMapping: 'legacy',
    connectionName: name,
    connectTimeout: CONNECT_DEADLINE_MS,
    disconnectTimeout: CLOSE_DEADLINE_MS,
    socketTimeout: SOCKET_SILENCE_MS[use],
    retryStrategy: reconnectDelayMs,
    // A demoted primary says READONLY, in a cluster MOVED: leave it and ask for the new one. Only a worker sends the refused
    // command there.
    reconnectOnError: (error) => /^(?:READONLY|MOVED)\b/.test(error.message) && (waits ? 2 : 1),
    // Commands that a lost connection owes an answer fail at once. With 1 they would fail at every other loss only.
    maxRetriesPerRequest: waits ? null : 0,
    enableOfflineQueue: waits,
    // A command whose answer was lost may have been carried out: its caller decides, not the connection.
    autoResendUnfulfilledCommands: waits,
    autoResubscribe: false,
    maxLoadingRetryTime: 1_000,
    ...(fails ? { commandTimeout: COMMAND_DEADLINE_MS } : {}),
    ...(settings.username === undefined ? {} : { username: settings.username }),
    ...(settings.password === undefined ? {} : { password: settings.password }),
    ...(settings.tls ? { tls: {} } : {}),
  };
}

/** User, password and TLS of the nodes, for a direct connection to one of them. */
export const accessOf = ({ username, password, tls }: RedisSettings): RedisAccess => ({
  ...(username === undefined ? {} : { username }),
  ...(password === undefined ? {} : { password }),
  ...(tls === undefined ? {} : { tls }),
});
