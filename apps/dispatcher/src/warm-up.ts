// Which instances of a service have just come, and what share do they get now? Slow start, seen from one table to the next: who
// was not picked a moment ago and is now begins small. Rests on when this process saw it, on its own monotonic clock.
import { warmWeight, type SlowStart } from '@switchyard/balancing';
import type { PolicyName } from '@switchyard/protocol';
import type { Target } from '@switchyard/proxy';

/** Who is warming up. */
export interface WarmUp {
  /** By id: ms on the monotonic clock when it came. */
  readonly sinceMs: ReadonlyMap<string, number>;
  /** When a weight changes next, on the same clock; Infinity when none does. */
  readonly nextChangeMs: number;
}

/** Nobody is. */
export const allWarm: WarmUp = Object.freeze({ sinceMs: new Map<string, number>(), nextChangeMs: Infinity });

/** What is known when the picker of a service is made. */
export interface WarmUpFacts {
  /** Those that will be picked, with their whole weights. */
  readonly targets: readonly Target[];
  readonly policy: PolicyName;
  readonly slowStart: SlowStart | undefined;
  readonly before: WarmUp;
  /** True for one that was not picked until now. */
  readonly isNew: (id: string) => boolean;
  readonly nowMs: number;
}

/** The picker's candidates, with their weights of the moment, and the policy that heeds them. */
export interface WarmedUp {
  readonly targets: readonly Target[];
  readonly policy: PolicyName;
  readonly warmUp: WarmUp;
}

/** While all of them are warming up they keep their whole weights. */
export function warmedUp({ targets, policy, slowStart, before, isNew, nowMs }: WarmUpFacts): WarmedUp {
  if (slowStart === undefined) return { targets, policy, warmUp: allWarm };
  // turns know no shares: while there are any, turns are taken by equal weights
  const isByTurns = policy === 'round-robin';
  const sinceMs = new Map<string, number>();
  let nextChangeMs = Infinity;
  const ramp = targets.map((target) => {
    const whole = isByTurns ? 1 : target.weight;
    const cameMs = isNew(target.id) ? nowMs : before.sinceMs.get(target.id);
    const share = cameMs === undefined ? undefined : warmWeight(whole, { sinceMs: cameMs, nowMs }, slowStart);
    if (cameMs === undefined || share === undefined || share.nextChangeMs === Infinity) {
      return isByTurns ? { ...target, weight: whole } : target;
    }
    sinceMs.set(target.id, cameMs);
    nextChangeMs = Math.min(nextChangeMs, share.nextChangeMs);
    return { ...target, weight: share.weight };
  });
  if (sinceMs.size === 0) return { targets, policy, warmUp: allWarm };
  const warmUp = { sinceMs, nextChangeMs };
  // when nobody is warm there is nobody who could carry the rest
  if (sinceMs.size === targets.length) return { targets, policy, warmUp };
  return { targets: ramp, policy: isByTurns ? 'weighted-round-robin' : policy, warmUp };
}
