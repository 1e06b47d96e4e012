import { seededRandom } from './seeded-random.ts';

describe('seededRandom', () => {
  it('repeats its numbers for the same seed and differs for another', () => {
    const draw = (seed: number): number[] => Array.from({ length: 5 }, seededRandom(seed));
    expect(draw(42)).toEqual(draw(42));
    expect(draw(42)).not.toEqual(draw(43));
  });

  it('stays in [0, 1) and spreads evenly over ten boxes', () => {
    const random = seededRandom(7);
    const boxes = Array.from({ length: 10 }, () => 0);
    for (let count = 0; count < 20_000; count += 1) {
      const box = Math.floor(random() * 10);
      boxes[box] = (boxes[box] ?? Number.NaN) + 1;
    }
    expect(boxes).toHaveLength(10);
    for (const box of boxes) expect(Math.abs(box - 2_000)).toBeLessThan(200);
  });

  it('draws whole numbers between its bounds, both included', () => {
    const random = seededRandom(1);
    const drawn = new Set(Array.from({ length: 200 }, () => random.integer(3, 5)));
    expect([...drawn].toSorted((a, b) => a - b)).toEqual([3, 4, 5]);
  });
});
