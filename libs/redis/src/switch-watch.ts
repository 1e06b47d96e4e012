// Who tells a connection that its primary is none any more? The Sentinels, once for all connections of a process.
//
// A killed primary closes its connections and a demoted one says READONLY; a frozen one does neither. ioredis has a detector
// of its own, for each connection to each Sentinel. It is not used: a connection that is told while it asks for the primary
// ends for good, one that is lost together with its Sentinels ends the process by an unhandled rejection, each of the
// Sentinels' announcements breaks all connections again, and some of its sockets are never closed.
import type { Redis } from 'ioredis';
import type { Logger } from '@switchyard/runtime';
import type { RedisEndpoint, RedisSettings } from './connection-options.ts';
import { openSocket } from './direct-connection.ts';
import { keepSubscribed } from './subscription.ts';

export interface SwitchWatch {
  close(): void;
}

const CHANNEL = '+switch-master';
/** Asked now and then, so that a Sentinel that vanished is noticed. */
const PING_MS = 5_000;

/** Sends every connection in `open` that is at another node away when a new primary is announced; it asks the Sentinels then. */
export function watchSwitches(
  settings: RedisSettings & { readonly kind: 'sentinel' },
  { logger, name, open }: { readonly logger: Logger; readonly name: string; readonly open: ReadonlySet<Redis> },
): SwitchWatch {
  const onMessage = (_channel: string, text: string): void => {
    const [group, , , host, port] = text.split(' ');
    if (group !== settings.group) return;
    const stale = [...open].filter((redis) => isElsewhere(redis, { host: host ?? '', port: Number(port) }));
    if (stale.length > 0) logger.info({ primary: `${host}:${port}`, connections: stale.length }, 'redis.switched');
    for (const redis of stale) redis.disconnect(true);
  };
  const watches = settings.sentinels.map((sentinel) => watchOne(sentinel, { settings, logger, name, onMessage }));
  return {
    close() {
      for (const close of watches) close();
    },
  };
}

/** One that is between two connections asks for the primary anyway, and must not be disturbed while it does. */
export function isElsewhere(redis: Redis, primary: RedisEndpoint): boolean {
  if (redis.status !== 'ready' && redis.status !== 'connect') return false;
  const { remoteAddress, remotePort } = redis.stream;
  // a Sentinel may announce a name, or another address of the same node: then it is only sent away in vain
  return remotePort !== primary.port || remoteAddress !== primary.host;
}

function watchOne(
  { host, port }: RedisEndpoint,
  options: {
    readonly settings: RedisSettings;
    readonly logger: Logger;
    readonly name: string;
    readonly onMessage: (channel: string, text: string) => void;
  },
): () => void {
  const { sentinelPassword } = options.settings;
  const redis = openSocket({
    host,
    port,
    name: `${options.name}:switches`,
    logger: options.logger,
    access: sentinelPassword === undefined ? {} : { password: sentinelPassword },
  });
  redis.on('message', options.onMessage);
  keepSubscribed(redis, [CHANNEL]);
  const pings = setInterval(() => {
    if (redis.status === 'ready') redis.ping().catch(() => undefined);
  }, PING_MS);
  return () => {
    clearInterval(pings);
    redis.disconnect();
  };
}
