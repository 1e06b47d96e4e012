// How is the archive read while it is being written? From the repository; what the archiver adds is how far it is, and that it can be
// told to hurry.
import { ok, refuse, RefusalError, type RestorePoint, type RestoreTarget, type Result } from '@switchyard/protocol';
import type { Clock } from '@switchyard/runtime';
import type { SegmentStore, SegmentSummary } from '../repository/segment-store.ts';
import type { Archive, ArchivedTimeline, ArchiveHead, StreamRange } from './archive.ts';
import type { ArchiveStatus } from './archive-status.ts';
import type { Archiver } from './archiver.ts';
import type { Ownership } from './ownership.ts';

/** What the archive is made of. */
export interface LiveArchiveOptions {
  readonly group: string;
  readonly archiver: Archiver;
  readonly ownership: Pick<Ownership, 'isOwner' | 'owner'>;
  readonly segments: SegmentStore;
  readonly locate: (to: RestoreTarget, signal: AbortSignal) => Promise<Result<RestorePoint>>;
  readonly clock: Clock;
}

/** The archive of one group, as `archive.ts` says. `noteHead` tells its listeners of a new head. */
export interface LiveArchive extends Archive {
  noteHead(head: ArchiveHead): void;
}

/** The archive that `archiver` writes, or another worker. */
export function createLiveArchive(options: LiveArchiveOptions): LiveArchive {
  const { group, archiver, ownership, segments, clock } = options;
  const listeners = new Set<(head: ArchiveHead) => void>();

  const segmentsOf = async (timeline: string, signal: AbortSignal): Promise<readonly SegmentSummary[]> =>
    (await segments.segments(group, timeline, signal)).segments;

  const flush = async (untilOffset: number | undefined, signal: AbortSignal): Promise<Result<ArchiveHead>> => {
    const feed = archiver.feed();
    if (feed === null || archiver.state().waitsFor !== 'stream') return notFollowing(group, status());
    const { timeline } = feed;
    const target = untilOffset ?? feed.boundary().offset;
    try {
      feed.seal();
      feed.want(target);
      for (;;) {
        const head = archiver.head();
        if (archiver.feed() !== feed) return newTimeline(timeline);
        if (head?.timeline === timeline && head.offset >= target) return ok(head);
        if (archiver.state().waitsFor === 'ownership') return notFollowing(group, status());
        await archiver.changes.next(signal);
      }
    } finally {
      feed.want(null);
    }
  };

  const status = (): ArchiveStatus => {
    const { waitsFor, source, isPrimary, why, place } = archiver.state();
    const trouble = archiver.writer.trouble();
    const head = archiver.head();
    const behind = archiver.behindBytes();
    const received = archiver.feed()?.boundary().offset ?? place?.offset ?? null;
    const archivedTo = head?.offset ?? place?.offset ?? null;
    const lagBytes =
      behind === null || received === null || archivedTo === null ? null : behind + Math.max(0, received - archivedTo);
    const common = { source, isPrimary, head, rpoMs: rpoMs(), lagBytes };
    if (waitsFor === 'ownership') {
      const by = ownership.isOwner() ? null : ownership.owner();
      const detail = by === null ? 'it begins' : `${by.instance} on ${by.host} archives ${group}`;
      return { ...common, state: by === null ? 'searching' : 'standby', detail };
    }
    if (trouble !== null) {
      const detail = `the repository cannot be written to since ${new Date(trouble.sinceMs).toISOString()}: ${trouble.detail}`;
      return { ...common, state: 'blocked', detail };
    }
    const doing = { source: 'searching', answer: 'connecting', 'data-set': 'copying', stream: 'following' } as const;
    const alone = isPrimary ? 'there is no replica to follow' : '';
    const detail =
      why.length > 0 ? why.join('; ') : `${alone}${head === null ? '' : ` at ${head.offset} of ${head.timeline}`}`;
    return { ...common, state: doing[waitsFor], detail };
  };

  const rpoMs = (): number | null => {
    const head = archiver.head();
    const inStep = archiver.inStepAtMs();
    if (head === null && inStep === null) return null;
    const nowMs = clock.unixMs();
    const waiting = [archiver.writer.oldestAtMs(), archiver.feed()?.oldestAtMs() ?? null].filter((ms) => ms !== null);
    const isBehind = archiver.state().waitsFor !== 'stream' || (archiver.behindBytes() ?? 0) > 0;
    if (isBehind) waiting.push(Math.max(inStep ?? 0, head?.atMs ?? 0));
    return waiting.length === 0 ? 0 : Math.max(0, nowMs - Math.min(...waiting));
  };

  return {
    group,
    timelines: async (signal) => {
      const found = await segments.timelines(group, signal);
      const archived: ArchivedTimeline[] = [];
      for (const timeline of found.timelines) {
        const list = await segmentsOf(timeline.id, signal);
        const last = list.at(-1);
        archived.push({
          timeline,
          ranges: joined(list),
          replicationId: last?.histories.at(-1)?.replicationId ?? timeline.start.replicationId,
          endedAtMs: last?.endedAtMs ?? timeline.startedAtMs,
          segments: list.length,
          bytes: list.reduce((sum, { bytes }) => sum + bytes, 0),
        });
      }
      return archived;
    },
    segments: segmentsOf,
    head: () => archiver.head(),
    isFollowing: () => archiver.state().waitsFor === 'stream',
    status,
    followedUntil: () => {
      const head = archiver.head();
      if (head === null || archiver.state().waitsFor !== 'stream') return null;
      const age = rpoMs() ?? 0;
      return { timeline: head.timeline, offset: head.offset, untilMs: clock.unixMs() - age };
    },
    flush: ({ untilOffset, signal }) => flush(untilOffset, signal),
    onHead: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    noteHead: (head) => {
      for (const listener of listeners) listener(head);
    },
    locate: options.locate,
    stream: (range, signal) => streamOf({ segments, group }, range, signal),
    beginNewTimeline: (detail) => archiver.beginAnew('rollback', detail),
  };
}

