import type { Candidate } from './picker.ts';
import { pickerFor } from './policy-table.ts';

const context = { random: () => 0, inFlight: () => 0 };
const candidates = (...ids: string[]): Candidate[] => ids.map((id) => ({ id, weight: 1 }));
const roundRobin = (...ids: string[]) => pickerFor({ policy: 'round-robin', candidates: candidates(...ids), context });
const next = (picker: ReturnType<typeof roundRobin>, exclude: readonly string[] = []): string => {
  const result = picker.pick(exclude);
  return result.picked ? result.candidate.id : 'none';
};
const take = (picker: ReturnType<typeof roundRobin>, count: number): string =>
  Array.from({ length: count }, () => next(picker)).join(' ');

describe('round robin', () => {
  it('takes everybody in turn, in the order of the list', () => {
    expect(take(roundRobin('a', 'b', 'c'), 7)).toBe('a b c a b c a');
  });

  it('begins anywhere, and is exact from there', () => {
    const begun = (random: number): string =>
      take(
        pickerFor({
          policy: 'round-robin',
          candidates: candidates('a', 'b', 'c'),
          context: { ...context, random: () => random },
        }),
        4,
      );
    expect([0, 0.34, 1 - 2 ** -53].map(begun)).toEqual(['a b c a', 'b c a b', 'c a b c']);
  });

  it('gives a second attempt the next instance that was not tried, and goes on behind it', () => {
    const picker = roundRobin('a', 'b', 'c');
    expect(next(picker)).toBe('a');
    expect(next(picker, ['a'])).toBe('b');
    expect(next(picker, ['a', 'b'])).toBe('c');
    expect(take(picker, 3)).toBe('a b c');
  });

  it('passes over a weight of 0 and ignores every other weight', () => {
    const list = [
      { id: 'a', weight: 5 },
      { id: 'b', weight: 0 },
      { id: 'c', weight: 1 },
    ];
    expect(take(pickerFor({ policy: 'round-robin', candidates: list, context }), 4)).toBe('a c a c');
  });

  it('goes on with whoever was next when somebody leaves or joins', () => {
    const picker = roundRobin('a', 'b', 'c', 'd');
    take(picker, 2);
    expect(take(picker.follow(candidates('a', 'b', 'd')), 3)).toBe('d a b');
    expect(take(picker.follow(candidates('a', 'b', 'bb', 'c', 'd')), 5)).toBe('c d a b bb');
  });

  it('says of each candidate why it was passed over when nobody is left', () => {
    const list = [
      { id: 'a', weight: 1 },
      { id: 'b', weight: 0 },
    ];
    expect(pickerFor({ policy: 'round-robin', candidates: list, context }).pick(['a'])).toEqual({
      picked: false,
      skipped: [
        { id: 'a', because: 'this request was already tried there' },
        { id: 'b', because: 'its weight is 0' },
      ],
    });
    expect(roundRobin().pick([])).toEqual({ picked: false, skipped: [] });
  });
});
