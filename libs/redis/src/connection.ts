// How does a process talk to a Redis that may be killed, frozen, failed over or restarted under it?
//
// One place for the options (sources: ioredis 6 README and source; ioredis issues 1314, 1328, 1059; BullMQ "going to
// production"). A command either is answered, or fails within its deadline; nothing waits for ever, nothing is sent twice by
// itself. Only BullMQ's workers wait without limit: they demand it.
import { once } from 'node:events';
import { Redis } from 'ioredis';
import type { RedisOptions as AnyRedisOptions } from 'ioredis';
import { withDeadline } from '@switchyard/runtime';
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
 * - `subscriber`: pub/sub, by `keepSubscribed` alone: what ioredis resubscribes by itself can get lost
 * - `queue`: adding jobs; as `commands`
 * - `worker`: BullMQ's blocking worker; waits for Redis without limit (BullMQ demands it)
 */
export type ConnectionUse = 'commands' | 'subscriber' | 'queue' | 'worker';

const COMMAND_DEADLINE_MS = 1_500;
const CONNECT_DEADLINE_MS = 1_000;
/** A peer that owes an answer for so long has vanished without a FIN, or is frozen: the socket is given up. */
const SOCKET_SILENCE_MS = { commands: 3_000, queue: 3_000, subscriber: 10_000, worker: 15_000 } as const;
/** A subscriber is owed nothing, so it asks, to notice that its peer has vanished. */
const SUBSCRIBER_PING_MS = 5_000;
/** A frozen peer never closes its side: waiting for that would add as much to every failover. */
const CLOSE_DEADLINE_MS = 250;
const MAX_RECONNECT_DELAY_MS = 500;
const START_WAIT_MS = 500;

/** 50 ms, doubling to half a second: a failover is over in two seconds, a longer wait would only add to it. */
const reconnectDelayMs = (attempt: number): number => Math.min(MAX_RECONNECT_DELAY_MS, 25 * 2 ** Math.min(attempt, 6));

/** Replies in the shapes of RESP2, whatever the protocol. */
type RedisOptions = AnyRedisOptions & { replyMapping: 'legacy' };

function optionsFor(settings: RedisSettings, use: ConnectionUse, name: string): RedisOptions {
  const waits = use === 'worker';
  const fails = use === 'commands' || use === 'queue';
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
    disconnectTimeout: CLOSE_DEADLINE_MS,
    socketTimeout: SOCKET_SILENCE_MS[use],
    retryStrategy: reconnectDelayMs,
    // A demoted primary says READONLY: leave it and ask the Sentinels again. Only a worker sends the refused command there.
    reconnectOnError: (error) => error.message.startsWith('READONLY') && (waits ? 2 : 1),
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

/** All connections of one process. */
export interface RedisConnections {
  readonly name: string;
  readonly settings: RedisSettings;
  /** Opens one; it connects in the background, reconnects until `disconnect()` or `stop`, and logs only changes. */
  connect(use: ConnectionUse): Redis;
  /** Gives the open ones a moment to connect, so that what starts next need not fail first. Never rejects. */
  start(signal: AbortSignal): Promise<void>;
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
      open.add(redis);
      logChanges(redis, use, logger);
      keepAlive(redis, use, { until: () => open.delete(redis), logger });
      return redis;
    },
    async start(signal) {
      const waits = [...open]
        .filter(({ status }) => status !== 'ready')
        .map((redis) => once(redis, 'ready', { signal }));
      // without Redis a service starts all the same, and says so by its health
      await withDeadline(Promise.all(waits), START_WAIT_MS, 'the first connections').catch(() => undefined);
    },
    async stop() {
      for (const redis of open) redis.disconnect();
    },
  };
}

function logChanges(redis: Redis, use: ConnectionUse, logger: Logger): void {
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
}

/** Keeps a connection usable until somebody disconnects it on purpose; `until` is called then, once or more. */
function keepAlive(redis: Redis, use: ConnectionUse, options: { until: () => void; logger: Logger }): void {
  const disconnect = redis.disconnect.bind(redis);
  const ping = (): void => {
    // what goes wrong closes the socket, and that is told elsewhere
    if (redis.status === 'ready') redis.ping().catch(() => undefined);
  };
  const pings = use === 'subscriber' ? setInterval(ping, SUBSCRIBER_PING_MS) : undefined;
  let wanted = true;
  redis.disconnect = (reconnect = false) => {
    if (!reconnect) {
      wanted = false;
      clearInterval(pings);
      options.until();
    }
    disconnect(reconnect);
  };
  // ioredis gives up for good when a Sentinel announces a new primary in the very moment in which it asks for it
  // (FailoverDetector.disconnect() while SentinelConnector.connect() resolves): without an error, without a retry.
  redis.on('end', () => {
    if (!wanted) return;
    options.logger.debug({ use }, 'redis.revived');
    setTimeout(() => {
      if (wanted) redis.connect().catch(() => undefined);
    }, reconnectDelayMs(1));
  });
}

/** Hears `channels` on a `subscriber` connection: now, and again after every reconnect. Returns what ends it. */
export function keepSubscribed(subscriber: Redis, channels: readonly string[]): () => void {
  const subscribe = (): void => {
    subscriber.subscribe(...channels).catch((error: unknown) => {
      // a lost connection is made up for by the next one; a refusal (ACL) is for people to see
      if (subscriber.status === 'ready') subscriber.emit('error', error);
    });
  };
  subscriber.on('ready', subscribe);
  if (subscriber.status === 'ready') subscribe();
  return () => subscriber.off('ready', subscribe);
}
