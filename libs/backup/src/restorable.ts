// Which stretches can be restored, with which backup does a moment begin, and which moments are nearest to one that is impossible?
import { refuse, type Refusal, type RestorePoint } from '@switchyard/protocol';
import { stretchAt, type ArchiveView, type PlacedBase, type Stretch, type TimelineView } from './archive-view.ts';

/** Every position from `from` to `to` where the stream may be cut can be restored. Without a timeline: one backup, one moment. */
export interface RestorableRange {
  readonly timeline: string | null;
  readonly from: number;
  readonly to: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** The backup that the first moment is made of. */
  readonly base: string;
}

/** A moment that was found. */
export interface LocatedPoint {
  readonly point: RestorePoint;
  /** What a person should know about the choice, one fact a line; usually nothing. */
  readonly notes: readonly string[];
}

/** The restorable stretches of a timeline, by position. */
export function rangesOf(view: TimelineView): readonly RestorableRange[] {
  return view.stretches.flatMap((stretch): RestorableRange[] => {
    const base = stretch.bases[0];
    if (base === undefined) return [];
    const toMs = stretch.segments.at(-1)?.endedAtMs ?? base.atMs;
    const timeline = view.timeline.id;
    const { from, fromMs } = { from: base.offset, fromMs: base.atMs };
    return [{ timeline, from, to: stretch.to, fromMs, toMs: Math.max(fromMs, toMs), base: base.label }];
  });
}

/** All restorable stretches of a group, by time. */
export function restorableRanges(view: ArchiveView): readonly RestorableRange[] {
  const loose = view.loose.map(({ label, offset, atMs }): RestorableRange => {
    return { timeline: null, from: offset, to: offset, fromMs: atMs, toMs: atMs, base: label };
  });
  return [...view.timelines.flatMap(rangesOf), ...loose].toSorted((a, b) => a.fromMs - b.fromMs || a.from - b.from);
}

/**
 * The backup that a position begins with: the newest verified one at or before it that the stream leads from without a hole, else the
 * newest that nobody has verified yet. Corrupt ones never.
 */
export function baseFor(view: TimelineView, offset: number): PlacedBase | undefined {
  const stretch = stretchAt(view, offset);
  return (
    stretch?.bases.findLast((base) => base.offset <= offset && base.isVerified) ??
    stretch?.bases.findLast((base) => base.offset <= offset)
  );
}

/** Why no backup leads to a position of a timeline, for people. */
export function whyNoBase(view: TimelineView, offset: number): string {
  const stretch: Stretch | undefined = stretchAt(view, offset);
  const name = `timeline ${view.timeline.id}`;
  if (stretch === undefined) {
    const before = view.stretches.findLast(({ to }) => to < offset);
    const after = view.stretches.find(({ from }) => from > offset);
    return `The stream of ${name} is missing from offset ${before?.to ?? view.timeline.start.offset} to ${after?.from ?? 'its end'}.`;
  }
  const first = stretch.bases[0];
  const corrupt = view.corrupt.filter((base) => stretch.from <= base.offset && base.offset <= offset);
  if (corrupt.length > 0) return `The backups before offset ${offset} are corrupt: ${namesOf(corrupt)}.`;
  if (first !== undefined) return `The first backup of ${name} there, ${first.label}, is from offset ${first.offset}.`;
  if (stretch.from > view.timeline.start.offset)
    return `The stream of ${name} has a hole before offset ${stretch.from}, and no backup after it.`;
  return `No backup on ${name} is as old as that.`;
}

/** The refusal of a moment by time, with the nearest moments on both sides. */
export function refuseTime(
  view: ArchiveView,
  atMs: number,
  reasons: readonly string[],
): { readonly ok: false; readonly error: Refusal } {
  const ranges = restorableRanges(view);
  const before = ranges.filter((one) => one.toMs <= atMs).reduce(later, undefined);
  const after = ranges.filter((one) => one.fromMs > atMs).reduce(earlier, undefined);
  const around = ranges.find((one) => one.fromMs <= atMs && atMs < one.toMs);
  const why = [...reasons];
  if (around !== undefined) why.push(`Restorable around it: ${stretchText(around)}.`);
  if (before !== undefined) why.push(`Nearest before: ${momentText(before, 'to')}.`);
  if (after !== undefined) why.push(`Nearest after: ${momentText(after, 'from')}.`);
  return refuseMoment(isoOf(atMs), why, ranges.length);
}

/** The refusal of a position, with the nearest ones on both sides; on one timeline when it is known which. */
export function refuseOffset(
  view: ArchiveView,
  offset: number,
  { timeline, reasons }: { readonly timeline?: string | undefined; readonly reasons: readonly string[] },
): { readonly ok: false; readonly error: Refusal } {
  const all = restorableRanges(view);
  const own = all.filter((one) => one.timeline === timeline);
  const ranges = timeline === undefined || own.length === 0 ? all : own;
  const before = ranges.filter((one) => one.to <= offset).toSorted((a, b) => b.to - a.to)[0];
  const after = ranges.filter((one) => one.from > offset).toSorted((a, b) => a.from - b.from)[0];
  const why = [...reasons];
  if (before !== undefined) why.push(`Nearest before: ${momentText(before, 'to')}.`);
  if (after !== undefined) why.push(`Nearest after: ${momentText(after, 'from')}.`);
  return refuseMoment(`Offset ${offset}`, why, ranges.length);
}

/** One end of a restorable stretch, for people: time and offset. */
export function momentText(range: RestorableRange, end: 'from' | 'to'): string {
  const [atMs, offset] = end === 'from' ? [range.fromMs, range.from] : [range.toMs, range.to];
  const place = range.timeline === null ? `backup ${range.base}` : `timeline ${range.timeline}`;
  return `${isoOf(atMs)}, offset ${offset} (${place})`;
}

/** ISO 8601 of unix milliseconds. */
export function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}

function stretchText(range: RestorableRange): string {
  return `${isoOf(range.fromMs)} to ${isoOf(range.toMs)}, offsets ${range.from} to ${range.to}`;
}

function refuseMoment(
  what: string,
  why: readonly string[],
  ranges: number,
): { readonly ok: false; readonly error: Refusal } {
  if (ranges === 0)
    return refuse('not_restorable', `${what} cannot be restored: nothing can be restored yet.`, {
      why,
      next: 'Take a backup with POST /v1/backups.',
    });
  return refuse('not_restorable', `${what} cannot be restored.`, { why });
}

function later(best: RestorableRange | undefined, one: RestorableRange): RestorableRange {
  return best === undefined || one.toMs >= best.toMs ? one : best;
}

function earlier(best: RestorableRange | undefined, one: RestorableRange): RestorableRange {
  return best === undefined || one.fromMs < best.fromMs ? one : best;
}

function namesOf(bases: readonly PlacedBase[]): string {
  const names = bases.slice(0, 3).map(({ label }) => label);
  return bases.length > names.length ? `${names.join(', ')} and ${bases.length - names.length} more` : names.join(', ');
}
