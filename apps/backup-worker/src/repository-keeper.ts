// Is the repository usable? Prepared at the start, tried again until it works, and cleaned of what never became a backup.
import { createTicker, type Clock, type Component, type Health, type Logger } from '@switchyard/runtime';
import type { BackupMetrics } from './backup-metrics.ts';
import type { BackupRepository } from './backup-repository.ts';
import type { Operations } from './operations.ts';

const lookEveryMs = 60_000;
/** No backup takes so long between two writes. */
const leftoverAfterMs = 3_600_000;

/** Keeps the check `repository` true. A repository that cannot be written to does not keep the service from starting. */
export function createRepositoryKeeper(options: {
  readonly repository: BackupRepository;
  readonly operations: Operations;
  readonly metrics: BackupMetrics;
  readonly clock: Clock;
  readonly health: Health;
  readonly logger: Logger;
}): Component {
  const { repository, operations, metrics, clock, health, logger } = options;
  let isLoaded = false;

  const look = async (): Promise<void> => {
    try {
      await repository.prepare();
      health.set('repository', { ok: true, detail: repository.root });
    } catch (error) {
      health.set('repository', { ok: false, detail: error instanceof Error ? error.message : String(error) });
      return;
    }
    if (!isLoaded) {
      isLoaded = true;
      await operations.load();
      const removed = await repository.removeLeftovers(clock.unixMs() - leftoverAfterMs);
      if (removed.length > 0) logger.info({ removed }, 'repository.leftovers_removed');
      const { problems } = await repository.list();
      if (problems.length > 0) logger.warn({ problems: problems.slice(0, 20) }, 'repository.problems');
    }
    await metrics.refresh();
  };
  const ticker = createTicker({ name: 'repository', everyMs: lookEveryMs, run: look, clock, logger, immediate: false });

  return {
    name: 'repository',
    start: async (signal) => {
      // The first look comes before any work: it brings back the operations.
      await look();
      await ticker.start(signal);
    },
    stop: () => ticker.stop(),
  };
}
