// Does the group fail over again and again? Then each further one mends nothing: something else is wrong, and a human has to look.
//
// Sentinel has no such brake, and cannot be given one. What we begin by ourselves stops until somebody has acknowledged it; making
// true what the majority decides goes on.
import { shortestDownAfterMs, type RedisFailover } from '@switchyard/protocol';
import type { GroupProblem } from './group-problems.ts';
import type { GroupObservation } from './observation.ts';

/** More failovers than this within the time are flapping. */
export interface FlappingLimits {
  readonly mostFailovers: number;
  readonly withinMs: number;
}

/** Somebody has looked. Unix milliseconds. */
export interface Acknowledgement {
  readonly atMs: number;
  readonly by: string;
  readonly reason: string;
}

/** A run of failovers that nobody has acknowledged. */
export interface Flapping {
  /** Newest last. */
  readonly ids: readonly string[];
  readonly fromMs: number;
  readonly toMs: number;
}

/** The limits unless given. */
export const defaultFlappingLimits: FlappingLimits = Object.freeze({ mostFailovers: 3, withinMs: 600_000 });

/**
 * The latest run of too many failovers since the last acknowledgement; null when there is none. It does not end by waiting.
 * Switchovers do not count: somebody wanted them.
 */
export const flappingOf = (
  entries: readonly Pick<RedisFailover, 'id' | 'kind' | 'startedAtMs'>[],
  acknowledged: Acknowledgement | null,
  { mostFailovers, withinMs }: FlappingLimits,
): Flapping | null => {
  const counted = entries
    .filter(({ kind, startedAtMs }) => kind === 'failover' && startedAtMs > (acknowledged?.atMs ?? -Infinity))
    .toSorted((a, b) => a.startedAtMs - b.startedAtMs);
  for (let end = counted.length - 1; end >= mostFailovers; end -= 1) {
    const last = counted[end];
    const run = counted.filter(
      ({ startedAtMs }, at) => at <= end && last !== undefined && last.startedAtMs - startedAtMs <= withinMs,
    );
    const first = run[0];
    if (run.length <= mostFailovers || first === undefined || last === undefined) continue;
    return { ids: run.map(({ id }) => id), fromMs: first.startedAtMs, toMs: last.startedAtMs };
  }
  return null;
};

/** What is said about it, and about settings that lead to it. */
export const flappingProblems = (
  group: Pick<GroupObservation, 'name' | 'sentinels'>,
  flapping: Flapping | null,
): readonly GroupProblem[] => {
  const found: GroupProblem[] = [];
  if (flapping !== null) {
    const { ids, fromMs, toMs } = flapping;
    const minutes = Math.max(1, Math.ceil((toMs - fromMs) / 60_000));
    found.push({
      code: 'flapping',
      detail: `${String(ids.length)} failovers within ${String(minutes)} min (${ids.slice(-8).join(', ')}): nothing is begun by itself until somebody has looked`,
      next: `find the cause in the history, then POST /v1/redis/groups/${group.name}/acknowledge; Sentinel goes on failing over: SENTINEL SET ${group.name} down-after-milliseconds with a higher value slows it down`,
      advice: false,
    });
  }
  for (const { name, view } of group.sentinels) {
    const downAfterMs = view?.downAfterMs ?? null;
    if (downAfterMs === null || downAfterMs >= shortestDownAfterMs) continue;
    found.push({
      code: 'short_down_after',
      detail: `Sentinel ${name} has down-after ${String(downAfterMs)} ms: a busy moment counts as a death; below ${String(shortestDownAfterMs)} ms failovers follow each other without any failure`,
      next: `SENTINEL SET ${group.name} down-after-milliseconds 1000, on each Sentinel`,
      advice: true,
    });
  }
  return found;
};
