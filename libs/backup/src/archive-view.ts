// What do the timelines, segments and backups of a group add up to? Which backup lies on which timeline, where the stream has holes,
// and which stretches can therefore be restored.
//
// A backup lies on a timeline when its manifest says so, or when its replication id names one of the timeline's histories and its offset
// lies where that history was the timeline's: an older id counts only up to where the next one took over. A former primary that went on
// writing alone has the old id, too, with offsets beyond that place and other data (redis.io, Replication: secondary replication ID).
import type { SafetyPoint, SegmentHeader, Timeline } from '@switchyard/protocol';
import { stateOf, type StoredBackup } from './backup-list.ts';

/** What is needed of a segment's head: all but its `times`. */
export type SegmentSummary = Pick<
  SegmentHeader,
  'timeline' | 'from' | 'to' | 'startedAtMs' | 'endedAtMs' | 'histories' | 'commandCounts' | 'events' | 'moreEvents'
>;

/** A piece of a replication history as it was this timeline's: [from, to). */
export interface HistoryRange {
  readonly replicationId: string;
  readonly from: number;
  /** Infinity for the newest of a timeline that may still grow. */
  readonly to: number;
}

/** A backup at its place on a timeline. */
export interface PlacedBase {
  readonly backup: StoredBackup;
  readonly label: string;
  readonly offset: number;
  readonly atMs: number;
  readonly isVerified: boolean;
}

/** Positions without a hole between them, ends included: with segments, or a single place where a backup lies. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly segments: readonly SegmentSummary[];
  /** Usable ones, by offset. Nothing before the first one can be restored. */
  readonly bases: readonly PlacedBase[];
}

/** A timeline with all that lies on it. */
export interface TimelineView {
  readonly timeline: Timeline;
  /** By position; pieces that others cover are left out. */
  readonly segments: readonly SegmentSummary[];
  readonly histories: readonly HistoryRange[];
  /** By position. */
  readonly stretches: readonly Stretch[];
  /** Bases that are corrupt, for explanations only. */
  readonly corrupt: readonly PlacedBase[];
  /** End of the archived stream, and when its last byte arrived. */
  readonly end: number;
  readonly endedAtMs: number;
  /** Until when it is known that nothing else belongs to it: a silence up to here is a silence and no gap. */
  readonly quietUntilMs: number;
}

/** All that can be known about the restorable moments of a group. */
export interface ArchiveView {
  readonly group: string;
  /** Oldest first. */
  readonly timelines: readonly TimelineView[];
  /** Usable backups on no timeline: moments of their own. By time. */
  readonly loose: readonly PlacedBase[];
  readonly backups: readonly StoredBackup[];
  readonly points: readonly SafetyPoint[];
}

/** How far the group has been followed. */
export interface FollowedUntil {
  readonly timeline: string;
  readonly offset: number;
  readonly untilMs: number;
}

/** What a view is made of. */
export interface ArchiveContent {
  readonly group: string;
  readonly timelines: readonly { readonly timeline: Timeline; readonly segments: readonly SegmentSummary[] }[];
  readonly backups: readonly StoredBackup[];
  readonly points: readonly SafetyPoint[];
  /** How far the archive is: until `untilMs` (unix) nothing has arrived beyond `offset`. Null when nobody follows the group. */
  readonly followed: FollowedUntil | null;
}

/** Puts everything in its place. Does not depend on the order of what it is given. */
export function viewArchive(content: ArchiveContent): ArchiveView {
  const { group, points, followed } = content;
  const backups = content.backups.filter(({ manifest }) => manifest.group === group);
  const ordered = content.timelines.toSorted(
    (a, b) => a.timeline.startedAtMs - b.timeline.startedAtMs || (a.timeline.id < b.timeline.id ? -1 : 1),
  );
  const placed = new Set<StoredBackup>();
  const timelines = ordered.map(({ timeline, segments: given }, index): TimelineView => {
    const next = ordered[index + 1]?.timeline;
    const segments = withoutCovered(given);
    const last = segments.at(-1);
    const end = last?.to ?? timeline.start.offset;
    const endedAtMs = last?.endedAtMs ?? timeline.startedAtMs;
    const histories = historiesOf(timeline, segments, next === undefined ? Number.POSITIVE_INFINITY : end);
    const own = backups.filter((backup) => liesOn(backup, timeline, histories)).map(placeOf);
    for (const { backup } of own) placed.add(backup);
    own.sort((a, b) => a.offset - b.offset || a.atMs - b.atMs);
    const usable = own.filter(({ backup }) => stateOf(backup.verification) !== 'corrupt');
    return {
      timeline,
      segments,
      histories,
      stretches: stretchesOf(timeline, segments, usable),
      corrupt: own.filter(({ backup }) => stateOf(backup.verification) === 'corrupt'),
      end,
      endedAtMs,
      quietUntilMs: Math.max(endedAtMs, quietUntil({ id: timeline.id, end }, next, followed)),
    };
  });
  const loose = backups
    .filter((backup) => !placed.has(backup) && stateOf(backup.verification) !== 'corrupt')
    .map(placeOf)
    .toSorted((a, b) => a.atMs - b.atMs);
  return { group, timelines, loose, backups, points: points.filter((point) => point.group === group) };
}

