// Round robin: everybody in turn, in the order of the list. Weights count only as zero or not zero.
import { isUsable, noneOf, preparedResults, type Candidate, type Picker, type Policy } from './picker.ts';

/**
 * Exact cyclic order; a request that excludes candidates takes the next one that is left, and the order goes on there. It begins
 * anywhere: of many processes that start together, each would otherwise send its first request to the same candidate.
 */
export const roundRobin: Policy = (candidates, { random }) =>
  roundRobinFrom(candidates, Math.floor(random() * candidates.length));

function roundRobinFrom<C extends Candidate>(candidates: readonly C[], start: number): Picker<C> {
  const results = preparedResults(candidates);
  let turn = start;

  return {
    policy: 'round-robin',
    candidates,
    pick(exclude) {
      for (let passed = 0; passed < results.length; passed += 1) {
        const result = results[turn];
        turn = turn + 1 < results.length ? turn + 1 : 0;
        if (result !== undefined && isUsable(result.candidate, exclude)) return result;
      }
      return noneOf(candidates, exclude);
    },
    follow: (following) => roundRobinFrom(following, turnAmong(following)),
  };

  // Whoever of the old order is next and still there is next again.
  function turnAmong(following: readonly C[]): number {
    const positions = new Map(following.map(({ id }, index) => [id, index]));
    for (let passed = 0; passed < candidates.length; passed += 1) {
      const position = positions.get(candidates[(turn + passed) % candidates.length]?.id ?? '');
      if (position !== undefined) return position;
    }
    return 0;
  }
}
