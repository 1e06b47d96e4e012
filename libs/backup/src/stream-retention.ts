// Which pieces of the archived stream may go? Those that lie before the backup from which the oldest moment of the window is restored.
// Where no kept backup leads into a stream, it goes when all of it is older than the window.

/** A timeline as retention sees it. */
export interface RetainedStream {
  readonly timeline: string;
  /** In order. */
  readonly segments: readonly RetainedSegment[];
  /** Backups that retention keeps and that lie on it, those known to be corrupt left out. */
  readonly bases: readonly { readonly offset: number; readonly atMs: number; readonly verified: boolean }[];
}

/** A piece of a stream. */
export interface RetainedSegment {
  readonly from: number;
  readonly to: number;
  /** When its last byte arrived, unix ms. */
  readonly endedAtMs: number;
}

/** What happens to one timeline. */
export interface StreamVerdict {
  readonly timeline: string;
  readonly keep: readonly RetainedSegment[];
  readonly remove: readonly RetainedSegment[];
  /** Nothing of it is left, no backup lies on it, and it is not the newest one. */
  readonly removeTimeline: boolean;
  readonly reason: string;
}

/**
 * Sorts the segments of a group's timelines (oldest timeline first) into kept and removed ones. Every moment of the last `windowMs` that
 * can be restored before can be restored afterwards. A clock that is ahead does not delete: time counts from the newest segment then.
 */
export function planStreamRetention(
  streams: readonly RetainedStream[],
  { windowMs, nowMs }: { readonly windowMs: number; readonly nowMs: number },
): StreamVerdict[] {
  const newestMs = Math.max(-Infinity, ...streams.map(({ segments }) => segments.at(-1)?.endedAtMs ?? -Infinity));
  const windowFromMs = Math.min(nowMs, newestMs) - windowMs;
  return streams.map((stream, index) => verdictOf(stream, { windowFromMs, isNewest: index === streams.length - 1 }));
}

function verdictOf(
  { timeline, segments, bases }: RetainedStream,
  { windowFromMs, isNewest }: { readonly windowFromMs: number; readonly isNewest: boolean },
): StreamVerdict {
  const all = (reason: string): StreamVerdict => ({
    timeline,
    keep: segments,
    remove: [],
    removeTimeline: false,
    reason,
  });
  const isOver = segments.every(({ endedAtMs }) => endedAtMs < windowFromMs);
  if (isOver && !isNewest)
    return {
      timeline,
      keep: [],
      remove: segments,
      removeTimeline: bases.length === 0,
      reason: 'all of it is older than the window',
    };
  if (bases.length === 0) return all('no backup leads into it yet');
  const oldestFirst = bases.toSorted((a, b) => a.offset - b.offset);
  // A backup that was never proven is not trusted alone with the oldest moment.
  const anchor = oldestFirst.findLast(({ atMs, verified }) => verified && atMs <= windowFromMs) ?? oldestFirst.at(0);
  const offset = anchor?.offset ?? -Infinity;
  const remove = segments.filter(({ to }) => to <= offset);
  if (remove.length === 0) return all('within the window');
  return {
    timeline,
    keep: segments.filter(({ to }) => to > offset),
    remove,
    removeTimeline: false,
    reason: `before the backup at ${offset}, from which the oldest moment of the window is restored`,
  };
}
