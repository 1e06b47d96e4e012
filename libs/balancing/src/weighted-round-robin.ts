// Smooth weighted round robin, as nginx does it (ngx_http_upstream_round_robin.c, commit 52327e0627f4): weights 5:1:1
// give a a b a c a a, exactly 5/1/1 in every 7 and never a run longer than the weights force. Equal weights give plain
// round robin.
import { isUsable, noneOf, preparedResults, type Candidate, type Picker, type Policy } from './picker.ts';
import { nearestCredits, step, sumOf, wholeWeights } from './smooth-weights.ts';

/** More steps than this from the beginning of the cycle are not worth a start anywhere. */
const mostFirstSteps = 1_000;

/**
 * Exact in every window as long as the sum of the (reduced) weights; O(candidates) a pick. It begins anywhere on its cycle, as
 * round robin does.
 */
export const weightedRoundRobin: Policy = (candidates, { random }) => {
  const weights = wholeWeights(candidates.map(({ weight }) => weight));
  const credits = new Float64Array(weights.length);
  const total = sumOf(weights);
  const firstSteps = Math.floor(random() * Math.min(total, mostFirstSteps));
  for (let taken = 0; taken < firstSteps; taken += 1) step(credits, weights, total);
  return smooth(candidates, { weights, credits });
};

interface SmoothState {
  readonly weights: Float64Array;
  readonly credits: Float64Array;
}

function smooth<C extends Candidate>(candidates: readonly C[], { weights, credits }: SmoothState): Picker<C> {
  const results = preparedResults(candidates);
  const total = sumOf(weights);

  return {
    policy: 'weighted-round-robin',
    candidates,
    pick(exclude) {
      const index = exclude.length === 0 ? step(credits, weights, total) : stepAmong(exclude);
      return results[index] ?? noneOf(candidates, exclude);
    },
    follow(following) {
      if (isSameList(candidates, following)) return smooth(following, { weights, credits: credits.slice() });
      const share = total > 0 ? 1 / total : 0;
      const carried = new Map(candidates.map(({ id }, index) => [id, (credits[index] as number) * share]));
      const next = wholeWeights(following.map(({ weight }) => weight));
      const wanted = Float64Array.from(following, ({ id }) => carried.get(id) ?? 0);
      return smooth(following, { weights: next, credits: nearestCredits(next, wanted) });
    },
  };

  // A second attempt of a request must not cost the absent ones their turn: only those that are left take part.
  function stepAmong(exclude: readonly string[]): number {
    let richest = -1;
    let present = 0;
    for (let index = 0; index < candidates.length; index += 1) {
      if (!isUsable(candidates[index] as C, exclude)) continue;
      present += weights[index] as number;
      credits[index] = (credits[index] as number) + (weights[index] as number);
      if (richest < 0 || (credits[index] as number) > (credits[richest] as number)) richest = index;
    }
    if (richest >= 0) credits[richest] = (credits[richest] as number) - present;
    return richest;
  }
}

function isSameList(ones: readonly Candidate[], others: readonly Candidate[]): boolean {
  return (
    ones.length === others.length &&
    ones.every(({ id, weight }, index) => id === others[index]?.id && weight === others[index].weight)
  );
}
