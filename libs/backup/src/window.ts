// To which moments can a group be brought back now, where are the gaps, and what happened that somebody may want to undo?
import type { NotableEvent, RestoreTarget, SegmentHeader, Timeline } from '@switchyard/protocol';
import { replicationIdAt, type ArchiveView, type TimelineView } from './archive-view.ts';
import { stateOf, type BackupPoint } from './backup-list.ts';
import { withoutRepeats } from './notable-events.ts';
import { baseFor, isoOf, rangesOf, restorableRanges, whyNoBase, type RestorableRange } from './restorable.ts';

/** A moment in words and numbers. */
export interface WindowEnd {
  readonly at: string;
  readonly offset: number;
}

/** A timeline, and what of it can be restored. */
export interface WindowTimeline {
  readonly timeline: string;
  readonly startedAt: string;
  readonly reason: Timeline['reason'];
  readonly detail: string;
  /** Name of the history at the end. */
  readonly replicationId: string;
  /** End of the archived stream. */
  readonly end: WindowEnd;
  readonly ranges: readonly { readonly from: WindowEnd; readonly to: WindowEnd; readonly base: string }[];
}

/** What lies between two restorable stretches. */
export interface WindowGap {
  readonly from: WindowEnd & { readonly timeline: string };
  readonly to: WindowEnd & { readonly timeline: string };
  readonly reason: string;
}

/** A notable event, and how it is undone. */
export interface WindowEvent {
  readonly kind: NotableEvent['kind'];
  readonly command: string;
  readonly at: string;
  readonly timeline: string;
  /** The last moment before it. */
  readonly offset: number;
  readonly database: number | null;
  readonly detail: string;
  /** What to restore to so that it has not happened; null when no backup leads there any more. */
  readonly to: RestoreTarget | null;
}

/** What can be restored now. */
export interface ArchiveWindow {
  readonly group: string;
  /** Whether the newest stretch holds every moment between its ends, and not only that of one backup. */
  readonly continuous: boolean;
  /** Oldest and newest moment; null when there is none. */
  readonly from: string | null;
  readonly to: string | null;
  /** How much would be lost if everything but the repository were gone now; null when nothing can be restored. */
  readonly rpoMs: number | null;
  /** Backups and safety points, oldest first; corrupt backups are left out. */
  readonly points: readonly WindowPoint[];
  /** Oldest first. */
  readonly timelines: readonly WindowTimeline[];
  /** Newest first. */
  readonly gaps: readonly WindowGap[];
  /** Newest first, at most as many as asked for. */
  readonly events: readonly WindowEvent[];
  /** Events beyond these. */
  readonly moreEvents: number;
}

/** A named moment. */
export interface WindowPoint extends Omit<BackupPoint, 'state'> {
  readonly state: BackupPoint['state'] | 'safety-point';
  readonly timeline: string | null;
}

const mostGaps = 50;

/** The window of a view, with at most `mostEvents` of its events. */
export function archiveWindow(
  view: ArchiveView,
  { nowMs, mostEvents }: { readonly nowMs: number; readonly mostEvents: number },
): ArchiveWindow {
  const ranges = restorableRanges(view);
  const newestMs = ranges.reduce<number | null>((newest, { toMs }) => Math.max(newest ?? toMs, toMs), null);
  const newest = view.timelines.flatMap(rangesOf).at(-1);
  const first = ranges[0];
  const { events, moreEvents } = archiveEvents(view, mostEvents);
  return {
    group: view.group,
    continuous: newest !== undefined && newest.to > newest.from,
    from: first === undefined ? null : isoOf(first.fromMs),
    to: newestMs === null ? null : isoOf(newestMs),
    rpoMs: newestMs === null ? null : Math.max(0, Math.round(nowMs - Math.max(newestMs, knownUntil(view)))),
    points: pointsOf(view),
    timelines: view.timelines.map(timelineOf),
    gaps: gapsOf(view).toReversed().slice(0, mostGaps),
    events,
    moreEvents,
  };
}

