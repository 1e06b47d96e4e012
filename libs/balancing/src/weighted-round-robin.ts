// Smooth weighted round robin, as nginx does it (ngx_http_upstream_round_robin.c, commit 52327e0627f4): weights 5:1:1
// give a a b a c a a, exactly 5/1/1 in every 7 and never a run longer than the weights force. Equal weights give plain
// round robin.
import { isUsable, noneOf, preparedResults, type Candidate, type Picker, type Policy } from './picker.ts';
import { smoothTurns, wholeWeights, type Start } from './smooth-weights.ts';

/**
 * Exact in every window as long as the sum of the (reduced) weights; O(1) a pick. Where that sum times the candidates is beyond
 * 100,000, O(log n) and exact in the long run. It begins anywhere on its cycle, as round robin does.
 */
export const weightedRoundRobin: Policy = (candidates, { random }) => smooth(candidates, random());

function smooth<C extends Candidate>(candidates: readonly C[], start: Start): Picker<C> {
  const results = preparedResults(candidates);
  const turns = smoothTurns(wholeWeights(candidates.map(({ weight }) => weight)), start);

  return {
    policy: 'weighted-round-robin',
    candidates,
    pick(exclude) {
      const index =
        exclude.length === 0 ? turns.next() : turns.nextAmong((at) => isUsable(candidates[at] as C, exclude));
      return results[index] ?? noneOf(candidates, exclude);
    },
    follow(following) {
      const owed = turns.owed();
      const carried = new Map(candidates.map(({ id }, index) => [id, owed[index] as number]));
      return smooth(
        following,
        Float64Array.from(following, ({ id }) => carried.get(id) ?? 0),
      );
    },
  };
}
