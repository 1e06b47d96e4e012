import { pickerFor } from './policy-table.ts';
import { defaultSlowStart, warmWeight } from './slow-start.ts';

describe('slow start', () => {
  it('is a straight line from a tenth to the whole, within 2.5 %', () => {
    const { windowMs } = defaultSlowStart;
    for (let elapsedMs = 0; elapsedMs <= windowMs; elapsedMs += 10) {
      const line = Math.max(0.1, elapsedMs / windowMs);
      const { weight } = warmWeight(8, { sinceMs: 500, nowMs: 500 + elapsedMs });
      expect(Math.abs(weight / 8 - line)).toBeLessThanOrEqual(0.025 + 1e-9);
    }
  });

  it('says when the next step comes, twenty at most, and ends with the full weight', () => {
    const weights: number[] = [];
    for (let nowMs = 1_000; nowMs < Infinity && weights.length < 40;) {
      const { weight, nextChangeMs } = warmWeight(1, { sinceMs: 1_000, nowMs });
      expect(nextChangeMs).toBeGreaterThan(nowMs);
      weights.push(weight);
      nowMs = nextChangeMs;
    }
    expect(weights).toEqual([0.1, 0.1, ...Array.from({ length: 19 }, (_, index) => (index + 2) / 20)]);
  });

  it('takes an instance from the future for one that has just come, and leaves weight 0 alone', () => {
    expect(warmWeight(2, { sinceMs: 9_000, nowMs: 1_000 })).toEqual({ weight: 0.2, nextChangeMs: 1_250 });
    expect(warmWeight(0, { sinceMs: 0, nowMs: 5_000 }).weight).toBe(0);
  });

  it('takes fewer steps in a short window, none faster than 50 ms', () => {
    const times: number[] = [];
    for (let nowMs = 0; nowMs < Infinity;) {
      times.push(nowMs);
      nowMs = warmWeight(1, { sinceMs: 0, nowMs }, { windowMs: 200, minPercent: 1 }).nextChangeMs;
    }
    expect(times).toEqual([0, 25, 75, 125, 175]);
    expect(warmWeight(1, { sinceMs: 0, nowMs: 0 }, { windowMs: 10, minPercent: 1 })).toEqual({
      weight: 0.01,
      nextChangeMs: 5,
    });
  });

  it('gives a newcomer exactly its share of the moment', () => {
    const { weight } = warmWeight(1, { sinceMs: 0, nowMs: 2_000 });
    const candidates = [
      { id: 'old', weight: 1 },
      { id: 'new', weight },
    ];
    const context = { random: () => 0, inFlight: () => 0 };
    const picker = pickerFor({ policy: 'weighted-round-robin', candidates, context });
    let newcomer = 0;
    for (let turn = 0; turn < 600; turn += 1) {
      const result = picker.pick([]);
      if (result.picked && result.candidate.id === 'new') newcomer += 1;
    }
    expect(newcomer).toBe(100);
  });
});
