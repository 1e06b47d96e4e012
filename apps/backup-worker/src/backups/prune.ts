// When do old backups and old pieces of the stream go? After each new backup, and on request, by the plan of the retention rules.
import {
  planRetention,
  planStreamRetention,
  stateOf,
  type RetainedStream,
  type RetentionPolicy,
  type StoredBackup,
  type StreamVerdict,
} from '@switchyard/backup';
import type { PruneView } from '@switchyard/protocol';
import type { Clock, Logger } from '@switchyard/runtime';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { Pins } from '../repository/pins.ts';
import type { SegmentRange, SegmentStore } from '../repository/segment-store.ts';

/** What to do. */
export interface PruneOptions {
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

/** Says what goes and why, and unless it is a dry run removes it. Rejects on I/O errors; what is gone by then is gone as a whole. */
export type Pruner = (group: string, options: PruneOptions) => Promise<PruneView>;

/** More than a run needs; the next one goes on. */
const mostSegmentsAtOnce = 20_000;

/** A pruner by these rules. */
export function createPruner(options: {
  readonly repository: BackupRepository;
  readonly segments: SegmentStore;
  readonly pins: Pins;
  readonly policy: RetentionPolicy;
  /** How far back the stream leads. */
  readonly windowMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}): Pruner {
  const { repository, segments, pins, policy, windowMs, clock, logger } = options;

  const planStreams = async (
    group: string,
    kept: readonly StoredBackup[],
    signal: AbortSignal,
  ): Promise<StreamPlan[]> => {
    const { timelines } = await segments.timelines(group, signal);
    const streams: (RetainedStream & { readonly superseded: readonly SegmentRange[] })[] = [];
    for (const { id } of timelines) {
      const { segments: list, superseded } = await segments.segments(group, id, signal);
      const bases = kept
        .filter(({ manifest, verification }) => manifest.timeline === id && stateOf(verification) !== 'corrupt')
        .map(({ manifest, verification }) => ({
          offset: manifest.source.offset,
          atMs: manifest.startedAtMs,
          verified: stateOf(verification) === 'verified',
        }));
      streams.push({ timeline: id, segments: list, superseded, bases });
    }
    return planStreamRetention(streams, { windowMs, nowMs: clock.unixMs() }).map((verdict, index) => {
      const end = verdict.remove.at(-1)?.to ?? -Infinity;
      // Pieces of a merged segment that goes must not come to light again.
      const pieces = streams[index]?.superseded.filter(({ to }) => to <= end) ?? [];
      return { verdict, pieces };
    });
  };

  const removeStream = async (group: string, { verdict, pieces }: StreamPlan, signal: AbortSignal): Promise<number> => {
    const { timeline } = verdict;
    // From the beginning: what is left after an interruption still hangs together.
    const all = [...pieces, ...verdict.remove].slice(0, mostSegmentsAtOnce);
    for (const range of all) {
      signal.throwIfAborted();
      await segments.remove(group, timeline, range, signal);
    }
    if (verdict.removeTimeline) await segments.removeTimeline(group, timeline, signal);
    if (all.length > 0)
      logger.info({ group, timeline, segments: all.length, reason: verdict.reason }, 'archive.segments_removed');
    return all.length;
  };

  return async (group, { dryRun, signal }) => {
    const { backups } = await repository.list(group);
    const pinned = await pins.of(group, signal);
    const known = backups.map(({ manifest, verification }) => ({
      label: manifest.label,
      atMs: manifest.startedAtMs,
      state: stateOf(verification),
      pinned: pinned.has(manifest.label),
    }));
    const plan = planRetention(known, policy, clock.unixMs());
    const kept = new Set(plan.keep.map(({ label }) => label));
    const streams = await planStreams(
      group,
      backups.filter(({ manifest }) => kept.has(manifest.label)),
      signal,
    );
    let removedSegments = 0;
    if (!dryRun) {
      // The stream first: a backup that leads into pieces that are there is worth more than pieces without one.
      for (const stream of streams) removedSegments += await removeStream(group, stream, signal);
      for (const { label, reason } of plan.remove) {
        signal.throwIfAborted();
        await repository.remove(group, label);
        logger.info({ group, label, reason }, 'backup.removed');
      }
    }
    return {
      group,
      dryRun,
      ...plan,
      stream: streams.map(({ verdict: { timeline, keep, remove, reason, removeTimeline } }) => ({
        timeline,
        keep: keep.length,
        remove: remove.length,
        removeTo: remove.at(-1)?.to ?? null,
        removeTimeline,
        reason,
      })),
      removed: dryRun ? null : { backups: plan.remove.map(({ label }) => label), segments: removedSegments },
    };
  };
}

interface StreamPlan {
  readonly verdict: StreamVerdict;
  readonly pieces: readonly SegmentRange[];
}
