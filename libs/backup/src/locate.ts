// Which moment of the archive does a person mean, and what is it made of? A timeline, a position, and the backup that leads to it.
// Nothing is touched before this is answered, and what is impossible is refused with the nearest moments that are not.
import { ok, refuse, type RestorePoint, type RestoreTarget, type Result } from '@switchyard/protocol';
import { readCuts, readOccurrence, readTimes, type ArchiveQuest } from './archive-reads.ts';
import {
  replicationIdAt,
  segmentBefore,
  stretchAt,
  type ArchiveView,
  type PlacedBase,
  type TimelineView,
} from './archive-view.ts';
import { locateLabel } from './locate-label.ts';
import { parseMoment } from './moment.ts';
import {
  baseFor,
  isoOf,
  momentText,
  refuseOffset,
  refuseTime,
  restorableRanges,
  whyNoBase,
  type LocatedPoint,
} from './restorable.ts';
import { crossings, startedAtMs } from './time-crossings.ts';

/**
 * Finds the moment that `to` means. Refuses with `invalid_input` what cannot be understood, with `not_found` an unknown name, with
 * `not_restorable` what the archive does not hold: `why` names the nearest moments on both sides.
 */
export function* locate(view: ArchiveView, to: RestoreTarget, nowMs: number): ArchiveQuest<Result<LocatedPoint>> {
  if ('label' in to) return locateLabel(view, to.label);
  if ('offset' in to) return yield* locateOffset(view, to.offset, to.timeline);
  if ('before' in to) return yield* locateBefore(view, { command: to.before.toUpperCase(), at: to.at }, nowMs);
  return yield* locateTime(view, to.time, nowMs);
}

function* locateTime(view: ArchiveView, text: string, nowMs: number): ArchiveQuest<Result<LocatedPoint>> {
  const moment = parseMoment(text, nowMs);
  if (!moment.ok) return moment;
  const atMs = moment.value;
  if (text.trim().toLowerCase() === 'now') return yield* locateNewest(view, nowMs);
  if (atMs > nowMs) return refuseTime(view, atMs, [`It is in the future: it is ${isoOf(nowMs)} now.`]);
  const reasons: string[] = [];
  const usable: { readonly timeline: TimelineView; readonly offset: number; readonly base: PlacedBase }[] = [];
  for (const timeline of view.timelines.toReversed()) {
    for (const crossing of yield* crossings(timeline, atMs)) {
      const offset = Math.max(crossing, firstKnown(timeline, { offset: crossing, atMs }));
      const base = baseFor(timeline, offset);
      if (base === undefined) reasons.push(whyNoBase(timeline, offset));
      else usable.push({ timeline, offset, base });
    }
  }
  const [chosen, ...others] = usable;
  if (chosen === undefined) return refuseTime(view, atMs, reasons.length > 0 ? reasons : [whereItFalls(view, atMs)]);
  const notes = others.map(
    ({ timeline, offset }) =>
      `The clock showed ${isoOf(atMs)} more than once; also at offset ${offset} of timeline ${timeline.timeline.id}.`,
  );
  return ok(yield* found(chosen, { view, notes }));
}

// A data set is from the moment when its source began to send it, which is known even where the stream before it is not archived.
function firstKnown(view: TimelineView, at: { readonly offset: number; readonly atMs: number }): number {
  const first = stretchAt(view, at.offset)?.bases[0];
  return first !== undefined && first.atMs <= at.atMs ? first.offset : 0;
}

function whereItFalls(view: ArchiveView, atMs: number): string {
  const first = view.timelines[0];
  if (first === undefined)
    return 'Nothing has been archived between the backups: only their own moments can be restored.';
  if (atMs < startedAtMs(first)) return `It is before the archive begins, ${isoOf(startedAtMs(first))}.`;
  for (const { timeline, segments } of view.timelines) {
    const after = segments.find((one, index) => {
      const before = segments[index - 1];
      return before !== undefined && before.to < one.from && before.endedAtMs <= atMs && atMs < one.startedAtMs;
    });
    const before = after === undefined ? undefined : segments[segments.indexOf(after) - 1];
    if (after !== undefined && before !== undefined)
      return `The stream of timeline ${timeline.id} is missing from offset ${before.to} to ${after.from}.`;
  }
  const next = view.timelines.find(({ timeline }) => timeline.startedAtMs > atMs);
  if (next === undefined) {
    const last = view.timelines.at(-1) ?? first;
    return `Nothing is known after ${isoOf(Math.max(last.quietUntilMs, last.endedAtMs))}: the archive does not follow the group, or is behind.`;
  }
  return `It lies in a gap before timeline ${next.timeline.id} (${next.timeline.reason}): ${next.timeline.detail}`;
}

