// How is one certain node or Sentinel asked, apart from the connections that follow the primary? Connected, asked, closed.
import { once } from 'node:events';
import { createRedis, type RedisEndpoint, type RedisSettings } from '@switchyard/redis';
import type { Logger } from '@switchyard/runtime';

/** Whom to ask. */
export interface Asked extends RedisEndpoint {
  readonly kind: 'node' | 'sentinel';
}

/** Sends the commands one after the other and resolves with their replies. Rejects when it cannot be reached or refuses one. */
export type Ask = (at: Asked, commands: readonly (readonly [string, ...string[]])[]) => Promise<readonly unknown[]>;

const readyDeadlineMs = 1_500;

/** Asks with the credentials of `settings`: those of the nodes, or of the Sentinels. */
export function createAsk(settings: RedisSettings, options: { readonly logger: Logger; readonly name: string }): Ask {
  // Who cannot be reached is told by the caller, with what follows from it.
  const logger = options.logger.child({}, { level: 'silent' });
  return async ({ kind, host, port }, commands) => {
    const single = { kind: 'single', endpoint: { host, port }, group: settings.group } as const;
    const connections = createRedis({ ...single, ...credentialsFor(kind, settings) }, { logger, name: options.name });
    try {
      const redis = connections.connect('commands');
      await once(redis, 'ready', { signal: AbortSignal.timeout(readyDeadlineMs) });
      const replies: unknown[] = [];
      for (const [command, ...values] of commands) replies.push(await redis.call(command, ...values));
      return replies;
    } finally {
      await connections.stop();
    }
  };
}

function credentialsFor(
  kind: Asked['kind'],
  { username, password, sentinelPassword, tls }: RedisSettings,
): Pick<RedisSettings, 'username' | 'password' | 'tls'> {
  const secure = tls === undefined ? {} : { tls };
  if (kind === 'sentinel')
    return { ...secure, ...(sentinelPassword === undefined ? {} : { password: sentinelPassword }) };
  return {
    ...secure,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
}
