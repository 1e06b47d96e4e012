// Which parts enforce the verdict of the Sentinels in a group, and what do they share? Put together here.
import { join } from 'node:path';
import { createEnforcer } from './enforcer.ts';
import type { GroupPart, GroupTools } from './group-part.ts';
import { createSalvageStore, type SalvageStore } from './salvage-store.ts';

/** What may be set. */
export interface EnforcementSettings {
  /** How long a copy of what a former primary has alone may hold up its demotion. */
  readonly salvageMs: number;
  /** Of all copies of a group. */
  readonly salvageMaxBytes: number;
}

/** The parts of one group that enforce, and what the API serves of them. */
export interface Enforcement {
  readonly parts: readonly GroupPart[];
  readonly salvages: SalvageStore;
}

/** Makes them; they begin with the group. */
export const createEnforcement = (tools: GroupTools, settings: EnforcementSettings): Enforcement => {
  const { username, password, tls } = tools.definition.settings;
  const salvages = createSalvageStore({
    directory: join(tools.stateDir, 'salvage'),
    access: {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
    },
    maxBytes: settings.salvageMaxBytes,
    clock: tools.clock,
  });
  const enforcer = createEnforcer({
    tools,
    salvageMs: settings.salvageMs,
    takeSalvage: ({ action, admin, deadlineMs }) =>
      salvages.take({ node: action.node, epoch: action.epoch, admin, deadlineMs }),
  });
  return { parts: [enforcer], salvages };
};