const longSilenceMs = 10_000;

// The newest moment there is, but never one of an older timeline: between the two the data may have become something else, as after a
// rollback.
function* locateNewest(view: ArchiveView, nowMs: number): ArchiveQuest<Result<LocatedPoint>> {
  const timeline = view.timelines.at(-1);
  const loose = view.loose.at(-1);
  const knownMs = timeline === undefined ? 0 : Math.max(timeline.endedAtMs, timeline.quietUntilMs);
  // Backups go on where nobody archives the stream any more.
  if (loose !== undefined && loose.atMs > knownMs) return locateLabel(view, loose.label);
  if (timeline === undefined) return refuseTime(view, nowMs, []);
  const end = reachOf(timeline);
  const base = baseFor(timeline, end);
  if (base === undefined)
    return refuseTime(view, nowMs, [
      `The newest timeline, ${timeline.timeline.id}, cannot be restored yet. ${whyNoBase(timeline, end)}`,
    ]);
  const isOld = knownMs < nowMs - longSilenceMs;
  const notes = isOld ? [`It is the newest there is: nothing is known after ${isoOf(knownMs)}.`] : [];
  return ok(yield* found({ timeline, offset: end, base }, { view, notes }));
}

function* locateOffset(
  view: ArchiveView,
  offset: number,
  timelineId: string | undefined,
): ArchiveQuest<Result<LocatedPoint>> {
  if (timelineId !== undefined && !view.timelines.some(({ timeline }) => timeline.id === timelineId))
    return refuse('not_found', `There is no timeline ${timelineId} of ${view.group}.`, {
      why: view.timelines.slice(-10).map(({ timeline }) => `There is ${timeline.id}.`),
      next: 'GET /v1/backups/window lists the timelines.',
    });
  const named = view.timelines.filter(({ timeline }) => timelineId === undefined || timeline.id === timelineId);
  const holding = named.filter((one) => one.timeline.start.offset <= offset && offset <= reachOf(one)).toReversed();
  const chosen = holding.find((one) => baseFor(one, offset) !== undefined);
  if (chosen === undefined) {
    const reasons = holding.map((one) => whyNoBase(one, offset));
    if (holding.length === 0) reasons.push(outside(named, offset));
    return refuseOffset(view, offset, { timeline: holding[0]?.timeline.id ?? timelineId, reasons });
  }
  const { id } = chosen.timeline;
  const around = yield* cutsAround(chosen, offset);
  if (around !== null)
    return refuse('not_restorable', `Offset ${offset} lies inside a command or a transaction.`, {
      why: [
        `Nearest before: offset ${around.before} (timeline ${id}).`,
        `Nearest after: offset ${around.after} (timeline ${id}).`,
      ],
    });
  const base = baseFor(chosen, offset);
  if (base === undefined) return refuseOffset(view, offset, { timeline: id, reasons: [whyNoBase(chosen, offset)] });
  const notes = holding
    .filter((one) => one !== chosen)
    .map(({ timeline }) => `Timeline ${timeline.id} has an offset ${offset}, too; it is meant when it is named.`);
  return ok(yield* found({ timeline: chosen, offset, base }, { view, notes }));
}

// A backup may be from a place that the archived stream has not reached yet.
function reachOf(view: TimelineView): number {
  return view.stretches.at(-1)?.to ?? view.end;
}

function outside(timelines: readonly TimelineView[], offset: number): string {
  const newest = timelines.at(-1);
  if (newest === undefined) return 'No stream has been archived.';
  return offset > newest.end
    ? `The archive of timeline ${newest.timeline.id} ends at offset ${newest.end}.`
    : `The archive of timeline ${newest.timeline.id} begins at offset ${newest.timeline.start.offset}.`;
}

