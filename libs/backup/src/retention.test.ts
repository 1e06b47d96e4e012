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
