// How does a process keep its connections, whatever becomes of the Redis behind them? It opens them here, and only here.
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { withDeadline } from '@switchyard/runtime';
import type { Logger } from '@switchyard/runtime';
import { optionsFor, reconnectDelayMs } from './connection-options.ts';
import type { ConnectionUse, RedisSettings } from './connection-options.ts';
import { primaryConnector } from './primary-connector.ts';
import { watchPrimary } from './primary-watch.ts';
import type { KnownPrimary, PrimaryWatch } from './primary-watch.ts';
import { watchSlot } from './slot-watch.ts';
import type { SlotWatch } from './slot-watch.ts';

/** A subscriber is owed nothing, so it asks, to notice that its peer has vanished. */
const SUBSCRIBER_PING_MS = 5_000;
const START_WAIT_MS = 500;

/** All connections of one process. */
export interface RedisConnections {
  readonly name: string;
  readonly settings: RedisSettings;
  /** Opens one; it connects in the background, reconnects until `disconnect()` or `stop`, and logs only changes. */
  connect(use: ConnectionUse): Redis;
  /** Whom the connections follow now, by Sentinels; undefined while nobody is known, and for other kinds. */
  primary(): KnownPrimary | undefined;
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
  let primary: PrimaryWatch | undefined;
  let slot: SlotWatch | undefined;
  const optionsOf = (use: ConnectionUse): ReturnType<typeof optionsFor> => {
    const options = optionsFor(settings, use, `${name}:${use}`);
    if (settings.kind === 'single') return options;
    if (settings.kind === 'sentinel') {
      return { ...options, Connector: primaryConnector((primary ??= watchPrimary(settings, { logger, name, open }))) };
    }
    const watch = (slot ??= watchSlot(settings, { logger, name, open }));
    return { ...options, Connector: primaryConnector({ find: () => watch.owner() }) };
  };
  const keep = (redis: Redis, use: ConnectionUse): void => {
    open.add(redis);
    logChanges(redis, use, logger);
    keepAlive(redis, use, { wanted: (is) => (is ? open.add(redis) : open.delete(redis)), logger });
    // BullMQ makes a second connection out of a worker's first one
    const duplicate = redis.duplicate.bind(redis);
    redis.duplicate = (override) => {
      const copy = duplicate(override);
      keep(copy, use);
      return copy;
    };
  };
  return {
    name: 'redis',
    settings,
    connect(use) {
      const redis = new Redis(optionsOf(use));
      keep(redis, use);
      return redis;
    },
    primary: () => primary?.known(),
    async start(signal) {
      const waits = [...open]
        .filter(({ status }) => status !== 'ready')
        .map((redis) => once(redis, 'ready', { signal }));
      // without Redis a service starts all the same, and says so by its health
      await withDeadline(Promise.all(waits), START_WAIT_MS, 'the first connections').catch(() => undefined);
    },
    async stop() {
      primary?.close();
      slot?.close();
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

/** Keeps a connection usable until somebody disconnects it on purpose, and tells each change of that. */
function keepAlive(redis: Redis, use: ConnectionUse, options: { wanted: (is: boolean) => void; logger: Logger }): void {
  const disconnect = redis.disconnect.bind(redis);
  const ping = (): void => {
    // what goes wrong closes the socket, and that is told elsewhere
    if (redis.status === 'ready') redis.ping().catch(() => undefined);
  };
  const pings = use === 'subscriber' ? setInterval(ping, SUBSCRIBER_PING_MS) : undefined;
  let wanted = true;
  let connecting = true;
  const leave = (): void => {
    wanted = false;
    clearInterval(pings);
    options.wanted(false);
  };
  redis.disconnect = (reconnect = false) => {
    if (!reconnect) leave();
    disconnect(reconnect);
  };
  // also when BullMQ reconnects what it has disconnected
  redis.on('connecting', () => {
    connecting = wanted = true;
    options.wanted(true);
  });
  redis.on('close', () => (connecting = false));
  redis.on('end', () => {
    // an end after a close was somebody's wish: disconnect or quit
    if (!wanted || !connecting) return leave();
    // ioredis gives up for good, without an error, when it is told to reconnect while it asks a Sentinel for the primary
    options.logger.debug({ use }, 'redis.revived');
    setTimeout(() => {
      if (wanted) redis.connect().catch(() => undefined);
    }, reconnectDelayMs(1));
  });
}
