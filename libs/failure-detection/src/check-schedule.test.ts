import { seededRandom } from '@switchyard/testing';
import { checkPlanOf, createCheckSchedule } from './check-schedule.ts';
import type { Checked } from './check-schedule.ts';

const checked = (member: string, more: Partial<Checked> = {}): Checked => ({
  member,
  version: '1',
  plan: { intervalMs: 3_000, rise: 2, fall: 3 },
  firstWithinMs: 1_500,
  urgent: false,
  ...more,
});
const never = 0;
const names = (turns: readonly { readonly checked: Checked }[]): string[] => turns.map((turn) => turn.checked.member);

describe('the plan of a check', () => {
  it('is there when it has an interval, with rise and fall of HAProxy unless its owner says otherwise', () => {
    expect(checkPlanOf({ type: 'http', interval: '2s' })).toEqual({ intervalMs: 2_000, rise: 2, fall: 3 });
    expect(checkPlanOf({ type: 'grpc', interval: '500ms', rise: 1, fall: 9 })).toEqual({
      intervalMs: 500,
      rise: 1,
      fall: 9,
    });
    expect([undefined, { type: 'http' } as const, { type: 'none' } as const].map(checkPlanOf)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('the schedule of checks', () => {
  it('spreads first probes over their time', () => {
    const random = seededRandom(7);
    const schedule = createCheckSchedule(random);
    schedule.keep(
      Array.from({ length: 300 }, (_, n) => checked(`shop/${n}`)),
      0,
    );
    const begun = [500, 1_000, 1_500].map((nowMs) => schedule.begin(nowMs, 1_000).length);

    for (const count of begun) expect(count).toBeGreaterThan(60);
    expect(begun.reduce((sum, count) => sum + count)).toBe(300);
  });

  it('asks each one at its interval, at most a tenth sooner', () => {
    const random = seededRandom(8);
    const schedule = createCheckSchedule(random);
    schedule.keep([checked('shop/a')], 0);
    const began: number[] = [];
    for (let nowMs = 0; nowMs < 600_000; nowMs += 10) {
      for (const turn of schedule.begin(nowMs, 1)) {
        began.push(nowMs);
        schedule.end(turn, nowMs + 5, false);
      }
    }
    const gaps = began.slice(1).map((ms, n) => ms - (began[n] ?? 0));

    expect(gaps.length).toBeGreaterThan(200);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(2_700);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(3_010);
    expect(Math.max(...gaps) - Math.min(...gaps)).toBeGreaterThan(100);
  });

  it.each([
    [3_000, 1_000],
    [30_000, 10_000],
    [300, 200],
    [200, 200],
  ])('of %i ms asks every %i ms while a verdict may turn', (intervalMs, expected) => {
    const schedule = createCheckSchedule(() => never);
    schedule.keep([checked('shop/a', { plan: { intervalMs, rise: 2, fall: 3 } })], 0);
    const [turn] = schedule.begin(0, 1);
    if (turn) schedule.end(turn, 10, true);

    expect([schedule.begin(expected - 1, 1).length, schedule.begin(expected, 1).length]).toEqual([0, 1]);
  });

  it('asks nobody twice at once, and at once when an answer took longer than the interval', () => {
    const schedule = createCheckSchedule(() => never);
    schedule.keep([checked('shop/a')], 0);
    const [turn] = schedule.begin(0, 9);

    expect(schedule.begin(60_000, 9)).toEqual([]);
    if (turn) expect(schedule.end(turn, 60_000, false)).toBe(true);

    expect(names(schedule.begin(60_000, 9))).toEqual(['shop/a']);
  });

  it('begins no more than it may, and those first who have waited longest', () => {
    const waits = [0.9, 0.1, 0.5];
    const schedule = createCheckSchedule(() => waits.shift() ?? 0);
    schedule.keep(
      ['shop/a', 'shop/b', 'shop/c'].map((member) => checked(member)),
      0,
    );

    expect([
      names(schedule.begin(5_000, 2)),
      names(schedule.begin(5_000, 2)),
      names(schedule.begin(5_000, -1)),
    ]).toEqual([['shop/b', 'shop/c'], ['shop/a'], []]);
  });

  it('asks at once, and faster, when somebody is missed', () => {
    const schedule = createCheckSchedule(() => never);
    schedule.keep([checked('shop/a')], 0);
    const [first] = schedule.begin(0, 1);
    if (first) schedule.end(first, 1, false);

    schedule.keep([checked('shop/a', { urgent: true })], 100);
    const [second] = schedule.begin(100, 1);
    if (second) schedule.end(second, 101, false);
    schedule.keep([checked('shop/a', { urgent: true })], 200);

    expect([schedule.begin(1_099, 1).length, schedule.begin(1_100, 1).length]).toEqual([0, 1]);
  });

  it('takes no answer for somebody who is gone, or has changed meanwhile', () => {
    const schedule = createCheckSchedule(() => never);
    schedule.keep([checked('shop/a'), checked('shop/b'), checked('shop/c')], 0);
    const [a, b, c] = schedule.begin(0, 9);
    if (!a || !b || !c) throw new Error('three are due');

    schedule.keep([checked('shop/b', { version: '2' }), checked('shop/c')], 1);

    expect([a, b, c].map((turn) => schedule.end(turn, 2, false))).toEqual([false, false, true]);
    expect(schedule.size).toBe(2);
    // the new one has its turn
    expect(names(schedule.begin(2, 9))).toEqual(['shop/b']);
  });
});
