// When is a base taken before the next one is due? When the stream behind the newest one has grown long, when a timeline has
// none, or when the queue has missed a run. Asked for by the worker that archives the group, so by one of several.
import { stateOf, whyBaseWanted, isFinished } from '@switchyard/backup';
import { createTicker, type Clock, type Component, type Logger } from '@switchyard/runtime';
import type { Archive } from '../archive/archive.ts';
import type { Operations } from '../operations/operations.ts';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { BackupQueue } from './backup-queue.ts';

const lookEveryMs = 15_000;
/** After an attempt, whatever became of it. */
const againAfterMs = 300_000;

/** Asks for bases of the archive's timeline. */
export function createBaseOnGrowth(options: {
  readonly archive: Pick<Archive, 'group' | 'head' | 'isFollowing'>;
  readonly isProvingBase: () => boolean;
  readonly repository: Pick<BackupRepository, 'list'>;
  readonly operations: Pick<Operations, 'list'>;
  readonly queue: Pick<BackupQueue, 'submit'>;
  readonly mostStreamBytes: number;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { archive, isProvingBase, repository, operations, queue, mostStreamBytes, everyMs, clock, logger } = options;
  const { group } = archive;
  let askedAtMs = Number.NEGATIVE_INFINITY;

  const look = async (): Promise<void> => {
    const head = archive.head();
    if (head === null || !archive.isFollowing() || isProvingBase()) return;
    if (clock.monotonicMs() - askedAtMs < againAfterMs) return;
    if (operations.list().some((one) => one.kind === 'backup' && one.subject === group && !isFinished(one))) return;
    const { backups } = await repository.list(group);
    const [newest] = backups
      .filter(
        ({ manifest, verification }) => manifest.timeline === head.timeline && stateOf(verification) !== 'corrupt',
      )
      .toSorted((a, b) => b.manifest.source.offset - a.manifest.source.offset);
    const base =
      newest === undefined
        ? null
        : { offset: newest.manifest.source.offset, rawBytes: newest.manifest.files[0]?.rawBytes ?? 0 };
    const ageMs = backups[0] === undefined ? null : clock.unixMs() - backups[0].manifest.startedAtMs;
    const why = whyBaseWanted({ offset: head.offset, base, ageMs }, { mostBytes: mostStreamBytes, everyMs });
    if (why === null) return;
    askedAtMs = clock.monotonicMs();
    const submitted = await queue.submit({ task: 'backup', group });
    const outcome = submitted.ok ? { operation: submitted.value.id } : { refused: submitted.error.detail };
    logger.info({ group, timeline: head.timeline, why, ...outcome }, 'archive.base_wanted');
  };
  return createTicker({ name: 'base-on-growth', everyMs: lookEveryMs, run: look, clock, logger, immediate: false });
}
