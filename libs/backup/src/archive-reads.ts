// What has to be read from the archive before a moment is found? Asked for one at a time by the generators of locate.ts: they decide,
// somebody else reads.
import type { SegmentHeader } from '@switchyard/protocol';
import type { SegmentSummary } from './archive-view.ts';

/** A question about one segment. */
export type ArchiveRead =
  /** Its `times`. */
  | { readonly kind: 'times'; readonly segment: SegmentSummary }
  /** The nearest places at or before, and after `offset`, where the stream may be cut. */
  | { readonly kind: 'cuts'; readonly segment: SegmentSummary; readonly offset: number }
  /** The last occurrence of a command that begins before `until`; where it, or the transaction around it, begins. */
  | { readonly kind: 'occurrence'; readonly segment: SegmentSummary; readonly command: string; readonly until: number };

/** The answer, of the same kind. */
export type ArchiveAnswer =
  | { readonly kind: 'times'; readonly times: SegmentHeader['times'] }
  | { readonly kind: 'cuts'; readonly before: number; readonly after: number }
  | { readonly kind: 'occurrence'; readonly before: number | null };

/** Work that asks such questions and ends with a value. */
export type ArchiveQuest<T> = Generator<ArchiveRead, T, ArchiveAnswer>;

/** Arrival times within a segment, its ends included, by position. */
export function* readTimes(segment: SegmentSummary): ArchiveQuest<readonly (readonly [number, number])[]> {
  const answer = yield { kind: 'times', segment };
  if (answer.kind !== 'times') throw new Error('the answer is of another kind than the question');
  const inside = answer.times.filter(([position]) => position > segment.from && position < segment.to);
  return [[segment.from, segment.startedAtMs], ...inside, [segment.to, segment.endedAtMs]];
}

/** Where the stream may be cut around `offset`. */
export function* readCuts(
  segment: SegmentSummary,
  offset: number,
): ArchiveQuest<{ readonly before: number; readonly after: number }> {
  const answer = yield { kind: 'cuts', segment, offset };
  if (answer.kind !== 'cuts') throw new Error('the answer is of another kind than the question');
  return answer;
}

/** Where the last occurrence of a command before `until` begins; null when there is none. */
export function* readOccurrence(
  segment: SegmentSummary,
  { command, until }: { readonly command: string; readonly until: number },
): ArchiveQuest<number | null> {
  const answer = yield { kind: 'occurrence', segment, command, until };
  if (answer.kind !== 'occurrence') throw new Error('the answer is of another kind than the question');
  return answer.before;
}
