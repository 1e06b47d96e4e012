// Is the repository usable? Prepared at the start, tried again until it works, and cleaned of what never became a backup.
import { createTicker, type Clock, type Component, type Health, type Logger } from '@switchyard/runtime';
import type { BackupMetrics } from './backup-metrics.ts';
import type { BackupRepository } from './backup-repository.ts';
import type { Operations } from './operations.ts';
import { removeScratchLeftovers } from './scratch-server.ts';
import { textOf } from './system-error.ts';

const lookEveryMs = 60_000;
/** No backup takes so long between two writes. */
const leftoverAfterMs = 3_600_000;

/** Keeps the check `repository` true. A repository that cannot be written to does not keep the service from starting. */
export function createRepositoryKeeper(options: {
  readonly repository: BackupRepository;
  readonly scratchDirectory: string;
  readonly operations: Operations;
  readonly metrics: BackupMetrics;
  readonly clock: Clock;
  readonly health: Health;
  readonly logger: Logger;
}): Component {
  const { repository, scratchDirectory, operations, metrics, clock, health, logger } = options;
  let isLoaded = false;

  const look = async (): Promise<void> => {
    try {
      await repository.prepare();
      health.set('repository', { ok: true, detail: repository.root });
    } catch (error) {
      health.set('repository', { ok: false, detail: textOf(error) });
      return;
    }
    if (!isLoaded) {
      await operations.load();
      isLoaded = true;
      const olderThanMs = clock.unixMs() - leftoverAfterMs;
      await removeScratchLeftovers(scratchDirectory, olderThanMs);
      const removed = await repository.removeLeftovers(olderThanMs);
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
