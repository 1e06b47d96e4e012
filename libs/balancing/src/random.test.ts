import { seededRandom } from '@switchyard/testing';
import { pickerFor } from './policy-table.ts';

const random = seededRandom();

function sharesOf(weights: Readonly<Record<string, number>>, exclude: readonly string[] = []): Record<string, number> {
  const candidates = Object.entries(weights).map(([id, weight]) => ({ id, weight }));
  const picker = pickerFor({ policy: 'random', candidates, context: { random, inFlight: () => 0 } });
  const counts: Record<string, number> = {};
  for (let turn = 0; turn < 10_000; turn += 1) {
    const result = picker.pick(exclude);
    if (result.picked) counts[result.candidate.id] = (counts[result.candidate.id] ?? 0) + 1;
  }
  return counts;
}

describe(`random (seed ${random.seed})`, () => {
  it('shares by weight and gives nothing to a weight of 0', () => {
    const shares = sharesOf({ a: 6, b: 3, none: 0, c: 1 });
    expect(shares['none']).toBeUndefined();
    expect(Math.abs((shares['a'] ?? 0) - 6_000)).toBeLessThan(400);
    expect(Math.abs((shares['b'] ?? 0) - 3_000)).toBeLessThan(400);
    expect(Math.abs((shares['c'] ?? 0) - 1_000)).toBeLessThan(300);
  });

  it('shares the rest by weight when an instance was tried already', () => {
    const shares = sharesOf({ a: 6, b: 3, c: 1 }, ['a']);
    expect(shares['a']).toBeUndefined();
    expect(Math.abs((shares['b'] ?? 0) - 7_500)).toBeLessThan(400);
  });

  it('stays within the list at the very end of the range of its random source', () => {
    const candidates = [
      { id: 'a', weight: 0.1 },
      { id: 'b', weight: 0.2 },
      { id: 'z', weight: 0 },
    ];
    const context = { random: () => 1 - 2 ** -53, inFlight: () => 0 };
    expect(pickerFor({ policy: 'random', candidates, context }).pick([])).toMatchObject({ candidate: { id: 'b' } });
  });
});
