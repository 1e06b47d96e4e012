// How is one certain node or Sentinel asked, apart from the connections that follow the primary? Connected, asked, closed.
import { createRedisNodeAdmin, createSentinelWatch, type RedisSettings } from '@switchyard/redis';
import type { Address } from '@switchyard/replication';
import type { Clock, Logger } from '@switchyard/runtime';

/** Questions about a group. Each rejects with a RedisNodeError within its deadline. */
export interface GroupProbe {
  /** INFO of a node. */
  node(at: Address): Promise<string>;
  /** Replies of SENTINEL MASTER and SENTINEL REPLICAS, as they came. */
  sentinel(at: Address): Promise<{ readonly master: unknown; readonly replicas: unknown }>;
}

const deadlineMs = 1_500;

/** Asks with the credentials of `settings`: those of the nodes, or of the Sentinels. */
export function createGroupProbe(
  settings: RedisSettings,
  context: { readonly name: string; readonly clock: Clock; readonly logger: Logger },
): GroupProbe {
  const { group, username, password, sentinelPassword, tls } = settings;
  const secure = tls === undefined ? {} : { tls };
  const access = {
    ...secure,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
  const sentinelAccess = { ...secure, ...(sentinelPassword === undefined ? {} : { password: sentinelPassword }) };
  return {
    node: async ({ host, port }) => {
      const admin = createRedisNodeAdmin({ host, port, ...access, ...context, deadlineMs });
      try {
        return await admin.info();
      } finally {
        admin.close();
      }
    },
    sentinel: async ({ host, port }) => {
      const sentinels = [{ name: `${host}:${port}`, host, port }];
      const onMessage = (): void => undefined;
      const watch = createSentinelWatch({
        sentinels,
        group,
        access: sentinelAccess,
        ...context,
        onMessage,
        deadlineMs,
      });
      try {
        const [member] = watch.members();
        return { master: await member?.master(), replicas: await member?.replicas() };
      } finally {
        watch.close();
      }
    },
  };
}
