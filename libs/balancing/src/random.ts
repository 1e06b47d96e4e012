// Random: every pick independent of the last, in proportion to the weights.
import {
  isUsable,
  noneOf,
  preparedResults,
  type Candidate,
  type Picker,
  type Policy,
  type PolicyContext,
} from './picker.ts';

/** Shares follow the weights over many picks; O(log n) a pick, O(n) for a second attempt. */
export const random: Policy = (candidates, context) => randomAmong(candidates, context);

function randomAmong<C extends Candidate>(candidates: readonly C[], context: PolicyContext<C>): Picker<C> {
  const results = preparedResults(candidates);
  // the sum of all weights up to each
  let sum = 0;
  const upTo = Float64Array.from(candidates, ({ weight }) => (sum += weight > 0 ? weight : 0));

  return {
    policy: 'random',
    candidates,
    pick(exclude) {
      const index = exclude.length === 0 ? at(context.random() * sum) : among(exclude);
      return results[index] ?? noneOf(candidates, exclude);
    },
    follow: (following) => randomAmong(following, context),
  };

  /** The first whose sum is beyond `drawn`, which is below the sum of all. */
  function at(drawn: number): number {
    if (sum === 0) return -1;
    let [low, high] = [0, upTo.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle] as number) > drawn) high = middle;
      else low = middle + 1;
    }
    // rounding may lead to one without weight at the end of the list
    while (low > 0 && !((candidates[low] as C).weight > 0)) low -= 1;
    return low;
  }

  function among(exclude: readonly string[]): number {
    let total = 0;
    for (const candidate of candidates) if (isUsable(candidate, exclude)) total += candidate.weight;
    let left = context.random() * total;
    let last = -1;
    for (let index = 0; index < candidates.length; index += 1) {
      const candidate = candidates[index] as C;
      if (!isUsable(candidate, exclude)) continue;
      last = index;
      left -= candidate.weight;
      if (left < 0) break;
    }
    return last;
  }
}
