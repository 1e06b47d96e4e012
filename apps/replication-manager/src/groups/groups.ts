// Which groups does this manager look after? The one of its settings, and those that were added by the API.
import { join } from 'node:path';
import { ok, refuse, type RedisGroupInput, type Result } from '@switchyard/protocol';
import type { Address } from '@switchyard/replication';
import type { Component } from '@switchyard/runtime';
import { createGroup, type Group, type GroupSurroundings } from '../group.ts';
import type { GroupDefinition } from '../group-part.ts';
import { definitionOf, sameInput, withChanges } from './groups-definition.ts';
import { groupHealth } from './groups-health.ts';
import { createGroupsShare } from './groups-share.ts';
import { createGroupsStore, type KeptGroup, type KeptGroups, type RemovedGroup } from './groups-store.ts';

/** Each has its own connections, loop and journal; more of them are for another manager. */
export const mostGroups = 32;
/** Removed ones that are remembered for other managers. */
const mostRemoved = 64;
/** Groups of other managers. */
const mostLearnt = 128;

/** All groups of a manager. */
export interface Groups extends Component {
  list(): readonly Group[];
  get(name: string): Group | undefined;
  /** The name of the group of the settings: it can be changed, never removed. */
  readonly ownName: string;
  /** The group of the settings as they name it, without what was changed by the API. */
  readonly own: GroupDefinition;
  /** As it is kept; undefined for the group of the settings while nothing was changed. */
  kept(name: string): KeptGroup | undefined;
  /**
   * Keeps it on the disk, then looks after it; an earlier one of that name ends first. Refuses beyond `mostGroups`, and what `guard`
   * refuses, which sees all changes before this one. Throws what the disk refuses.
   */
  put(name: string, group: GroupToKeep): Promise<Result<KeptGroup>>;
  /** Forgets it; nothing is changed at its nodes. */
  remove(name: string): Promise<Result<KeptGroup>>;
  /** Everything that is kept, for the other managers. */
  all(): KeptGroups;
  /** Takes over what another manager was told. Throws what the disk refuses. */
  adopt(group: KeptGroup): Promise<void>;
  /** The latest revision that any manager has of it: the next one here is later. */
  learn(name: string, revision: number): void;
  /** Takes over that another manager was told to forget it. Throws what the disk refuses. */
  forget(removed: RemovedGroup): Promise<void>;
}

/** What is to be kept, and where to begin. */
export interface GroupToKeep {
  readonly input: RedisGroupInput;
  readonly sentinels: readonly Address[];
  readonly nodes: readonly Address[];
  readonly guard: () => Result<null>;
}

interface Running {
  readonly group: Group;
  end(): Promise<void>;
}

