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

/** Shares follow the weights over many picks; O(candidates) a pick. */
export const random: Policy = (candidates, context) => randomAmong(candidates, context);

function randomAmong<C extends Candidate>(candidates: readonly C[], context: PolicyContext<C>): Picker<C> {
  const results = preparedResults(candidates);

  return {
    policy: 'random',
    candidates,
    pick(exclude) {
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
      return results[last] ?? noneOf(candidates, exclude);
    },
    follow: (following) => randomAmong(following, context),
  };
}