/** The notable events of all timelines, newest first, at most `most`, and how many there are beyond these. */
export function archiveEvents(
  view: ArchiveView,
  most: number,
): { readonly events: readonly WindowEvent[]; readonly moreEvents: number } {
  let uncounted = 0;
  const all = view.timelines.flatMap((timeline) => {
    const found: NotableEvent[] = timeline.segments.flatMap(({ events }) => events);
    uncounted += timeline.segments.reduce(
      (sum, { moreEvents }: Pick<SegmentHeader, 'moreEvents'>) => sum + moreEvents,
      0,
    );
    return withoutRepeats(found).map((event) => ({ event, timeline }));
  });
  all.sort((a, b) => b.event.atMs - a.event.atMs || b.event.before - a.event.before);
  const events = all.slice(0, most).map(({ event, timeline }): WindowEvent => {
    const { id } = timeline.timeline;
    const { kind, command, before, atMs, database, detail } = event;
    const to = baseFor(timeline, before) === undefined ? null : { offset: before, timeline: id };
    return { kind, command, at: isoOf(atMs), timeline: id, offset: before, database, detail, to };
  });
  return { events, moreEvents: all.length - events.length + uncounted };
}

// A silence that was followed is as good as a byte that was archived.
function knownUntil(view: ArchiveView): number {
  const newest = view.timelines.at(-1);
  return newest !== undefined && baseFor(newest, newest.end) !== undefined ? newest.quietUntilMs : 0;
}

function pointsOf(view: ArchiveView): WindowPoint[] {
  const homes = new Map(
    view.timelines.flatMap(({ timeline, stretches }) =>
      stretches.flatMap(({ bases }) => bases.map(({ backup }) => [backup, timeline.id] as const)),
    ),
  );
  const backups = view.backups
    .filter(({ verification }) => stateOf(verification) !== 'corrupt')
    .map((backup): WindowPoint => {
      const { label, startedAtMs, source } = backup.manifest;
      const { replicationId, offset } = source;
      const timeline = homes.get(backup) ?? null;
      return { label, at: isoOf(startedAtMs), replicationId, offset, state: stateOf(backup.verification), timeline };
    });
  const kept = view.points.map(({ label, atMs, replicationId, offset, timeline }): WindowPoint => {
    return { label, at: isoOf(atMs), replicationId, offset, state: 'safety-point', timeline };
  });
  return [...backups, ...kept].toSorted((a, b) => (a.at < b.at ? -1 : 1));
}

function timelineOf(view: TimelineView): WindowTimeline {
  const { timeline, end, endedAtMs } = view;
  return {
    timeline: timeline.id,
    startedAt: isoOf(timeline.startedAtMs),
    reason: timeline.reason,
    detail: timeline.detail,
    replicationId: replicationIdAt(view, end),
    end: { at: isoOf(endedAtMs), offset: end },
    ranges: rangesOf(view).map((range) => ({ from: endOf(range, 'from'), to: endOf(range, 'to'), base: range.base })),
  };
}

function gapsOf(view: ArchiveView): WindowGap[] {
  const places = view.timelines.flatMap((timeline) => rangesOf(timeline).map((range) => ({ timeline, range })));
  return places.flatMap(({ timeline, range }, index): WindowGap[] => {
    const before = places[index - 1];
    if (before === undefined) return [];
    const isSame = before.timeline === timeline;
    const isAtStart = range.from === timeline.timeline.start.offset;
    const isSilence =
      before.range.to === before.timeline.end && before.timeline.quietUntilMs >= timeline.timeline.startedAtMs - 1;
    // Between what was there before a rollback and what is there after it, nothing was written.
    if (!isSame && isAtStart && isSilence) return [];
    const { reason, detail } = timeline.timeline;
    const cause = isSame || !isAtStart ? whyNoBase(timeline, range.from - 1) : `${reason}: ${detail}`;
    return [
      {
        from: { ...endOf(before.range, 'to'), timeline: before.timeline.timeline.id },
        to: { ...endOf(range, 'from'), timeline: timeline.timeline.id },
        reason: cause,
      },
    ];
  });
}

function endOf(range: RestorableRange, end: 'from' | 'to'): WindowEnd {
  return end === 'from' ? { at: isoOf(range.fromMs), offset: range.from } : { at: isoOf(range.toMs), offset: range.to };
}
