// How does a process talk to a Redis that may be killed, frozen, failed over or restarted under it?
//
// One place for the options (sources: ioredis README; ioredis issues 1314, 1328, 1059; BullMQ "going to production").
// A command either is answered, or fails within its deadline; nothing waits for ever, nothing is sent twice by itself.
import { Redis } from 'ioredis';
import type { RedisOptions as AnyRedisOptions } from 'ioredis';
import type { Refusal } from '@switchyard/protocol';
import type { Logger } from '@switchyard/runtime';

export interface RedisEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Where Redis is: by its Sentinels, or one fixed address. */
export type RedisSettings = (
  | { readonly kind: 'sentinel'; readonly sentinels: readonly RedisEndpoint[]; readonly group: string }
  | { readonly kind: 'single'; readonly endpoint: RedisEndpoint; readonly group: string }
) & {
  readonly username?: string;
  readonly password?: string;
  readonly sentinelPassword?: string;
  readonly tls?: boolean;
};

/**
 * What the connection is for.
 * - `commands`: fails fast while Redis is away, each command has a deadline
 * - `subscriber`: pub/sub; subscriptions come back by themselves after a reconnect
 * - `queue`: adding jobs; as `commands`
 * - `worker`: BullMQ's blocking worker; waits for Redis without limit (BullMQ demands it)
 */
export type ConnectionUse = 'commands' | 'subscriber' | 'queue' | 'worker';

const COMMAND_DEADLINE_MS = 1_500;
const SOCKET_SILENCE_MS = 3_000;
const CONNECT_DEADLINE_MS = 1_000;
const MAX_RECONNECT_DELAY_MS = 500;

/** 50 ms, doubling to half a second: a failover is over in two seconds, a longer wait would only add to it. */
const reconnectDelayMs = (attempt: number): number => Math.min(MAX_RECONNECT_DELAY_MS, 25 * 2 ** Math.min(attempt, 6));

/** Replies in the shapes of RESP2, whatever the protocol. */
type RedisOptions = AnyRedisOptions & { replyMapping: 'legacy' };

function optionsFor(settings: RedisSettings, use: ConnectionUse, name: string): RedisOptions {
  const waits = use === 'worker';
  const where: AnyRedisOptions =
    settings.kind === 'single'
      ? { host: settings.endpoint.host, port: settings.endpoint.port }
      : {
          name: settings.group,
          sentinels: settings.sentinels.map(({ host, port }) => ({ host, port })),
          // Hears +switch-master itself: without it a frozen primary holds its clients for ever.
          failoverDetector: true,
          sentinelRetryStrategy: reconnectDelayMs,
          sentinelReconnectStrategy: reconnectDelayMs,
          sentinelCommandTimeout: CONNECT_DEADLINE_MS,
          ...(settings.sentinelPassword === undefined ? {} : { sentinelPassword: settings.sentinelPassword }),
        };
  return {
    ...where,
    replyMapping: 'legacy',
    connectionName: name,
    connectTimeout: CONNECT_DEADLINE_MS,
    // A peer that vanished without a FIN: give the socket up when an answer is owed for so long.
    socketTimeout: waits ? 15_000 : SOCKET_SILENCE_MS,
    retryStrategy: reconnectDelayMs,
    // A demoted primary says READONLY: leave it, ask the Sentinels again, and send the refused command there.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
    maxRetriesPerRequest: waits ? null : 1,
    enableOfflineQueue: waits || use === 'subscriber',
    // A command whose answer was lost may have been carried out: its caller decides, not the connection.
    autoResendUnfulfilledCommands: waits,
    maxLoadingRetryTime: 1_000,
    ...(waits || use === 'subscriber' ? {} : { commandTimeout: COMMAND_DEADLINE_MS }),
    ...(settings.username === undefined ? {} : { username: settings.username }),
    ...(settings.password === undefined ? {} : { password: settings.password }),
    ...(settings.tls ? { tls: {} } : {}),
  };
}

/** All connections of one process. */
export interface RedisConnections {
  readonly name: string;
  readonly settings: RedisSettings;
  /** Opens one; it connects in the background, reconnects for ever, and logs only changes. */
  connect(use: ConnectionUse): Redis;
  stop(): Promise<void>;
}

/** A factory of connections that follow the primary. Opens nothing by itself. */
export function createRedis(
  settings: RedisSettings,
  { logger, name }: { logger: Logger; name: string },
): RedisConnections {
  const open = new Set<Redis>();
  return {
    name: 'redis',
    settings,
    connect(use) {
      const redis = new Redis(optionsFor(settings, use, `${name}:${use}`));
      let state: 'new' | 'up' | 'down' = 'new';
      let lastFault = '';
      redis.on('ready', () => {
        if (state !== 'new') logger.info({ use }, 'redis.connected');
        state = 'up';
        lastFault = '';
      });
      redis.on('error', (error: Error) => {
        // ioredis repeats the same fault at every attempt
        if (error.message === lastFault) return;
        lastFault = error.message;
        logger.warn({ use, fault: error.message.slice(0, 200) }, 'redis.unreachable');
      });
      redis.on('close', () => {
        if (state === 'up') logger.warn({ use }, 'redis.disconnected');
        state = 'down';
      });
      redis.on('end', () => open.delete(redis));
      open.add(redis);
      return redis;
    },
    async stop() {
      for (const redis of open) redis.disconnect();
      open.clear();
    },
  };
}

/** True when an error means that Redis could not be reached or could not answer in time, not that the caller erred. */
export function isRedisUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    error.name === 'MaxRetriesPerRequestError' ||
    /Command timed out|Connection is closed|Stream isn't writeable|All sentinels are unreachable|Socket timeout|ECONN|ETIMEDOUT|EPIPE|EHOSTUNREACH|^(LOADING|MASTERDOWN|READONLY|NOREPLICAS|CLUSTERDOWN|UNBLOCKED)\b/.test(
      error.message,
    )
  );
}

/** The refusal for an error that means "Redis is away"; undefined for every other error. */
export function redisRefusal(error: unknown): Refusal | undefined {
  if (!isRedisUnavailable(error)) return undefined;
  const why = [(error as Error).message.slice(0, 200)];
  return {
    code: 'redis_unavailable',
    detail: 'Redis did not carry the command out; nothing was changed as far as is known',
    why,
  };
}
