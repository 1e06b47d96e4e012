// Which group do the settings name? The control plane's own Redis, as a definition like any other group's.
import { redisGroupInputSchema } from '@switchyard/protocol';
import type { RedisGroupSettings } from '@switchyard/redis';
import type { ConfigOf } from '@switchyard/runtime';
import type { replicationConfig } from './config.ts';
import type { GroupDefinition } from './group-part.ts';
import { nodeNamesOf } from './node-names.ts';

/** The definition of the group that the settings name. */
export const mainGroup = (
  config: Pick<ConfigOf<typeof replicationConfig>, 'manage' | 'policy' | 'bootLock' | 'nodeNames'>,
  settings: RedisGroupSettings,
): GroupDefinition => {
  const { manage, policy, bootLock } = config;
  const endpoints = settings.kind === 'sentinel' ? settings.sentinels : [settings.endpoint];
  const seeds = endpoints.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${String(port)}`);
  return {
    name: settings.group,
    input: redisGroupInputSchema.parse({ kind: settings.kind, seeds, manage, policy, bootLock }),
    settings,
    names: nodeNamesOf(config.nodeNames),
  };
};
