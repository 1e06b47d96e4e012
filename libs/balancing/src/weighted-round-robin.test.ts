import * as fc from 'fast-check';
import type { Candidate, Picker } from './picker.ts';
import { pickerFor } from './policy-table.ts';

// fast-check prints the seed and the path of a failing run; the same seed repeats it.
const seed = Number(process.env['SWITCHYARD_TEST_SEED'] ?? Date.now() % 2 ** 31);
const runs = { seed, numRuns: 80 };
const context = { random: () => 0, inFlight: () => 0 };

const listOf = (weights: readonly number[]): Candidate[] =>
  weights.map((weight, index) => ({ id: String.fromCodePoint(97 + index), weight }));
const smooth = (candidates: readonly Candidate[]): Picker<Candidate> =>
  pickerFor({ policy: 'weighted-round-robin', candidates, context });
const take = (picker: Picker<Candidate>, count: number): string[] =>
  Array.from({ length: count }, () => {
    const result = picker.pick([]);
    return result.picked ? result.candidate.id : 'none';
  });
const countOf = (ids: readonly string[], id: string): number => ids.filter((other) => other === id).length;
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

function expectExactWindows(picker: Picker<Candidate>, weights: readonly number[]): void {
  const cycle = sum(weights);
  const ids = take(picker, 3 * cycle);
  for (let start = 0; start + cycle <= ids.length; start += 1) {
    const window = ids.slice(start, start + cycle);
    for (const { id, weight } of picker.candidates) expect(countOf(window, id)).toBe(weight);
  }
}

const someWeights = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 2, maxLength: 6 });

describe(`smooth weighted round robin (seed ${seed})`, () => {
  it('gives 5:1:1 in the order of nginx, over and over', () => {
    expect(take(smooth(listOf([5, 1, 1])), 14).join('')).toBe('aabacaaaabacaa');
  });

  it('begins anywhere on its cycle, and is exact from there', () => {
    const begun = (random: number): Picker<Candidate> =>
      pickerFor({
        policy: 'weighted-round-robin',
        candidates: listOf([5, 1, 1]),
        context: { ...context, random: () => random },
      });
    expect(take(begun(0.3), 7).join('')).toBe('bacaaaa');
    for (const random of [0.1, 0.5, 1 - 2 ** -53]) expectExactWindows(begun(random), [5, 1, 1]);
  });

  it('is plain round robin while all weights are equal', () => {
    expect(take(smooth(listOf([3, 3, 3])), 6).join('')).toBe('abcabc');
  });

  it('takes fractions in their proportion', () => {
    const ids = take(smooth(listOf([0.5, 0.25, 1.5])), 9);
    expect([countOf(ids, 'a'), countOf(ids, 'b'), countOf(ids, 'c')]).toEqual([2, 1, 6]);
  });

  it('is exact in every window as long as the sum of the weights', () => {
    fc.assert(
      fc.property(
        someWeights.filter((weights) => sum(weights) > 0),
        (weights) => expectExactWindows(smooth(listOf(weights)), weights),
      ),
      runs,
    );
  });

  it('is exact again from the first pick after somebody left, wherever in the cycle that happens', () => {
    fc.assert(
      fc.property(someWeights, fc.nat(40), fc.nat(5), (weights, taken, gone) => {
        const candidates = listOf(weights);
        const left = candidates.filter((_candidate, index) => index !== gone % candidates.length);
        const leftWeights = left.map(({ weight }) => weight);
        if (sum(leftWeights) === 0) return;
        const picker = smooth(candidates);
        take(picker, taken);
        expectExactWindows(picker.follow(left), leftWeights);
      }),
      runs,
    );
  });

  it('is exact again from the first pick after a weight changed', () => {
    fc.assert(
      fc.property(someWeights, fc.nat(40), fc.integer({ min: 1, max: 9 }), (weights, taken, weight) => {
        const picker = smooth(listOf(weights));
        take(picker, taken);
        const changed = [weight, ...weights.slice(1)];
        expectExactWindows(picker.follow(listOf(changed)), changed);
      }),
      runs,
    );
  });

  it('goes on as if nothing had happened when ids and weights stay', () => {
    fc.assert(
      fc.property(someWeights, fc.nat(40), (weights, taken) => {
        const changed = smooth(listOf(weights));
        const unchanged = smooth(listOf(weights));
        take(changed, taken);
        take(unchanged, taken);
        expect(take(changed.follow(listOf(weights)), 20)).toEqual(take(unchanged, 20));
      }),
      runs,
    );
  });

  it('starves nobody and bursts on nobody while another one flaps between all picks', () => {
    const three = listOf([1, 1, 1]);
    const four = listOf([1, 1, 1, 1]);
    let picker = smooth(three);
    const ids: string[] = [];
    for (let turn = 0; turn < 300; turn += 1) {
      picker = picker.follow(turn % 2 === 0 ? four : three);
      ids.push(...take(picker, 1));
    }
    for (const { id } of three) expect(countOf(ids, id)).toBeGreaterThanOrEqual(70);
    for (const { id } of three) expect(countOf(ids, id)).toBeLessThanOrEqual(130);
    for (let start = 0; start + 8 <= ids.length; start += 1) {
      for (const { id } of three) expect(countOf(ids.slice(start, start + 8), id)).toBeGreaterThanOrEqual(1);
    }
  });

  it('never gives a second attempt an instance that was tried, and shares the rest by weight', () => {
    const picker = smooth(listOf([4, 2, 1]));
    const ids: string[] = [];
    for (let turn = 0; turn < 30; turn += 1) {
      const result = picker.pick(['a']);
      if (result.picked) ids.push(result.candidate.id);
    }
    expect([countOf(ids, 'a'), countOf(ids, 'b'), countOf(ids, 'c')]).toEqual([0, 20, 10]);
  });

  it('gives nothing to anybody when all weights are 0, with the reason', () => {
    expect(smooth(listOf([0, 0])).pick([])).toEqual({
      picked: false,
      skipped: [
        { id: 'a', because: 'its weight is 0' },
        { id: 'b', because: 'its weight is 0' },
      ],
    });
  });

  it('is plain round robin among a thousand equal ones, and goes on behind whoever left', () => {
    const many = Array.from({ length: 1_000 }, (_none, index) => ({ id: `i${index}`, weight: 7 }));
    const picker = smooth(many);
    expect(take(picker, 400)).toEqual(many.slice(0, 400).map(({ id }) => id));
    const left = many.filter((_candidate, index) => index !== 400);
    expect(take(picker.follow(left), 3)).toEqual(['i401', 'i402', 'i403']);
  });

  it('shares by weight among many of different weights, and leaves nobody waiting', () => {
    const many = Array.from({ length: 500 }, (_none, index) => ({ id: `i${index}`, weight: 1 + (index % 97) }));
    const picker = smooth(many);
    const total = sum(many.map(({ weight }) => weight));
    const ids = take(picker, 3 * total);
    const counts = new Map<string, number>();
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const { id, weight } of many) expect(Math.abs((counts.get(id) ?? 0) - 3 * weight)).toBeLessThanOrEqual(1);
  });

  it('stays quick and fair when the cycle is too long to search', () => {
    const weights = Array.from({ length: 100 }, (_none, index) => 60_000 + index);
    const picker = smooth(weights.map((weight, index) => ({ id: `i${index}`, weight })));
    take(picker, 1_000);
    const left = picker.candidates.slice(1);
    const ids = take(picker.follow(left), 990);
    for (const { id } of left) expect(Math.abs(countOf(ids, id) - 10)).toBeLessThanOrEqual(2);
  });
});