/** The groups; `main` is the one that the settings name. */
export const createGroups = (main: GroupDefinition, surroundings: GroupSurroundings): Groups => {
  const { logger, health } = surroundings;
  const store = createGroupsStore(join(surroundings.stateDir, 'groups.json'), logger);
  const kept = new Map<string, KeptGroup>();
  const gone = new Map<string, RemovedGroup>();
  const learnt = new Map<string, number>();
  const life = new AbortController();
  const running = new Map<string, Running>();
  let changes: Promise<unknown> = Promise.resolve();

  const make = (definition: GroupDefinition): Running => {
    const own = definition.name === main.name ? null : groupHealth(health, definition.name);
    const group = createGroup(definition, own === null ? surroundings : { ...surroundings, health: own });
    return {
      group,
      async end() {
        await group.stop();
        own?.forget();
      },
    };
  };
  const definitionOfKept = ({ name, input, sentinels }: KeptGroup): GroupDefinition =>
    name === main.name ? withChanges(main, input) : definitionOf(name, input, sentinels);
  // The group of the settings is there before the start: the API is asked about it from the first moment.
  running.set(main.name, make(main));

  /** One change after the other; each sees what the one before left. */
  const inTurn = async <T>(change: () => Promise<T>): Promise<T> => {
    const done = changes.then(change);
    changes = done.catch(() => undefined);
    return done;
  };
  /** On the disk first: what was answered must be there after a crash. */
  const keep = async (one: KeptGroup): Promise<void> => {
    const removed = [...gone.values()].filter(({ name }) => name !== one.name);
    await store.write({ groups: [...new Map([...kept, [one.name, one]]).values()], removed });
    kept.set(one.name, one);
    gone.delete(one.name);
  };
  const drop = async (removed: RemovedGroup): Promise<void> => {
    const others = [...kept.values()].filter(({ name }) => name !== removed.name);
    const all = [...gone.values()]
      .filter(({ name }) => name !== removed.name)
      .concat(removed)
      .slice(-mostRemoved);
    await store.write({ groups: others, removed: all });
    kept.delete(removed.name);
    gone.clear();
    for (const one of all) gone.set(one.name, one);
  };
  const revisionOf = (name: string): number =>
    Math.max(kept.get(name)?.revision ?? gone.get(name)?.revision ?? 0, learnt.get(name) ?? 0);

  const replace = async (definition: GroupDefinition): Promise<void> => {
    await running.get(definition.name)?.end();
    const made = make(definition);
    running.set(definition.name, made);
    await made.group.start(life.signal);
  };
  const end = async (name: string): Promise<void> => {
    // The group of the settings goes on as they say.
    if (name === main.name) return replace(main);
    await running.get(name)?.end();
    running.delete(name);
  };

  const groups: Groups = {
    name: 'groups',
    ownName: main.name,
    own: main,
    list: () => [...running.values()].map(({ group }) => group),
    get: (name) => running.get(name)?.group,
    kept: (name) => kept.get(name),
    all: () => ({ groups: [...kept.values()], removed: [...gone.values()] }),
    put: async (name, { input, sentinels, nodes, guard }) =>
      inTurn(async () => {
        const guarded = guard();
        if (!guarded.ok) return guarded;
        if (!kept.has(name) && kept.size >= mostGroups) return tooMany;
        const one: KeptGroup = {
          name,
          revision: revisionOf(name) + 1,
          by: surroundings.instanceId,
          input,
          sentinels: sentinels.map(plain),
          nodes: nodes.map(plain),
        };
        await keep(one);
        await replace(definitionOfKept(one));
        logger.info({ group: name, revision: one.revision, manage: input.manage }, 'groups.group_put');
        return ok(one);
      }),
    remove: async (name) =>
      inTurn(async () => {
        const one = kept.get(name);
        if (one === undefined) return refuse('not_found', `there is no Redis group named ${name}`);
        await drop({ name, revision: revisionOf(name) + 1, by: surroundings.instanceId });
        await end(name);
        logger.info({ group: name }, 'groups.group_removed');
        return ok(one);
      }),
    adopt: async (one) =>
      inTurn(async () => {
        const before = kept.get(one.name);
        if (before === undefined && kept.size >= mostGroups) return;
        await keep(one);
        // The same document under a later revision: no reason to close eyes.
        if (before === undefined || !sameInput(before.input, one.input)) await replace(definitionOfKept(one));
        logger.info({ group: one.name, revision: one.revision, by: one.by }, 'groups.group_adopted');
      }),
    learn(name, revision) {
      if (learnt.size < mostLearnt || learnt.has(name)) learnt.set(name, revision);
    },
    forget: async (removed) =>
      inTurn(async () => {
        const isKept = kept.has(removed.name);
        await drop(removed);
        if (isKept) await end(removed.name);
        if (isKept) logger.info({ group: removed.name, by: removed.by }, 'groups.group_forgotten');
      }),
    async start(signal) {
      const read = await store.read().catch((error: unknown) => {
        logger.error({ err: error }, 'groups.file_unusable');
        return { groups: [], removed: [] };
      });
      for (const one of read.groups.slice(0, mostGroups)) kept.set(one.name, one);
      for (const one of read.removed) gone.set(one.name, one);
      const changed = kept.get(main.name);
      if (changed !== undefined) running.set(main.name, make(definitionOfKept(changed)));
      await running.get(main.name)?.group.start(signal);
      // One that cannot be started must not keep the others from being looked after.
      await Promise.all(
        [...kept.values()]
          .filter(({ name }) => name !== main.name)
          .map(async (one) =>
            replace(definitionOfKept(one)).catch((error: unknown) =>
              logger.error({ group: one.name, err: error }, 'groups.group_not_started'),
            ),
          ),
      );
      await share.start(signal);
    },
    async stop() {
      await share.stop();
      life.abort();
      await changes;
      await Promise.all([...running.values()].map(async ({ group }) => group.stop()));
    },
  };
  const { redis, clock } = surroundings;
  const share = createGroupsShare({ redis, groups, health, clock, logger });
  return groups;
};

const plain = ({ host, port }: Address): { host: string; port: number } => ({ host, port });

const tooMany = refuse('conflict', `this manager looks after ${String(mostGroups)} groups already`, {
  next: 'DELETE one that is not needed, or run another replication-manager for more',
});
