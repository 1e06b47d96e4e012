// Which parts enforce the verdict of the Sentinels in a group, and what do they share? Put together here.
import { join } from 'node:path';
import { createBootLock } from '../boot-lock/boot-lock.ts';
import { createEnforcer } from './enforcer.ts';
import type { Redis } from '@switchyard/redis';
import { createFlappingBrake, type FlappingBrake } from './flapping-part.ts';
import type { GroupPart, GroupTools } from '../group-part.ts';
import { createMinReplicas } from './min-replicas-part.ts';
import { createSalvageStore } from '../salvage/salvage-store.ts';
import { createSalvages, type Salvages } from '../salvage/salvages.ts';

/** What may be set. */
export interface EnforcementSettings {
  /** How long a copy of what a former primary has alone may hold up its demotion. */
  readonly salvageMs: number;
  /** Of all copies of a group. */
  readonly salvageMaxBytes: number;
  /** More failovers than this within the time block what we would begin by ourselves. */
  readonly flappingFailovers: number;
  readonly flappingWithinMs: number;
  /** A replica that acknowledged within this time counts as in step. */
  readonly minReplicasMaxLagMs: number;
  /** Loads copies to look into them. */
  readonly redisServer: string;
}

/** The parts of one group that enforce, and what the API serves of them. */
export interface Enforcement {
  readonly parts: readonly GroupPart[];
  readonly salvages: Salvages;
  /** Ask it before anything is begun that nobody asked for. */
  readonly flapping: FlappingBrake;
}

/** Makes them; they begin with the group. */
export const createEnforcement = (tools: GroupTools, settings: EnforcementSettings, redis: Redis): Enforcement => {
  const { username, password, tls } = tools.definition.settings;
  const store = createSalvageStore({
    directory: join(tools.stateDir, 'salvage'),
    access: {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
    },
    maxBytes: settings.salvageMaxBytes,
    clock: tools.clock,
  });
  const salvages = createSalvages(tools, store, settings.redisServer);
  const enforcer = createEnforcer({
    tools,
    salvageMs: settings.salvageMs,
    takeSalvage: ({ action, admin, deadlineMs }) =>
      store.take({ node: action.node, epoch: action.epoch, admin, deadlineMs }),
    examine: (salvage, divergence) => salvages.examine(salvage, divergence),
  });
  const flapping = createFlappingBrake(tools, redis, {
    mostFailovers: settings.flappingFailovers,
    withinMs: settings.flappingWithinMs,
  });
  const parts = [
    enforcer,
    createMinReplicas(tools, settings.minReplicasMaxLagMs),
    flapping.part,
    createBootLock(tools, () => flapping.refusal()),
  ];
  return { parts, salvages, flapping };
};
