// Up to which position had the stream arrived at an instant? Usually one answer; several when the clock was set back, none in a gap.
import type { TimelineView, SegmentSummary } from './archive-view.ts';
import { readTimes, type ArchiveQuest } from './archive-reads.ts';

/** At most so many segments are looked into for one instant; more only after a clock that was set back again and again. */
const mostReads = 4;

/**
 * Positions p, newest first, such that everything before p had arrived by `atMs` and what follows had not: the instant lies between
 * them. A silence belongs to what came before it, at the end of the timeline only as long as it is known to be one.
 */
export function* crossings(view: TimelineView, atMs: number): ArchiveQuest<readonly number[]> {
  const { segments, timeline } = view;
  const found: number[] = [];
  let reads = 0;
  for (let index = segments.length - 1; index >= 0; index -= 1) {
    const segment = segments[index];
    if (segment === undefined) continue;
    if (isQuietAfter(view, index, atMs)) found.push(segment.to);
    if (reads >= mostReads || !mayHold(segment, atMs)) continue;
    reads += 1;
    const times = yield* readTimes(segment);
    for (let at = times.length - 2; at >= 0; at -= 1) {
      const [position, ms] = times[at] ?? [0, 0];
      if (ms <= atMs && atMs < (times[at + 1]?.[1] ?? 0)) found.push(position);
    }
  }
  const first = segments[0];
  const isWhole = first === undefined || first.from <= timeline.start.offset;
  const untilMs = first === undefined ? view.quietUntilMs : first.startedAtMs - 1;
  if (isWhole && startedAtMs(view) <= atMs && atMs <= untilMs) found.push(timeline.start.offset);
  return [...new Set(found)];
}

/** When the timeline, or the data set that it begins with, is from. */
export function startedAtMs(view: TimelineView): number {
  const { timeline, stretches } = view;
  const atStart = stretches[0]?.bases.filter(({ offset }) => offset === timeline.start.offset) ?? [];
  return Math.min(timeline.startedAtMs, ...atStart.map(({ atMs }) => atMs));
}

// Whether the instant lies after this segment and before the next one.
function isQuietAfter(view: TimelineView, index: number, atMs: number): boolean {
  const segment = view.segments[index];
  if (segment === undefined || segment.endedAtMs > atMs) return false;
  const next = view.segments[index + 1];
  if (next === undefined) return atMs <= view.quietUntilMs;
  // Across a hole nobody knows what arrived after the last byte.
  return next.from > segment.to ? atMs === segment.endedAtMs : atMs < next.startedAtMs;
}

function mayHold(segment: SegmentSummary, atMs: number): boolean {
  const isJumpy = segment.endedAtMs < segment.startedAtMs || segment.events.some(({ kind }) => kind === 'clock-jump');
  return isJumpy || (segment.startedAtMs <= atMs && atMs < segment.endedAtMs);
}