/** Name of the history that the byte at `offset` belongs to. */
export function replicationIdAt(view: TimelineView, offset: number): string {
  const found = view.histories.findLast((history) => history.from <= offset);
  return found?.replicationId ?? view.timeline.start.replicationId;
}

/** The stretch that holds a position; where two meet at a hole's edge, the one that the stream leads to. */
export function stretchAt(view: TimelineView, offset: number): Stretch | undefined {
  return view.stretches.find((stretch) => stretch.from <= offset && offset <= stretch.to);
}

/** The segment that holds the byte before `offset`: the one whose times tell when that arrived. */
export function segmentBefore(segments: readonly SegmentSummary[], offset: number): SegmentSummary | undefined {
  return segments.findLast((segment) => segment.from < offset && offset <= segment.to);
}

function placeOf(backup: StoredBackup): PlacedBase {
  const { manifest, verification } = backup;
  const { label, source, startedAtMs: atMs } = manifest;
  return { backup, label, offset: source.offset, atMs, isVerified: stateOf(verification) === 'verified' };
}

function liesOn({ manifest }: StoredBackup, timeline: Timeline, histories: readonly HistoryRange[]): boolean {
  if (manifest.timeline !== undefined) return manifest.timeline === timeline.id;
  const { replicationId, offset } = manifest.source;
  return histories.some((one) => one.replicationId === replicationId && one.from <= offset && offset <= one.to);
}

// Merging replaces small pieces by a larger one; between the two steps both are there.
function withoutCovered(segments: readonly SegmentSummary[]): SegmentSummary[] {
  const kept: SegmentSummary[] = [];
  let end = -1;
  for (const segment of segments.toSorted((a, b) => a.from - b.from || b.to - a.to)) {
    if (segment.to <= end) continue;
    kept.push(segment);
    end = segment.to;
  }
  return kept;
}

function historiesOf(timeline: Timeline, segments: readonly SegmentSummary[], until: number): HistoryRange[] {
  const begun: { replicationId: string; from: number }[] = [
    { replicationId: timeline.start.replicationId, from: timeline.start.offset },
  ];
  for (const { from, replicationId } of segments.flatMap(({ histories }) => histories)) {
    // A segment repeats the name at its beginning.
    if (begun.at(-1)?.replicationId !== replicationId) begun.push({ replicationId, from });
  }
  return begun.map(({ replicationId, from }, index) => ({
    replicationId,
    from,
    to: begun[index + 1]?.from ?? until,
  }));
}

function stretchesOf(timeline: Timeline, segments: readonly SegmentSummary[], bases: readonly PlacedBase[]): Stretch[] {
  const runs: { from: number; to: number; segments: SegmentSummary[] }[] = [];
  for (const segment of segments) {
    const run = runs.at(-1);
    if (run !== undefined && segment.from <= run.to) {
      run.to = segment.to;
      run.segments.push(segment);
    } else runs.push({ from: segment.from, to: segment.to, segments: [segment] });
  }
  const isOutside = (offset: number): boolean => !runs.some((run) => run.from <= offset && offset <= run.to);
  const lonely = new Set(bases.map(({ offset }) => offset).filter(isOutside));
  if (runs.length === 0) lonely.add(timeline.start.offset);
  for (const offset of lonely) runs.push({ from: offset, to: offset, segments: [] });
  return runs
    .toSorted((a, b) => a.from - b.from)
    .map((run) => ({ ...run, bases: bases.filter(({ offset }) => run.from <= offset && offset <= run.to) }));
}

// Before a rollback everything was archived and writes were held, so what lies between the two timelines is silence. Any other new
// timeline means that something was missed.
function quietUntil(
  { id, end }: { readonly id: string; readonly end: number },
  next: Timeline | undefined,
  followed: FollowedUntil | null,
): number {
  // What was followed must be there, too: an object may have been lost.
  if (next === undefined) return followed?.timeline === id && followed.offset <= end ? followed.untilMs : 0;
  const isFollowedBy = next.previous?.timeline === id && next.previous.offset <= end;
  return next.reason === 'rollback' && isFollowedBy ? next.startedAtMs - 1 : 0;
}
