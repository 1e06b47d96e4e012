import { pickByKey } from './rendezvous.ts';

const candidates = Array.from({ length: 10 }, (_none, index) => ({ id: `i${index}`, weight: 1 }));
const keys = Array.from({ length: 4_000 }, (_none, index) => `user-${index}`);

describe('rendezvous hashing', () => {
  it('spreads keys evenly, and by weight', () => {
    const counts = new Map<string, number>();
    for (const key of keys) {
      const id = pickByKey(candidates, key)?.id ?? '';
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const { id } of candidates) expect(Math.abs((counts.get(id) ?? 0) - 400)).toBeLessThan(90);
    const heavy = candidates.map((candidate) => (candidate.id === 'i3' ? { ...candidate, weight: 9 } : candidate));
    const share = keys.filter((key) => pickByKey(heavy, key)?.id === 'i3').length;
    expect(Math.abs(share - 2_000)).toBeLessThan(200);
  });

  it('moves only the keys of the one that left', () => {
    const left = candidates.filter(({ id }) => id !== 'i4');
    const others = keys.filter((key) => pickByKey(candidates, key)?.id !== 'i4');
    const moved = others.filter((key) => pickByKey(candidates, key) !== pickByKey(left, key));
    expect([moved, others.length > 3_000]).toEqual([[], true]);
  });

  it('gives nobody when nobody is usable', () => {
    expect(pickByKey([{ id: 'a', weight: 0 }], 'k')).toBeUndefined();
    expect(pickByKey([{ id: 'a', weight: 1 }], 'k', ['a'])).toBeUndefined();
  });
});
