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

/** Draws that meet somebody who was tried already, before the list is walked instead. */
const mostDraws = 8;

/** Compares (requests under way + 1) / weight; equals go to the one drawn first. O(1) a pick. */
export const leastRequest: Policy = (candidates, context) => leastRequestAmong(candidates, context);

function leastRequestAmong<C extends Candidate>(candidates: readonly C[], context: PolicyContext<C>): Picker<C> {
  const results = preparedResults(candidates.filter(({ weight }) => weight > 0));

  return {
    policy: 'least-request',
    candidates,
    pick(exclude) {
      const one = draw(exclude, -1);
      if (one < 0) return noneOf(candidates, exclude);
      const other = draw(exclude, one);
      return results[other >= 0 && burdenOf(other) < burdenOf(one) ? other : one] ?? noneOf(candidates, exclude);
    },
    follow: (following) => leastRequestAmong(following, context),
  };

  /** Anybody usable but `not`, each as likely as the others; -1 when there is nobody. */
  function draw(exclude: readonly string[], not: number): number {
    const { length } = results;
    let at = 0;
    for (let draws = 0; draws < mostDraws; draws += 1) {
      at = Math.floor(context.random() * length);
      if (isFit(at, exclude, not)) return at;
    }
    for (let passed = 0; passed < length; passed += 1) {
      at = at + 1 < length ? at + 1 : 0;
      if (isFit(at, exclude, not)) return at;
    }
    return -1;
  }

  function isFit(at: number, exclude: readonly string[], not: number): boolean {
    const result = results[at];
    return at !== not && result !== undefined && isUsable(result.candidate, exclude);
  }

  function burdenOf(at: number): number {
    const { candidate } = results[at] as (typeof results)[number];
    return (context.inFlight(candidate) + 1) / candidate.weight;
  }
}
