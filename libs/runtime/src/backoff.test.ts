import { describe, expect, it } from '@jest/globals';
import { backoff } from './backoff.ts';

describe('a back-off', () => {
  it('doubles up to its maximum and begins again after a reset', () => {
    const waits = backoff({ baseMs: 100, maxMs: 1000, random: () => 0.999_999 });

    expect([1, 2, 3, 4, 5, 6].map(() => waits.next())).toEqual([100, 200, 400, 800, 1000, 1000]);
    waits.reset();
    expect(waits.next()).toBe(100);
  });

  it('never waits less than half of its step, whatever the random number', () => {
    const waits = backoff({ baseMs: 100, maxMs: 1000, random: () => 0 });

    expect([1, 2, 3, 4, 5].map(() => waits.next())).toEqual([50, 100, 200, 400, 500]);
  });

  it('stays a number after thousands of failures', () => {
    const waits = backoff({ baseMs: 100, maxMs: 1000, random: () => 0.5 });

    for (let failure = 0; failure < 5000; failure += 1) waits.next();

    expect(waits.next()).toBe(750);
  });
});
