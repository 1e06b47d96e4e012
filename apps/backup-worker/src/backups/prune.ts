// When do old backups go? After each new one, by the plan of the retention rules.
import { planRetention, stateOf, type RetentionPolicy } from '@switchyard/backup';
import type { Clock, Logger } from '@switchyard/runtime';
import type { BackupRepository } from '../repository/backup-repository.ts';

/** Removes what the rules do not keep and says so in the log; resolves with the labels. */
export function createPruner(options: {
  readonly repository: BackupRepository;
  readonly policy: RetentionPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
}): (group: string) => Promise<readonly string[]> {
  const { repository, policy, clock, logger } = options;
  return async (group) => {
    const { backups } = await repository.list(group);
    const known = backups.map(({ manifest, verification }) => ({
      label: manifest.label,
      atMs: manifest.startedAtMs,
      state: stateOf(verification),
    }));
    const { remove } = planRetention(known, policy, clock.unixMs());
    for (const { label, reason } of remove) {
      await repository.remove(group, label);
      logger.info({ group, label, reason }, 'backup.removed');
    }
    return remove.map(({ label }) => label);
  };
}