// Null when the stream may be cut at the offset itself.
function* cutsAround(
  view: TimelineView,
  offset: number,
): ArchiveQuest<{ readonly before: number; readonly after: number } | null> {
  const segment = segmentBefore(view.segments, offset);
  const isBase = stretchAt(view, offset)?.bases.some((base) => base.offset === offset) === true;
  if (segment === undefined || segment.to === offset || isBase) return null;
  const times = yield* readTimes(segment);
  if (times.some(([position]) => position === offset)) return null;
  const around = yield* readCuts(segment, offset);
  return around.before === offset ? null : around;
}

function* locateBefore(
  view: ArchiveView,
  { command, at }: { readonly command: string; readonly at: string | undefined },
  nowMs: number,
): ArchiveQuest<Result<LocatedPoint>> {
  const moment = at === undefined ? ok(null) : parseMoment(at, nowMs);
  if (!moment.ok) return moment;
  const atMs = moment.value;
  for (const timeline of view.timelines.toReversed()) {
    if (atMs !== null && startedAtMs(timeline) > atMs) continue;
    // Nothing crosses an instant in the gap after a timeline: then all of it is before.
    const until = atMs === null ? undefined : (yield* crossings(timeline, atMs))[0];
    const offset = yield* lastOccurrence(timeline, { command, until: until ?? Number.POSITIVE_INFINITY });
    if (offset === null) continue;
    const base = baseFor(timeline, offset);
    if (base !== undefined) return ok(yield* found({ timeline, offset, base }, { view, notes: [] }));
    const reasons = [`The last ${command} begins there.`, whyNoBase(timeline, offset)];
    return refuseOffset(view, offset, { timeline: timeline.timeline.id, reasons });
  }
  return refuse(
    'not_restorable',
    `No ${command} is in the archive of ${view.group}${at === undefined ? '' : ` before ${at}`}.`,
    {
      why: [
        `Commands in the archive: ${commandNames(view)}.`,
        'Redis replicates effects: EXPIRE arrives as PEXPIREAT, SPOP as SREM, a script as the commands that it ran.',
        ...restorableRanges(view)
          .slice(-1)
          .map((range) => `The newest moment is ${momentText(range, 'to')}.`),
      ],
      next: 'GET /v1/backups/events lists what a person may want to undo; a time or an offset can be named instead.',
    },
  );
}

function* lastOccurrence(
  { segments }: TimelineView,
  { command, until }: { readonly command: string; readonly until: number },
): ArchiveQuest<number | null> {
  const [name = command] = command.split('|');
  for (const segment of segments.toReversed()) {
    // Rare names may be counted together under '*'.
    const mayHold = Object.hasOwn(segment.commandCounts, name) || Object.hasOwn(segment.commandCounts, '*');
    if (!mayHold || segment.from >= until) continue;
    const before = yield* readOccurrence(segment, { command, until });
    if (before !== null) return before;
  }
  return null;
}

function commandNames(view: ArchiveView): string {
  const names = new Set(
    view.timelines.flatMap(({ segments }) => segments.flatMap((one) => Object.keys(one.commandCounts))),
  );
  names.delete('*');
  const shown = [...names].toSorted().slice(0, 30);
  return shown.length === 0 ? 'none' : `${shown.join(', ')}${names.size > shown.length ? ', ...' : ''}`;
}

function* found(
  { timeline, offset, base }: { readonly timeline: TimelineView; readonly offset: number; readonly base: PlacedBase },
  { view, notes }: { readonly view: ArchiveView; readonly notes: readonly string[] },
): ArchiveQuest<LocatedPoint> {
  const atMs = yield* arrivalOf(timeline, { offset, base });
  const point: RestorePoint = {
    group: view.group,
    timeline: timeline.timeline.id,
    offset,
    replicationId: replicationIdAt(timeline, offset),
    at: isoOf(atMs),
    base: base.label,
    streamBytes: offset - base.offset,
  };
  return { point, notes: base.isVerified ? notes : [...notes, `The backup ${base.label} has not been verified yet.`] };
}

function* arrivalOf(
  timeline: TimelineView,
  { offset, base }: { readonly offset: number; readonly base: PlacedBase },
): ArchiveQuest<number> {
  const segment = segmentBefore(timeline.segments, offset);
  if (segment === undefined || base.offset === offset)
    return base.offset === offset ? base.atMs : timeline.timeline.startedAtMs;
  if (offset === segment.to) return segment.endedAtMs;
  const times = yield* readTimes(segment);
  return times.find(([position]) => position >= offset)?.[1] ?? segment.endedAtMs;
}
