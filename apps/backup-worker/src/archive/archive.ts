// What can be asked of the continuous archive? What every other part (restore, rollback, rehearsal, verification) codes against.
// Reading works in every worker, from the repository alone; only the worker that owns the archive of the group writes it.
import type { FollowedUntil } from '@switchyard/backup';
import type { RestorePoint, RestoreTarget, Result, Timeline } from '@switchyard/protocol';
import type { SegmentSummary } from '../repository/segment-store.ts';
import type { ArchiveStatus } from './archive-status.ts';

/** A timeline as far as it is archived. */
export interface ArchivedTimeline {
  readonly timeline: Timeline;
  /** Archived without a gap, by position; a second one means that a segment between them is missing. Empty = nothing followed its data set yet. */
  readonly ranges: readonly { readonly from: number; readonly to: number }[];
  /** Name of the history at the end. */
  readonly replicationId: string;
  /** When its last byte arrived; the start of the timeline when there is none. */
  readonly endedAtMs: number;
  readonly segments: number;
  /** As stored. */
  readonly bytes: number;
}

/** How far the archive is: everything before `offset` is in the repository. */
export interface ArchiveHead {
  readonly timeline: string;
  readonly offset: number;
  /** Name of the history at `offset`. */
  readonly replicationId: string;
  /** When the last byte before `offset` arrived, unix ms. */
  readonly atMs: number;
}

/** Which part of which timeline. Both ends are positions at which a segment or a command may be cut. */
export interface StreamRange {
  readonly timeline: string;
  readonly from: number;
  readonly to: number;
}

/** The archive of one group. Methods reject with an ObjectStoreError, or with the signal's reason. */
export interface Archive {
  readonly group: string;
  /** Oldest first; read from the repository. */
  timelines(signal: AbortSignal): Promise<readonly ArchivedTimeline[]>;
  /** Heads of all segments of a timeline, by position; those that another one covers are left out. */
  segments(timeline: string, signal: AbortSignal): Promise<readonly SegmentSummary[]>;
  /** Null until this process has archived something or has found what an earlier one did; of a standby as old as its last look (2 s). */
  head(): ArchiveHead | null;
  /** Whether this process follows the group now and archives what it writes. */
  isFollowing(): boolean;
  status(): ArchiveStatus;
  /** Until when it is known that nothing has arrived beyond the head; null while this process does not follow the group. */
  followedUntil(): FollowedUntil | null;
  /**
   * Seals at once what has arrived and resolves when it is archived; with `untilOffset` only when everything before that offset is.
   * Refuses with `not_ready` when this process does not follow the group, and with `conflict` when a new timeline began meanwhile.
   */
  flush(options: { readonly untilOffset?: number; readonly signal: AbortSignal }): Promise<Result<ArchiveHead>>;
  /** Called with each new head until the returned function is called. */
  onHead(listener: (head: ArchiveHead) => void): () => void;
  /** The moment that `to` means. Refuses with the nearest valid ones when there is none. */
  locate(to: RestoreTarget, signal: AbortSignal): Promise<Result<RestorePoint>>;
  /** The raw stream [from, to), verified piece by piece. Rejects with `backup_corrupt` (RefusalError) when a part is missing or damaged. */
  stream(range: StreamRange, signal: AbortSignal): AsyncIterable<Buffer>;
  /**
   * What follows comes from another data set (a rollback): the next bytes begin a new timeline with reason `rollback`, whatever the
   * source would continue.
   */
  beginNewTimeline(detail: string): void;
}
