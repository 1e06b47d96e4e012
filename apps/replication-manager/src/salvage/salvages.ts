// What did a former primary have that the group has not, and how does it come back? Copies are compared with the present primary
// in a scratch server, and merged into it on request, key by key.
import {
  ok,
  redisDivergenceSchema,
  refuse,
  type RedisDivergence,
  type RedisSalvage,
  type Refusal,
  type Result,
} from '@switchyard/protocol';
import { primaryVerdict, defaultLimits, isSeen, sameAddress, type Endpoint } from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import { z } from 'zod';
import type { GroupTools } from '../group-part.ts';
import { compareWithPrimary, type Comparison } from './salvage-compare.ts';
import { startScratch } from './salvage-scratch.ts';
import { dumpKey, restoreKey } from './salvage-scripts.ts';
import type { SalvageStore, StoredSalvage } from './salvage-store.ts';

/** What a merge did, or would do. */
export const mergedSchema = z.object({
  salvage: z.string(),
  primary: z.string(),
  dryRun: z.boolean(),
  /** restored, or to be restored */
  merged: z.array(z.string()),
  /** the primary has another content, and `overwrite` was not given */
  kept: z.array(z.string()),
  failed: z.array(z.object({ key: z.string(), reason: z.string() })),
  /** more keys differ than one call merges: call again */
  truncated: z.boolean(),
});
/** The outcome of a merge. */
export type Merged = z.infer<typeof mergedSchema>;

/** What to merge. */
export interface MergeRequest {
  /** As they are listed; all that differ when left out. */
  readonly keys?: readonly string[] | undefined;
  readonly overwrite: boolean;
  readonly dryRun: boolean;
}

/** The copies of a group and what can be done with them. */
export interface Salvages extends Pick<SalvageStore, 'list' | 'get' | 'remove' | 'take'> {
  /** Which keys differ from those of the present primary; kept with the copy, too. */
  compare(id: string): Promise<Result<Comparison>>;
  merge(id: string, request: MergeRequest): Promise<Result<Merged>>;
  /** Compares in the background and tells what was found; never rejects. */
  examine(salvage: RedisSalvage, divergence: RedisDivergence): Promise<RedisDivergence>;
}

/** Keys of one answer and of one merge. */
const mostKeys = 1_000;
const compareMs = 60_000;
const questionMs = 5_000;

