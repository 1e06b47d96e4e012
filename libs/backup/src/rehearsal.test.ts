import type { Rehearsal } from '@switchyard/protocol';
import { rehearsalDueMs, rehearsalTrend } from './rehearsal.ts';

const hour = 3_600_000;
const day = 24 * hour;
const pace = { everyMs: day, startedAtMs: 100 * day, jitter: 0 };
const rehearsal = (atMs: number, facts: Partial<Rehearsal> = {}): Rehearsal => ({
  formatVersion: 1,
  operation: `op-${atMs}`,
  group: 'main',
  atMs,
  trigger: 'schedule',
  ok: true,
  problem: null,
  point: null,
  rtoMs: 1_000,
  phases: [],
  unavailableMs: { writes: 100, reads: 10 },
  rpoMs: 500,
  keys: 1,
  bytes: 1,
  ...facts,
});

describe('rehearsalDueMs', () => {
  it('is a period after the last one, spread over a twentieth of it', () => {
    const last = [rehearsal(pace.startedAtMs - hour), rehearsal(pace.startedAtMs - 30 * hour)];
    expect(rehearsalDueMs(last, pace)).toBe(pace.startedAtMs - hour + day);
    const spread = (rehearsalDueMs(last, { ...pace, jitter: 0.999 }) ?? 0) - (rehearsalDueMs(last, pace) ?? 0);
    expect(spread).toBeGreaterThan(0.04 * day);
    expect(spread).toBeLessThan(0.05 * day);
  });

  it('is soon after the start for one that was missed, for the first one, and after a failure; never when turned off', () => {
    expect(rehearsalDueMs([rehearsal(pace.startedAtMs - 9 * day)], pace)).toBe(pace.startedAtMs + hour);
    expect(rehearsalDueMs([], pace)).toBe(pace.startedAtMs + hour);
    const failed = [rehearsal(pace.startedAtMs + 5 * hour, { ok: false, problem: 'no room' })];
    expect(rehearsalDueMs(failed, pace)).toBe(pace.startedAtMs + 6 * hour);
    expect(rehearsalDueMs([], { ...pace, everyMs: 0 })).toBeNull();
  });

  it('is not put off by one from the future', () => {
    expect(rehearsalDueMs([rehearsal(pace.startedAtMs + 400 * day)], pace)).toBe(pace.startedAtMs + 2 * day);
  });
});

describe('rehearsalTrend', () => {
  it('has the last numbers and the middle of those that succeeded', () => {
    const all = [
      rehearsal(1, { rtoMs: 100 }),
      rehearsal(3, { rtoMs: 400, rpoMs: 0 }),
      rehearsal(2, { rtoMs: 200 }),
      rehearsal(4, { ok: false, rtoMs: null, rpoMs: null, problem: 'no room' }),
    ];
    expect(rehearsalTrend(all)).toEqual({
      rtoMs: { median: 200, last: 400 },
      rpoMs: { median: 500, last: 0 },
      lastSuccessAtMs: 3,
      failedInARow: 1,
    });
    expect(rehearsalTrend(all.slice(0, 2)).rtoMs.median).toBe(250);
  });

  it('says nothing where there was nothing', () => {
    const nothing = { median: null, last: null };
    expect(rehearsalTrend([])).toEqual({ rtoMs: nothing, rpoMs: nothing, lastSuccessAtMs: null, failedInARow: 0 });
    expect(rehearsalTrend([rehearsal(1, { ok: false })]).failedInARow).toBe(1);
  });
});
