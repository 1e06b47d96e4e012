// Where does the archive end, as the repository alone says? Asked when a worker begins: what an earlier process left half-written does
// not count, and what it had in memory only is asked for again.
import { createCommandScanner } from '@switchyard/replication-link';
import { RefusalError, type Timeline } from '@switchyard/protocol';
import type { ArchivePlace } from '@switchyard/backup';
import type { SegmentStore, SegmentSummary } from '../repository/segment-store.ts';
import { textOf } from '../system-error.ts';
import type { ArchiveHead } from './archive.ts';

/** The end, and what is needed to go on there. */
export interface ArchiveEnd {
  readonly place: ArchivePlace;
  readonly atMs: number;
  /** Null when it cannot be gone on there, and why. */
  readonly resume: { readonly database: number; readonly chain: string } | null;
  readonly problem: string | null;
}

type Readable = Pick<SegmentStore, 'timelines' | 'segments' | 'read'>;

/** The newest timeline with its last segment; null when there is no timeline. */
export async function newestOf(
  segments: Pick<SegmentStore, 'timelines' | 'segments'>,
  group: string,
  signal: AbortSignal,
): Promise<{ readonly timeline: Timeline; readonly last: SegmentSummary | null } | null> {
  const { timelines } = await segments.timelines(group, signal);
  const timeline = timelines.at(-1);
  if (timeline === undefined) return null;
  const found = await segments.segments(group, timeline.id, signal);
  return { timeline, last: found.segments.at(-1) ?? null };
}

/** The head that a timeline and its last segment say. */
export function headOf(timeline: Timeline, last: SegmentSummary | null): ArchiveHead {
  return {
    timeline: timeline.id,
    offset: last?.to ?? timeline.start.offset,
    replicationId: last?.histories.at(-1)?.replicationId ?? timeline.start.replicationId,
    atMs: last?.endedAtMs ?? timeline.startedAtMs,
  };
}

/** The end of the archive of `group`; null when there is no timeline yet. */
export async function findEnd(segments: Readable, group: string, signal: AbortSignal): Promise<ArchiveEnd | null> {
  const newest = await newestOf(segments, group, signal);
  if (newest === null) return null;
  const { timeline, last } = newest;
  const { offset, replicationId, atMs } = headOf(timeline, last);
  const end = { place: { timeline: timeline.id, replicationId, offset }, atMs };
  if (last === null) {
    return { ...end, resume: null, problem: `nothing was archived after the data set of ${timeline.id}` };
  }
  try {
    // Which database is selected at its end only its commands say.
    const scanner = createCommandScanner({ position: last.from, database: last.database }, () => undefined);
    for await (const chunk of segments.read(last, signal)) scanner.push(chunk);
    if (scanner.boundary() !== last.to) throw new Error(`its commands end at ${scanner.boundary()}`);
    return { ...end, resume: { database: scanner.boundaryDatabase(), chain: last.chain.after }, problem: null };
  } catch (error) {
    signal.throwIfAborted();
    const isDamage = error instanceof RefusalError || !('kind' in Object(error));
    if (!isDamage) throw error;
    return {
      ...end,
      resume: null,
      problem: `its last segment ${last.from}-${last.to} cannot be used: ${textOf(error)}`,
    };
  }
}