/** The copies in `store`, looked into with the program `redisServer`. */
export const createSalvages = (tools: GroupTools, store: SalvageStore, redisServer: string): Salvages => {
  const { definition, observer, gate, clock, logger } = tools;

  const primaryNow = (): Endpoint | null => {
    const observation = observer.observe();
    const nowMs = clock.monotonicMs();
    const { named, by } = primaryVerdict(observation, nowMs, defaultLimits);
    const node = observation.nodes.find((one) => sameAddress(one, named));
    const serves =
      node !== undefined && isSeen(node, nowMs, defaultLimits.staleAfterMs) && node.info?.role === 'primary';
    return serves && (by === 'sentinels' || observation.kind === 'single') ? node : null;
  };

  /** With the copy loaded and a connection to the primary. */
  const withBoth = async <T>(
    salvage: StoredSalvage,
    use: (both: { copy: RedisNodeAdmin; primary: RedisNodeAdmin; at: Endpoint }) => Promise<T>,
  ): Promise<Result<T>> => {
    const at = primaryNow();
    if (at === null) return refuse('no_primary', `the group ${definition.name} has no primary to compare with`);
    const scratch = await startScratch({ file: salvage.file, redisServer, clock, logger }).catch((error: unknown) =>
      error instanceof Error ? error : new Error(String(error)),
    );
    if (scratch instanceof Error) return { ok: false, error: unreadable(salvage, scratch.message) };
    const primary = tools.connect(at, { deadlineMs: questionMs, name: 'switchyard-salvage' });
    try {
      return ok(await use({ copy: scratch.admin, primary, at }));
    } finally {
      primary.close();
      await scratch.stop();
    }
  };

  const find = async (id: string): Promise<Result<StoredSalvage>> => {
    const salvage = await store.get(id);
    return salvage === undefined
      ? refuse('not_found', `there is no salvage ${id} in the group ${definition.name}`, {
          next: `GET /v1/redis/groups/${definition.name}/salvages lists them`,
        })
      : ok(salvage);
  };

  const compare = async (id: string): Promise<Result<Comparison>> => {
    const found = await find(id);
    if (!found.ok) return found;
    const compared = await withBoth(found.value, ({ copy, primary }) =>
      compareWithPrimary({ copy, primary, mostKeys, signal: AbortSignal.timeout(compareMs) }),
    );
    if (compared.ok) await store.describe(id, compared.value);
    return compared;
  };

  return {
    list: () => store.list(),
    get: (id) => store.get(id),
    remove: (id) => store.remove(id),
    take: (request) => store.take(request),
    compare,
    async merge(id, { keys, overwrite, dryRun }) {
      const found = await find(id);
      if (!found.ok) return found;
      if (!tools.manages) {
        return refuse('refused_for_safety', `the group ${definition.name} is only observed: nothing is written to it`, {
          next: `PUT /v1/redis/groups/${definition.name} with "manage": "manage"`,
        });
      }
      const held = await gate.begin(`merge of ${id}`);
      if (!held.ok) return held;
      try {
        return await withBoth(found.value, async ({ copy, primary, at }) => {
          const only = keys === undefined ? {} : { only: new Set(keys) };
          const signal = AbortSignal.timeout(compareMs);
          const { keys: differing, truncated } = await compareWithPrimary({ copy, primary, mostKeys, signal, ...only });
          const outcome = { salvage: id, primary: at.name, dryRun, truncated };
          const merged: string[] = [];
          const kept: string[] = [];
          const failed: { key: string; reason: string }[] = [];
          const listed = new Set(differing.map(({ key }) => key));
          const absent = (keys ?? []).filter((key) => !listed.has(key));
          failed.push(...absent.map((key) => ({ key, reason: 'it does not differ, or the copy has no such key' })));
          for (const place of differing) {
            const isFree = place.kind === 'only-there' || overwrite;
            if (!isFree) kept.push(place.key);
            else if (dryRun) merged.push(place.key);
            else {
              // The primary may have become another one while this went on.
              if (!sameAddress(primaryNow(), at)) throw new Error('the group has another primary now: merge again');
              const dumped = await dumpKey(copy, place);
              const reply =
                dumped === null
                  ? 'its time has come'
                  : await restoreKey(primary, place, { ...dumped, replace: overwrite });
              if (reply === 'restored') merged.push(place.key);
              else if (reply === 'exists') kept.push(place.key);
              else failed.push({ key: place.key, reason: reply });
            }
          }
          if (!dryRun) logger.warn({ group: definition.name, ...outcome, keys: merged.length }, 'redis.salvage_merged');
          return { ...outcome, merged, kept, failed };
        });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        return refuse('conflict', `the merge stopped: ${reason}`, { next: 'merge again: what is done is left out' });
      } finally {
        held.value.release();
      }
    },
    async examine(salvage, divergence) {
      const compared = await compare(salvage.id).catch((error: unknown) =>
        refuse('conflict', error instanceof Error ? error.message : String(error)),
      );
      if (!compared.ok) {
        const { detail, next } = compared.error;
        return { ...divergence, detail: `${divergence.detail}; its keys were not compared: ${detail}; ${next ?? ''}` };
      }
      const { keys, truncated } = compared.value;
      const only = keys.filter(({ kind }) => kind === 'only-there').length;
      const detail = `${divergence.detail}: ${String(only)} keys are only there, ${String(keys.length - only)} have another content`;
      return redisDivergenceSchema.parse({ ...divergence, keys: keys.map(({ key }) => key), truncated, detail });
    },
  };
};

const unreadable = ({ file }: StoredSalvage, reason: string): Refusal =>
  refuse('conflict', `the copy could not be loaded: ${reason}`, {
    next: `set SWITCHYARD_REDIS_SERVER to a redis-server on this machine; or look into ${file} with redis-server --port 6399 --dbfilename and --dir`,
  }).error;
