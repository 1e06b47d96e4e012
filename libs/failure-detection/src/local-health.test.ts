import { healthAfter, initialLocalHealth } from './local-health.ts';
import type { SelfSeen } from './local-health.ts';

const fine = { late: false, roundTripMs: 1, probesEnded: 0, probesTimedOut: 0 };
/** The score after sweeps 50 ms apart. */
const after = (sweeps: readonly Partial<SelfSeen>[], from = initialLocalHealth) =>
  sweeps.reduce((health, seen, n) => healthAfter(health, { ...fine, nowMs: 50 * n, ...seen }), from);

describe('the local health of a monitor', () => {
  it.each<[string, Partial<SelfSeen>]>([
    ['a late sweep', { late: true }],
    ['a slow Redis', { roundTripMs: 101 }],
    ['probes most of which time out', { probesEnded: 3, probesTimedOut: 2 }],
  ])('suffers from %s', (_what, seen) => {
    expect(after([{}, seen]).score).toBe(1);
  });

  it('does not suffer from one slow instance among others, or from two alone', () => {
    expect(after([{ probesEnded: 4, probesTimedOut: 2 }]).score).toBe(0);
    expect(after([{ probesEnded: 2, probesTimedOut: 2 }]).score).toBe(0);
  });

  it('sums up probes that come one by one', () => {
    expect(after(Array.from({ length: 3 }, () => ({ probesEnded: 1, probesTimedOut: 1 }))).score).toBe(1);
  });

  it('gets no worse than 8, and recovers by a point in each quiet second', () => {
    const worst = after(Array.from({ length: 20 }, () => ({ late: true, roundTripMs: 500 })));
    expect(worst.score).toBe(8);
    const atMs = (nowMs: number) => (health: typeof worst) => healthAfter(health, { ...fine, nowMs });
    const later = Array.from({ length: 61 }, (_, n) => 950 + 50 * n).reduce(
      (health, nowMs) => atMs(nowMs)(health),
      worst,
    );
    expect(later.score).toBe(5);
  });

  it('recovers although the clock has stepped back', () => {
    const sick = after([{ nowMs: 3_600_000, late: true }]);
    const back = [0, 500, 1_000].reduce((health, nowMs) => healthAfter(health, { ...fine, nowMs }), sick);
    expect(back.score).toBe(0);
  });
});
