// Who keeps us from adding to a group that fails over again and again? Looks at the history; blocks what we would begin by ourselves
// until somebody has acknowledged it. Acknowledgements are kept on disk and told to the other managers through Redis.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJson, keys, ok, refuse, type Refusal, type Result } from '@switchyard/protocol';
import {
  flappingOf,
  flappingProblems,
  noFindings,
  type Acknowledgement,
  type Findings,
  type Flapping,
  type FlappingLimits,
} from '@switchyard/replication';
import type { Redis } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import { z } from 'zod';
import type { GroupPart, GroupTools } from '../group-part.ts';

/** An acknowledgement as it is stored and shown. */
export const acknowledgementSchema = z
  .object({ atMs: z.number(), by: z.string(), reason: z.string(), failovers: z.array(z.string()) })
  .meta({ id: 'RedisAcknowledgement' });
/** As it is stored and shown. */
export type StoredAcknowledgement = z.infer<typeof acknowledgementSchema>;

/** The brake of one group. */
export interface FlappingBrake {
  readonly part: GroupPart;
  /** Why nothing may be begun by itself now; null when it may. What people ask for is not stopped by it. */
  refusal(): Refusal | null;
  /** Refuses with `conflict` when there is nothing to acknowledge. */
  acknowledge(by: string, reason: string): Result<StoredAcknowledgement>;
  /** Newest first. */
  acknowledgements(): readonly StoredAcknowledgement[];
}

const fileSchema = z.array(acknowledgementSchema);
const mostKept = 100;
const shareEveryMs = 3_000;

/** The brake; it reads what was acknowledged when the group starts. */
export const createFlappingBrake = (tools: GroupTools, redis: Redis, limits: FlappingLimits): FlappingBrake => {
  const { definition, history, clock, logger, stateDir } = tools;
  const group = definition.name;
  const file = join(stateDir, 'acknowledgements.json');
  let given: readonly StoredAcknowledgement[] = [];
  let flapping: Flapping | null = null;
  let findings: Findings = noFindings;
  let writing: Promise<void> = Promise.resolve();

  const latest = (): Acknowledgement | null => given[0] ?? null;
  const save = (): void => {
    const text = JSON.stringify(given);
    writing = writing
      .then(async () => {
        await writeFile(`${file}.new`, text, { mode: 0o600 });
        await rename(`${file}.new`, file);
      })
      .catch((error: unknown) => logger.error({ group, err: error }, 'flapping.acknowledgement_unwritten'));
  };
  const merge = (more: readonly StoredAcknowledgement[]): boolean => {
    const known = new Set(given.map(({ atMs, by }) => `${String(atMs)} ${by}`));
    const added = more.filter(({ atMs, by }) => !known.has(`${String(atMs)} ${by}`));
    if (added.length === 0) return false;
    given = [...given, ...added].toSorted((a, b) => b.atMs - a.atMs).slice(0, mostKept);
    save();
    return true;
  };
  const look = (): void => {
    const before = flapping;
    flapping = flappingOf(history.list(), latest(), limits);
    const problems = flappingProblems(tools.observer.observe(), flapping);
    findings = problems.length === 0 ? noFindings : { problems, nodes: [] };
    if ((before === null) !== (flapping === null)) logger.warn({ group, flapping }, 'redis.flapping_changed');
  };

  const sharing = createTicker({
    name: `redis-flapping-${group}`,
    everyMs: shareEveryMs,
    run: async () => {
      // Redis being away changes nothing here: the others learn it later.
      const text = await redis.get(keys.redisAcknowledgements(group)).catch(() => null);
      const there = text === null ? null : decodeJson(fileSchema, text);
      if (there?.ok === true) merge(there.value);
      const isNewer = given[0] !== undefined && given[0].atMs > (there?.ok === true ? (there.value[0]?.atMs ?? 0) : 0);
      if (isNewer) await redis.set(keys.redisAcknowledgements(group), JSON.stringify(given)).catch(() => null);
    },
    clock,
    logger,
  });

  return {
    part: {
      name: 'flapping',
      async start(signal) {
        const text = await readFile(file, 'utf8').catch(() => null);
        const read = text === null ? null : decodeJson(fileSchema, text);
        if (read?.ok === true) given = read.value;
        await sharing.start?.(signal);
      },
      stop: async () => {
        await sharing.stop?.();
        await writing;
      },
      look,
      findings: () => findings,
    },
    refusal: () =>
      flapping === null
        ? null
        : refuse(
            'refused_for_safety',
            `the group ${group} has failed over ${String(flapping.ids.length)} times in a row`,
            {
              why: flapping.ids,
              next: `find the cause, then POST /v1/redis/groups/${group}/acknowledge with a reason`,
            },
          ).error,
    acknowledge(by, reason) {
      look();
      if (flapping === null) {
        return refuse('conflict', `there is nothing to acknowledge in the group ${group}`, {
          next: `GET /v1/redis/groups/${group} lists its problems`,
        });
      }
      // Failovers that began before count as looked at, also those that another manager tells us of later.
      const one = {
        atMs: Math.round(Math.max(clock.unixMs(), flapping.toMs)),
        by,
        reason,
        failovers: [...flapping.ids],
      };
      merge([one]);
      logger.warn({ group, ...one }, 'redis.flapping_acknowledged');
      sharing.wake();
      look();
      return ok(one);
    },
    acknowledgements: () => given,
  };
};
