// Which backups may go? Those that neither count nor age keeps, and never the last one that is known to be good.
import type { BackupView } from '@switchyard/protocol';

/** What retention needs to know about a backup. */
export interface RetainedBackup {
  readonly label: string;
  /** Moment the data is from, unix milliseconds. */
  readonly atMs: number;
  readonly state: BackupView['state'];
}

/** A backup is kept while either rule holds it. */
export interface RetentionPolicy {
  /** So many of the newest that are not known to be corrupt. At least 1. */
  readonly keepNewest: number;
  /** Everything younger than this. */
  readonly keepForMs: number;
}

/** What happens to each backup and why, newest first. */
export interface RetentionPlan {
  readonly keep: readonly { readonly label: string; readonly reason: string }[];
  readonly remove: readonly { readonly label: string; readonly reason: string }[];
}

/** Sorts the backups of one group into kept and removed ones. Removes nothing by itself, so it is its own dry run. */
export function planRetention(
  backups: readonly RetainedBackup[],
  policy: RetentionPolicy,
  nowMs: number,
): RetentionPlan {
  const keep: { label: string; reason: string }[] = [];
  const remove: { label: string; reason: string }[] = [];
  const newestFirst = backups.toSorted((a, b) => b.atMs - a.atMs || (a.label < b.label ? 1 : -1));
  const lastGood =
    newestFirst.find((backup) => backup.state === 'verified') ??
    newestFirst.find((backup) => backup.state === 'unverified');
  let usable = 0;
  for (const backup of newestFirst) {
    // A corrupt one takes no place among the newest: three corrupt ones must not push the good ones out.
    if (backup.state !== 'corrupt') usable += 1;
    const isAmongNewest = backup.state !== 'corrupt' && usable <= Math.max(1, policy.keepNewest);
    const isYoung = nowMs - backup.atMs < policy.keepForMs;
    const { label } = backup;
    if (isAmongNewest) keep.push({ label, reason: `among the newest ${policy.keepNewest}` });
    else if (isYoung) keep.push({ label, reason: 'younger than the age to keep' });
    else if (backup === lastGood) keep.push({ label, reason: 'the last one known to be good' });
    else
      remove.push({ label, reason: backup.state === 'corrupt' ? 'corrupt and old' : 'old, and newer ones are enough' });
  }
  return { keep, remove };
}
