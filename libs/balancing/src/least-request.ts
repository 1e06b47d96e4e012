// Least request: of two drawn at random, the one with less to do. "The Power of Two Choices in Randomized Load
// Balancing" (Mitzenmacher 2001); Envoy's LEAST_REQUEST and HAProxy's random(2) do the same.
import {
  isUsable,
  noneOf,
  preparedResults,
  type Candidate,
  type Picker,
  type Policy,
  type PolicyContext,
} from './picker.ts';

/** Compares (requests under way + 1) / weight; equals go to the one drawn first. O(candidates) a pick. */
export const leastRequest: Policy = (candidates, context) => leastRequestAmong(candidates, context);

function leastRequestAmong<C extends Candidate>(candidates: readonly C[], context: PolicyContext<C>): Picker<C> {
  const results = preparedResults(candidates);

  return {
    policy: 'least-request',
    candidates,
    pick(exclude) {
      let usable = 0;
      for (const candidate of candidates) if (isUsable(candidate, exclude)) usable += 1;
      if (usable === 0) return noneOf(candidates, exclude);
      const draw = Math.floor(context.random() * usable);
      const one = usableAt(draw, exclude);
      if (usable === 1) return results[one] ?? noneOf(candidates, exclude);
      // The second draw skips the first, so that the two always differ.
      const other = usableAt((draw + 1 + Math.floor(context.random() * (usable - 1))) % usable, exclude);
      return results[burdenOf(other) < burdenOf(one) ? other : one] ?? noneOf(candidates, exclude);
    },
    follow: (following) => leastRequestAmong(following, context),
  };

  function usableAt(ordinal: number, exclude: readonly string[]): number {
    let left = ordinal;
    for (let index = 0; index < candidates.length; index += 1) {
      if (!isUsable(candidates[index] as C, exclude)) continue;
      if (left === 0) return index;
      left -= 1;
    }
    return -1;
  }

  function burdenOf(index: number): number {
    const candidate = candidates[index] as C;
    return (context.inFlight(candidate) + 1) / candidate.weight;
  }
}
