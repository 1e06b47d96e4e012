// How do several managers come to look after the same groups? Each tells the others, through the control plane's Redis, what it was
// told, without secrets; the later revision wins. What needs a password that was put elsewhere waits until it is put here, too.
import { keys, redisGroupInputSchema, redisGroupSettingsSchema } from '@switchyard/protocol';
import { isRedisUnavailable, type Redis } from '@switchyard/redis';
import { createTicker, type Clock, type Health, type Logger, type Ticker } from '@switchyard/runtime';
import { z } from 'zod';
import type { Groups } from './groups.ts';
import { publicSettings } from './groups-definition.ts';
import type { KeptGroup } from './groups-store.ts';

const syncEveryMs = 2_000;
const mostShared = 128;
const secretNames = ['password', 'sentinelPassword'] as const;
const address = z.object({ host: z.string(), port: z.int() });

const sharedSchema = z.object({
  name: z.string(),
  revision: z.int(),
  by: z.string(),
  /** Null: it was removed. */
  group: z
    .object({
      settings: redisGroupSettingsSchema,
      /** Which secrets belong to it. */
      secrets: z.array(z.enum(secretNames)),
      sentinels: z.array(address),
      nodes: z.array(address),
    })
    .nullable(),
});
type Shared = z.infer<typeof sharedSchema>;

/** Compares with the other managers every 2 s; with Redis away each goes on with what it knows. */
export const createGroupsShare = (options: {
  readonly redis: Redis;
  readonly groups: Pick<Groups, 'all' | 'kept' | 'adopt' | 'forget' | 'learn'>;
  readonly health: Health;
  readonly clock: Clock;
  readonly logger: Logger;
}): Ticker => {
  const { redis, groups, health, clock, logger } = options;
  let said = '';

  const take = async (there: Shared): Promise<string | null> => {
    const { name, revision, by, group } = there;
    if (group === null) {
      await groups.forget({ name, revision, by });
      return null;
    }
    const own = groups.kept(name)?.input;
    if (group.secrets.some((secret) => own?.[secret] === undefined)) return name;
    const secrets = Object.fromEntries(group.secrets.map((secret) => [secret, own?.[secret]]));
    const input = redisGroupInputSchema.parse({ ...group.settings, ...secrets });
    await groups.adopt({ name, revision, by, input, sentinels: group.sentinels, nodes: group.nodes });
    return null;
  };

  const sync = async (): Promise<void> => {
    const stored = await redis.hgetall(keys.redisGroups);
    const there = new Map(
      Object.values(stored)
        .slice(0, mostShared)
        .flatMap((text) => read(text)),
    );
    const lacking: string[] = [];
    for (const one of there.values()) {
      groups.learn(one.name, one.revision);
      if (isLater(one, mine(groups, one.name))) lacking.push(...[await take(one)].filter((name) => name !== null));
    }
    for (const one of own(groups)) {
      const other = there.get(one.name);
      if (isLater(one, other)) await redis.hset(keys.redisGroups, one.name, JSON.stringify(one));
    }
    tell(lacking);
  };

  const tell = (lacking: readonly string[]): void => {
    const names = lacking.join(', ');
    if (names === said) return;
    said = names;
    if (names === '') {
      health.remove('shared redis groups');
      return;
    }
    const detail = `passwords missing here for ${names}: PUT the group with its password to this manager, too`;
    health.set('shared redis groups', { ok: false, critical: false, detail });
    logger.warn({ groups: lacking }, 'groups.password_missing');
  };

  return createTicker({
    name: 'redis-groups-share',
    everyMs: syncEveryMs,
    run: async () => {
      try {
        await sync();
      } catch (error) {
        if (!isRedisUnavailable(error)) throw error;
      }
    },
    clock,
    logger,
  });
};

type Stamp = Pick<Shared, 'revision' | 'by'>;

const isLater = (one: Stamp, than: Stamp | undefined): boolean =>
  than === undefined || one.revision > than.revision || (one.revision === than.revision && one.by > than.by);

const mine = (groups: Pick<Groups, 'all' | 'kept'>, name: string): Stamp | undefined =>
  groups.kept(name) ?? groups.all().removed.find((one) => one.name === name);

const own = (groups: Pick<Groups, 'all'>): readonly Shared[] => {
  const { groups: kept, removed } = groups.all();
  return [...kept.map(sharedOf), ...removed.map((one) => ({ ...one, group: null }))];
};

const sharedOf = ({ name, revision, by, input, sentinels, nodes }: KeptGroup): Shared => ({
  name,
  revision,
  by,
  group: {
    settings: publicSettings(input),
    secrets: secretNames.filter((secret) => input[secret] !== undefined),
    sentinels,
    nodes,
  },
});

const read = (text: string): readonly (readonly [string, Shared])[] => {
  try {
    const shared = sharedSchema.safeParse(JSON.parse(text));
    return shared.success ? [[shared.data.name, shared.data]] : [];
  } catch {
    return [];
  }
};
