// What does the worker count and show? How old the newest backup is, how large, whether it is proven, and how work ends.
import { stateOf, viewBackup, type StoredBackup } from '@switchyard/backup';
import type { Logger, Metrics } from '@switchyard/runtime';
import type { BackupRepository } from '../repository/backup-repository.ts';

/** The metrics of the worker. */
export interface BackupMetrics {
  /** Reads the repository anew; a failure is logged, never thrown. */
  refresh(): Promise<void>;
  /** Work has ended. */
  ended(task: string, state: string, seconds: number): void;
}

/** From a tenth of a second to an hour. */
const workSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];
const mostGroups = 100;

/** Registers the metrics. `prefix` switchyard_ is added by the registry. */
export function createBackupMetrics(metrics: Metrics, repository: BackupRepository, logger: Logger): BackupMetrics {
  const perGroup = { labels: ['group'], maxSeries: mostGroups } as const;
  const lastSuccess = metrics.gauge(
    'backup_last_success_timestamp_seconds',
    'When the data of the newest backup is from; 0 = there is none',
    perGroup,
  );
  const lastVerified = metrics.gauge(
    'backup_last_verified_timestamp_seconds',
    'When a backup was last found to be good; 0 = never',
    perGroup,
  );
  const size = metrics.gauge('backup_size_bytes', 'Size of the newest backup', {
    labels: ['group', 'form'],
    maxSeries: 2 * mostGroups,
  });
  const keys = metrics.gauge('backup_keys', 'Keys in the newest backup', perGroup);
  const count = metrics.gauge('backups', 'Backups in the repository', {
    labels: ['group', 'state'],
    maxSeries: 3 * mostGroups,
  });
  const problems = metrics.gauge('backup_repository_problems', 'Folders in the repository that cannot be used');
  const seconds = metrics.histogram('backup_work_seconds', 'How long work took, by its outcome', {
    labels: ['task', 'state'],
    buckets: workSeconds,
  });

  const show = (group: string, backups: readonly StoredBackup[]): void => {
    const [newest] = backups.map(viewBackup);
    if (newest === undefined) return;
    lastSuccess.set({ group }, newest.manifest.startedAtMs / 1_000);
    const verifiedAt = backups.map(({ verification }) => (verification?.ok === true ? verification.atMs : 0));
    lastVerified.set({ group }, Math.max(0, ...verifiedAt) / 1_000);
    size.set({ group, form: 'stored' }, newest.bytes);
    size.set({ group, form: 'raw' }, newest.rawBytes);
    keys.set({ group }, newest.keys);
    for (const state of ['verified', 'unverified', 'corrupt'] as const)
      count.set({ group, state }, backups.filter(({ verification }) => stateOf(verification) === state).length);
  };

  return {
    refresh: async () => {
      try {
        const listing = await repository.list();
        problems.set(listing.problems.length);
        const groups = new Set(listing.backups.map(({ manifest }) => manifest.group));
        for (const group of [...groups].slice(0, mostGroups))
          show(
            group,
            listing.backups.filter(({ manifest }) => manifest.group === group),
          );
      } catch (error) {
        logger.warn({ err: error }, 'metrics.repository_unreadable');
      }
    },
    ended: (task, state, took) => seconds.observe({ task, state }, took),
  };
}
