import { seededRandom } from '@switchyard/testing';
import { planRetention, type RetainedBackup } from './retention.ts';

const hourMs = 3_600_000;
const nowMs = 1_000 * hourMs;

function backup(ageHours: number, state: RetainedBackup['state'] = 'verified'): RetainedBackup {
  return { label: `${ageHours}h`, atMs: nowMs - ageHours * hourMs, state };
}

describe('planRetention', () => {
  it('keeps what count or age keeps and removes the rest, with reasons', () => {
    const plan = planRetention(
      [backup(1), backup(3), backup(5), backup(9)],
      { keepNewest: 2, keepForMs: 6 * hourMs },
      nowMs,
    );
    expect(plan).toEqual({
      keep: [
        { label: '1h', reason: 'among the newest 2' },
        { label: '3h', reason: 'among the newest 2' },
        { label: '5h', reason: 'younger than the age to keep' },
      ],
      remove: [{ label: '9h', reason: 'old, and newer ones are enough' }],
    });
  });

  it('never removes the last verified one, however many unverified ones came after it', () => {
    const plan = planRetention(
      [backup(1, 'unverified'), backup(2, 'corrupt'), backup(50), backup(60)],
      { keepNewest: 1, keepForMs: 0 },
      nowMs,
    );
    expect(plan.keep.at(-1)).toEqual({ label: '50h', reason: 'the last one known to be good' });
    expect(plan.remove.map((one) => one.label)).toEqual(['2h', '60h']);
  });

  it('does not let corrupt ones push good ones out', () => {
    const plan = planRetention(
      [backup(1, 'corrupt'), backup(2, 'corrupt'), backup(3), backup(4)],
      { keepNewest: 2, keepForMs: 0 },
      nowMs,
    );
    expect(plan.keep.map((one) => one.label)).toEqual(['3h', '4h']);
  });

  it('keeps backups from the future: a clock that jumped must not delete', () => {
    expect(
      planRetention([backup(-5), backup(-4), backup(-3)], { keepNewest: 1, keepForMs: hourMs }, nowMs).remove,
    ).toEqual([]);
  });

  it('keeps the last good one, accounts for all, and gains nothing by a second run (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 2_000; round += 1) {
      let age = 0;
      const backups = Array.from({ length: random.integer(0, 12) }, () => {
        age += random.integer(1, 3);
        return backup(age, random.pick(['verified', 'unverified', 'corrupt']));
      });
      const policy = { keepNewest: random.integer(1, 5), keepForMs: random.integer(0, 10) * hourMs };
      const { keep, remove } = planRetention(backups, policy, nowMs);
      const kept = backups.filter((one) => keep.some(({ label }) => label === one.label));
      const context = { seed: random.seed, round };
      expect({ ...context, total: keep.length + remove.length }).toEqual({ ...context, total: backups.length });
      for (const state of ['verified', 'unverified'] as const) {
        if (state === 'unverified' && backups.some((one) => one.state === 'verified')) continue;
        const newest = backups.find((one) => one.state === state);
        if (newest) expect({ ...context, kept }).toEqual({ ...context, kept: expect.arrayContaining([newest]) });
      }
      expect({ ...context, again: planRetention(kept, policy, nowMs).remove }).toEqual({ ...context, again: [] });
    }
  });
});

describe('planRetention: generations, pins and clocks', () => {
  const dayMs = 24 * hourMs;
  const noon = Date.UTC(2026, 10, 21, 12);
  const at = (label: string, atMs: number, more: Partial<RetainedBackup> = {}): RetainedBackup => ({
    label,
    atMs,
    state: 'verified',
    ...more,
  });
  const policy = { keepNewest: 1, keepForMs: 0 };

  it('keeps the newest of each hour, day, week, month and year that has one', () => {
    const backups = Array.from({ length: 800 }, (_, day) => at(`day ${day}`, noon - day * dayMs));
    const { keep } = planRetention(
      backups,
      { ...policy, keepHourly: 1, keepDaily: 3, keepWeekly: 2, keepMonthly: 3, keepYearly: 3 },
      noon,
    );
    expect(keep.map(({ label, reason }) => `${label}: ${reason}`)).toEqual([
      'day 0: among the newest 1',
      'day 1: the newest of its day',
      'day 2: the newest of its day',
      // The week before ended on Sunday, 15 November.
      'day 6: the newest of its week',
      'day 21: the newest of its month',
      'day 52: the newest of its month',
      'day 325: the newest of its year',
      'day 690: the newest of its year',
    ]);
  });

  it('agrees with the calendar on months (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 2_000; round += 1) {
      const [one, other] = [random.integer(0, 40_000), random.integer(0, 40_000)].map((day) => day * dayMs);
      const month = (ms: number): string => new Date(ms).toISOString().slice(0, 7);
      const [older, newer] = [Math.min(one ?? 0, other ?? 0), Math.max(one ?? 0, other ?? 0)];
      if (older === newer) continue;
      const { keep } = planRetention([at('older', older), at('newer', newer)], { ...policy, keepMonthly: 2 }, newer);
      const context = { seed: random.seed, older, newer };
      expect({ ...context, kept: keep.length }).toEqual({ ...context, kept: month(older) === month(newer) ? 1 : 2 });
    }
  });

  it('keeps what is pinned, also when it is corrupt and old', () => {
    const { keep } = planRetention(
      [at('new', noon), at('pinned', 5, { state: 'corrupt', pinned: true }), at('old', 4)],
      policy,
      noon,
    );
    expect(keep.map(({ label }) => label)).toEqual(['new', 'pinned']);
  });

  it('lets labels from the future take nobody else’s place', () => {
    const { keep, remove } = planRetention(
      [at('2099', noon + 9e11), at('2098', noon + 8e11, { state: 'unverified' }), at('new', noon), at('old', noon - 1)],
      policy,
      noon,
    );
    expect(keep.map(({ label }) => label)).toEqual(['2099', '2098', 'new']);
    expect(remove.map(({ label }) => label)).toEqual(['old']);
  });

  it('keeps by age what is young beside the newest, however far the clock jumps ahead', () => {
    const backups = [at('b', noon), at('a', noon - hourMs), at('old', noon - 9 * dayMs)];
    const rules = { keepNewest: 1, keepForMs: dayMs };
    const now = planRetention(backups, rules, noon);
    expect(now.remove.map(({ label }) => label)).toEqual(['old']);
    expect(planRetention(backups, rules, noon + 3_650 * dayMs)).toEqual(now);
    expect(planRetention(backups, rules, 0).remove).toEqual([]);
  });

  it('keeps the last verified one although all newer ones are bad, whatever clock and rules (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 2_000; round += 1) {
      const good = at('good', random.integer(0, 1_000) * hourMs);
      const bad = Array.from({ length: random.integer(1, 10) }, (_, index) =>
        at(`bad ${index}`, good.atMs + random.integer(1, 500) * hourMs, {
          state: random.pick(['corrupt', 'unverified']),
        }),
      );
      const rules = {
        keepNewest: random.integer(1, 3),
        keepForMs: random.integer(0, 5) * hourMs,
        keepDaily: random.integer(0, 3),
        keepYearly: random.integer(0, 1),
      };
      const { keep, remove } = planRetention([...bad, good], rules, random.integer(0, 3_000) * hourMs);
      const context = { seed: random.seed, round };
      expect({ ...context, labels: keep.map(({ label }) => label) }).toEqual({
        ...context,
        labels: expect.arrayContaining(['good']),
      });
      expect(keep.length + remove.length).toBe(bad.length + 1);
    }
  });
});
