// Which backups may go? Those that no rule keeps, and never the last one that is known to be good. A clock that is wrong must not
// delete: age counts from the newest backup where the clock is further on, and what is from the future takes no other's place.
import type { BackupView } from '@switchyard/protocol';

/** What retention needs to know about a backup. */
export interface RetainedBackup {
  readonly label: string;
  /** Moment the data is from, unix milliseconds. */
  readonly atMs: number;
  readonly state: BackupView['state'];
  /** Kept whatever the rules say. */
  readonly pinned?: boolean;
}

/** A backup is kept while any rule holds it. */
export interface RetentionPolicy {
  /** So many of the newest that are not known to be corrupt. At least 1. */
  readonly keepNewest: number;
  /** Everything younger than this. */
  readonly keepForMs: number;
  /** The newest one of each of the last so many hours, days, ISO weeks, months and years (UTC) that have one; 0 unless given. */
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
}

/** What happens to one backup, and why. */
export interface RetentionVerdict {
  readonly label: string;
  readonly reason: string;
}

/** What happens to each backup and why, newest first. */
export interface RetentionPlan {
  readonly keep: readonly RetentionVerdict[];
  readonly remove: readonly RetentionVerdict[];
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** 1970-01-01 was a Thursday; ISO weeks begin on Monday. */
const mondayMs = 3 * dayMs;

const periods: readonly {
  readonly count: (policy: RetentionPolicy) => number | undefined;
  readonly name: string;
  readonly of: (atMs: number) => number;
}[] = [
  { count: (policy) => policy.keepHourly, name: 'hour', of: (atMs) => Math.floor(atMs / hourMs) },
  { count: (policy) => policy.keepDaily, name: 'day', of: (atMs) => Math.floor(atMs / dayMs) },
  { count: (policy) => policy.keepWeekly, name: 'week', of: (atMs) => Math.floor((atMs + mondayMs) / (7 * dayMs)) },
  { count: (policy) => policy.keepMonthly, name: 'month', of: (atMs) => monthOf(atMs) },
  { count: (policy) => policy.keepYearly, name: 'year', of: (atMs) => Math.floor(monthOf(atMs) / 12) },
];

/** Sorts the backups of one group into kept and removed ones. Removes nothing by itself, so it is its own dry run. */
export function planRetention(
  backups: readonly RetainedBackup[],
  policy: RetentionPolicy,
  nowMs: number,
): RetentionPlan {
  const newestFirst = backups.toSorted((a, b) => b.atMs - a.atMs || (a.label < b.label ? 1 : -1));
  const past = newestFirst.filter(({ atMs }) => atMs <= nowMs);
  // A corrupt one takes no place among the newest: three corrupt ones must not push the good ones out.
  const usable = past.filter(({ state }) => state !== 'corrupt');
  const reasons = new Map<RetainedBackup, string>();
  const hold = (backup: RetainedBackup | undefined, reason: string): void => {
    if (backup !== undefined && !reasons.has(backup)) reasons.set(backup, reason);
  };
  for (const backup of newestFirst) if (backup.pinned === true) hold(backup, 'pinned');
  for (const backup of newestFirst) if (backup.atMs > nowMs) hold(backup, 'from the future: a clock was wrong');
  for (const backup of usable.slice(0, Math.max(1, policy.keepNewest)))
    hold(backup, `among the newest ${policy.keepNewest}`);
  const countedFromMs = Math.min(nowMs, past[0]?.atMs ?? nowMs);
  for (const backup of past)
    if (countedFromMs - backup.atMs < policy.keepForMs) hold(backup, 'younger than the age to keep');
  for (const { count, name, of } of periods)
    for (const backup of newestOfEach(usable, of).slice(0, count(policy) ?? 0))
      hold(backup, `the newest of its ${name}`);
  // Of those from the past and of all: one from the future may be the product of the same mistake.
  for (const some of [past, newestFirst]) {
    const lastGood =
      some.find(({ state }) => state === 'verified') ??
      (newestFirst.some(({ state }) => state === 'verified')
        ? undefined
        : some.find(({ state }) => state === 'unverified'));
    hold(lastGood, 'the last one known to be good');
  }
  const keep: RetentionVerdict[] = [];
  const remove: RetentionVerdict[] = [];
  for (const backup of newestFirst) {
    const { label, state } = backup;
    const reason = reasons.get(backup);
    if (reason !== undefined) keep.push({ label, reason });
    else remove.push({ label, reason: state === 'corrupt' ? 'corrupt and old' : 'old, and newer ones are enough' });
  }
  return { keep, remove };
}

function newestOfEach(newestFirst: readonly RetainedBackup[], of: (atMs: number) => number): RetainedBackup[] {
  const found = new Map<number, RetainedBackup>();
  for (const backup of newestFirst) {
    const period = of(backup.atMs);
    if (!found.has(period)) found.set(period, backup);
  }
  return [...found.values()];
}

// Civil months since 1970 from days, without a Date: the algorithm of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
function monthOf(atMs: number): number {
  const days = Math.floor(atMs / dayMs) + 719_468;
  const era = Math.floor(days / 146_097);
  const dayOfEra = days - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shifted < 10 ? shifted + 2 : shifted - 10;
  const year = yearOfEra + era * 400 + (month <= 1 ? 1 : 0);
  return (year - 1970) * 12 + month;
}