/** The raw bytes of a range of a timeline. Listed again when a segment was merged away meanwhile. */
async function* streamOf(
  { segments, group }: { readonly segments: SegmentStore; readonly group: string },
  { timeline, from, to }: StreamRange,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let at = from;
  let isFresh = true;
  while (at < to) {
    const list = (await segments.segments(group, timeline, signal)).segments;
    const before = at;
    for (const segment of list) {
      if (segment.to <= at || at >= to) continue;
      if (segment.from > at) throw missing(timeline, at, segment.from);
      try {
        let position = segment.from;
        for await (const chunk of segments.read(segment, signal)) {
          const piece = chunk.subarray(Math.max(0, at - position), Math.max(0, to - position));
          position += chunk.length;
          if (piece.length === 0) continue;
          at += piece.length;
          yield piece;
        }
        isFresh = true;
      } catch (error) {
        const isGone = error instanceof RefusalError && error.refusal.code === 'not_found';
        if (!isGone || !isFresh) throw error;
        isFresh = false;
        break;
      }
    }
    if (at === before && at < to && isFresh) throw missing(timeline, at, to);
  }
}

function missing(timeline: string, from: number, to: number): RefusalError {
  return new RefusalError({
    code: 'backup_corrupt',
    detail: `The stream of ${timeline} has no bytes from ${from} to ${to}.`,
    next: 'GET /v1/backups/window shows what can be restored.',
  });
}

function joined(list: readonly SegmentSummary[]): { readonly from: number; readonly to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  for (const { from, to } of list) {
    const last = ranges.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else ranges.push({ from, to });
  }
  return ranges;
}

function notFollowing(group: string, { state, detail }: ArchiveStatus): Result<never> {
  return refuse('not_ready', `This worker does not follow ${group} just now: ${state}.`, { why: [detail] });
}

function newTimeline(timeline: string): Result<never> {
  return refuse('conflict', `The timeline ${timeline} could not be gone on with; another one began.`);
}
