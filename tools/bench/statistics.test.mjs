import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { median, quantile, seededRandom, summary } from './statistics.mjs';

describe('statistics', () => {
  it('find the middle', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([]), undefined);
    assert.deepEqual(summary([3, 1, 2]), { median: 2, min: 1, max: 3, rounds: [3, 1, 2] });
  });

  it('find what a part of all does not exceed', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    assert.deepEqual(
      [0, 0.5, 0.99, 0.999, 1].map((part) => quantile(hundred, part)),
      [1, 50, 99, 100, 100],
    );
  });

  it('draw the same for the same seed, evenly', () => {
    const draw = (seed) => Array.from({ length: 1_000 }, seededRandom(seed));
    assert.deepEqual(draw(7), draw(7));
    assert.notDeepEqual(draw(7), draw(8));
    const mean = draw(7).reduce((sum, one) => sum + one, 0) / 1_000;
    assert.ok(mean > 0.45 && mean < 0.55, `mean ${mean}`);
  });
});
