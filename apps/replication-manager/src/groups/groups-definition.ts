// How does a document become a group? The same for one that was just sent and for one that was kept.
import {
  redisGroupInputSchema,
  redisGroupSettingsSchema,
  type RedisGroupInput,
  type RedisGroupSettingsView,
} from '@switchyard/protocol';
import { addressKey, addressOf, type Address } from '@switchyard/replication';
import type { GroupDefinition } from '../group-part.ts';

/** The definition of a group; `sentinels` are those that were found when it was admitted. */
export const definitionOf = (name: string, input: RedisGroupInput, sentinels: readonly Address[]): GroupDefinition => {
  const { username, password, sentinelPassword, tls } = input;
  const access = {
    tls,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  };
  return {
    name,
    input,
    settings: { ...placeOf(input, sentinels), group: name, ...access },
    names: new Map(Object.entries(input.names ?? {}).map(([label, at]) => [addressKey(addressOf(at)), label])),
  };
};

const placeOf = ({ kind, seeds }: RedisGroupInput, sentinels: readonly Address[]) => {
  const nodes = seeds.map(addressOf);
  const [endpoint] = nodes;
  if (kind === 'cluster') return { kind, nodes } as const;
  return kind === 'single' && endpoint !== undefined
    ? ({ kind, endpoint } as const)
    : ({ kind: 'sentinel', sentinels } as const);
};

/** The parts of a document that may be changed of the group of the settings; its addresses and passwords stay theirs. */
const changeable = ['manage', 'policy', 'bootLock', 'downAfter', 'failoverTimeout', 'quorum'] as const;

/** The group of the settings with what was changed by the API. */
export const withChanges = (main: GroupDefinition, changes: RedisGroupInput | undefined): GroupDefinition => {
  if (changes === undefined) return main;
  const picked = Object.fromEntries(changeable.map((name) => [name, changes[name]]));
  return { ...main, input: redisGroupInputSchema.parse({ ...main.input, ...picked }) };
};

/** Why these are not changes of the group of the settings; empty when they are. */
export const notChangeable = (main: GroupDefinition, input: RedisGroupInput): readonly string[] => {
  const own = new Set(main.input.seeds);
  const strange = input.seeds.filter((seed) => !own.has(seed));
  const allowed = new Set<string>([...changeable, 'kind', 'seeds', 'tls']);
  const others = Object.entries(input).filter(([name, value]) => !allowed.has(name) && value !== undefined);
  return [
    ...(input.kind === main.input.kind ? [] : [`kind: it is ${main.input.kind}`]),
    ...(strange.length === 0 ? [] : [`seeds: ${strange.join(', ')} is not among those of the settings`]),
    ...others.map(([name]) => `${name}: comes from the settings`),
  ];
};

/** Whether both documents say the same; an order in lists counts, an order of names does not. */
export const sameInput = (a: RedisGroupInput, b: RedisGroupInput): boolean => canonical(a) === canonical(b);

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_name, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );

/** What may be shown of a document: everything but its secrets. */
export const publicSettings = (input: RedisGroupInput): RedisGroupSettingsView =>
  redisGroupSettingsSchema.strip().parse(input);
