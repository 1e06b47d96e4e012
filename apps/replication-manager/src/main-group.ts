// Which group do the settings name? The control plane's own Redis, as a definition like any other group's.
import { redisGroupInputSchema, redisProbeKey } from '@switchyard/protocol';
import { slotOfKey } from '@switchyard/replication';
import type { RedisEndpoint, RedisSettings } from '@switchyard/redis';
import type { ConfigOf } from '@switchyard/runtime';
import type { replicationConfig } from './config.ts';
import type { GroupDefinition } from './group-part.ts';
import { nodeNamesOf } from './node-names.ts';

/** The definition of the group that the settings name. */
export const mainGroup = (
  config: Pick<ConfigOf<typeof replicationConfig>, 'manage' | 'policy' | 'bootLock' | 'nodeNames'>,
  settings: RedisSettings,
): GroupDefinition => {
  const { manage, policy, bootLock } = config;
  const endpoints = endpointsOf(settings);
  const seeds = endpoints.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${String(port)}`);
  return {
    name: settings.group,
    input: redisGroupInputSchema.parse({ kind: settings.kind, seeds, manage, policy, bootLock }),
    settings,
    ...(settings.kind === 'cluster' ? { homeSlot: slotOfKey(redisProbeKey) } : {}),
    names: nodeNamesOf(config.nodeNames),
  };
};

const endpointsOf = (settings: RedisSettings): readonly RedisEndpoint[] => {
  if (settings.kind === 'cluster') return settings.nodes;
  return settings.kind === 'sentinel' ? settings.sentinels : [settings.endpoint];
};
