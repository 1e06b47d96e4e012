// Which groups does this manager look after? The one of its settings, and those that were added by the API.
import { join } from 'node:path';
import { ok, refuse, type RedisGroupInput, type Result } from '@switchyard/protocol';
import type { Address } from '@switchyard/replication';
import type { Component } from '@switchyard/runtime';
import { createGroup, type Group, type GroupSurroundings } from './group.ts';
import type { GroupDefinition } from './group-part.ts';
import { definitionOf, withChanges } from './groups-definition.ts';
import { groupHealth } from './groups-health.ts';
import { createGroupsStore, type KeptGroup } from './groups-store.ts';

/** Each has its own connections, loop and journal; more of them are for another manager. */
export const mostGroups = 32;

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
  /** Keeps it on the disk, then looks after it; an earlier one of that name ends first. Refuses beyond `mostGroups`. Throws what the disk refuses. */
  put(name: string, input: RedisGroupInput, members: KnownMembers): Promise<Result<KeptGroup>>;
  /** Forgets it; nothing is changed at its nodes. */
  remove(name: string): Promise<Result<KeptGroup>>;
}

/** Where to begin. */
export interface KnownMembers {
  readonly sentinels: readonly Address[];
  readonly nodes: readonly Address[];
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
  const write = async (next: ReadonlyMap<string, KeptGroup>): Promise<void> => store.write([...next.values()]);

  const replace = async (one: KeptGroup): Promise<void> => {
    await running.get(one.name)?.end();
    const made = make(definitionOfKept(one));
    running.set(one.name, made);
    await made.group.start(life.signal);
  };

  return {
    name: 'groups',
    ownName: main.name,
    own: main,
    list: () => [...running.values()].map(({ group }) => group),
    get: (name) => running.get(name)?.group,
    kept: (name) => kept.get(name),
    put: async (name, input, members) =>
      inTurn(async () => {
        if (!kept.has(name) && kept.size >= mostGroups) return tooMany;
        const one: KeptGroup = {
          name,
          revision: (kept.get(name)?.revision ?? 0) + 1,
          input,
          sentinels: members.sentinels.map(plain),
          nodes: members.nodes.map(plain),
        };
        await write(new Map([...kept, [name, one]]));
        kept.set(name, one);
        await replace(one);
        logger.info({ group: name, revision: one.revision, manage: input.manage }, 'groups.group_put');
        return ok(one);
      }),
    remove: async (name) =>
      inTurn(async () => {
        const one = kept.get(name);
        if (one === undefined) return refuse('not_found', `there is no Redis group named ${name}`);
        await write(new Map([...kept].filter(([other]) => other !== name)));
        kept.delete(name);
        await running.get(name)?.end();
        running.delete(name);
        logger.info({ group: name }, 'groups.group_removed');
        return ok(one);
      }),
    async start(signal) {
      const read = await store.read().catch((error: unknown) => {
        logger.error({ err: error }, 'groups.file_unusable');
        return [];
      });
      for (const one of read.slice(0, mostGroups)) kept.set(one.name, one);
      const changed = kept.get(main.name);
      if (changed !== undefined) running.set(main.name, make(definitionOfKept(changed)));
      await running.get(main.name)?.group.start(signal);
      // One that cannot be started must not keep the others from being looked after.
      await Promise.all(
        [...kept.values()]
          .filter(({ name }) => name !== main.name)
          .map(async (one) =>
            replace(one).catch((error: unknown) =>
              logger.error({ group: one.name, err: error }, 'groups.group_not_started'),
            ),
          ),
      );
    },
    async stop() {
      life.abort();
      await changes;
      await Promise.all([...running.values()].map(async ({ group }) => group.stop()));
    },
  };
};

const plain = ({ host, port }: Address): { host: string; port: number } => ({ host, port });

const tooMany = refuse('conflict', `this manager looks after ${String(mostGroups)} groups already`, {
  next: 'DELETE one that is not needed, or run another replication-manager for more',
});
