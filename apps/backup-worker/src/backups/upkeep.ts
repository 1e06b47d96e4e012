// Is there everything that backups need? The repository is prepared, tried again until it works, and cleaned of what never became
// a backup; the server that proves them is looked for.
import { createTicker, type Clock, type Component, type Health, type Logger } from '@switchyard/runtime';
import type { BackupMetrics } from './backup-metrics.ts';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { Operations } from '../operations/operations.ts';
import type { Prover } from '../scratch/prover.ts';
import { removeScratchLeftovers } from '../scratch/scratch-server.ts';
import { textOf } from '../system-error.ts';

const lookEveryMs = 60_000;
/** No backup takes so long between two writes. */
const leftoverAfterMs = 3_600_000;

/** Keeps the checks `repository` and `prover` true. A repository that cannot be written to does not keep the service from starting. */
export function createUpkeep(options: {
  readonly repository: BackupRepository;
  readonly scratchDirectory: string;
  readonly prover: Prover;
  readonly operations: Operations;
  readonly metrics: BackupMetrics;
  readonly clock: Clock;
  readonly health: Health;
  readonly logger: Logger;
}): Component {
  const { repository, scratchDirectory, prover, operations, metrics, clock, health, logger } = options;
  let isLoaded = false;

  const lookForServer = async (signal: AbortSignal): Promise<void> => {
    const outcome = await prover.version(signal).then(
      (version) => ({ ok: true, detail: version }),
      (error: unknown) => ({ ok: false, detail: textOf(error) }),
    );
    // Listing and showing backups goes on without it.
    health.set('prover', { ...outcome, critical: false });
  };

  const look = async (signal: AbortSignal): Promise<void> => {
    await lookForServer(signal);
    try {
      await repository.prepare();
      health.set('repository', { ok: true, detail: repository.place });
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
  const ticker = createTicker({ name: 'upkeep', everyMs: lookEveryMs, run: look, clock, logger, immediate: false });

  return {
    name: 'upkeep',
    start: async (signal) => {
      // The first look comes before any work: it brings back the operations.
      await look(signal);
      await ticker.start(signal);
    },
    stop: () => ticker.stop(),
  };
}
