// How is a moment found in the archive? What libs/backup asks for is read from the repository: heads first, then the times or the stream
// of the one or two segments in which the answer lies.
import {
  layout,
  locate,
  viewArchive,
  type ArchiveAnswer,
  type ArchiveRead,
  type ArchiveView,
  type FollowedUntil,
  type LocatedPoint,
} from '@switchyard/backup';
import {
  decodeJson,
  RefusalError,
  safetyPointSchema,
  type RestoreTarget,
  type Result,
  type SafetyPoint,
  type SegmentHeader,
} from '@switchyard/protocol';
import { createCommandScanner } from '@switchyard/replication-link';
import type { Clock } from '@switchyard/runtime';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { ObjectStore } from '../repository/object-store.ts';
import type { SegmentStore } from '../repository/segment-store.ts';
import type { Archive } from './archive.ts';

/** Finds moments. Methods reject with an ObjectStoreError, a RefusalError (a segment that is damaged), or the signal's reason. */
export interface Locator {
  /** All that can be known of a group's restorable moments now. */
  view(group: string, signal: AbortSignal): Promise<ArchiveView>;
  /**
   * The moment that `to` means. What has arrived by then is archived first. Refuses with the nearest valid moments when there is none.
   */
  locate(group: string, to: RestoreTarget, signal: AbortSignal): Promise<Result<LocatedPoint>>;
}

/** What a locator works with. */
export interface LocatorOptions {
  readonly store: Pick<ObjectStore, 'list' | 'read'>;
  readonly segments: Pick<SegmentStore, 'timelines' | 'segments' | 'header' | 'read'>;
  readonly backups: Pick<BackupRepository, 'list'>;
  /**
   * How far the group has been followed; with `flush`, what has arrived is archived first. Null when this worker does not know.
   */
  readonly followed: (
    group: string,
    options: { readonly flush: boolean; readonly signal: AbortSignal },
  ) => Promise<FollowedUntil | null>;
  readonly clock: Pick<Clock, 'unixMs'>;
}

const longestPointBytes = 64 * 1024;
const mostPoints = 1_000;

/** A locator over one repository. */
export function createLocator(options: LocatorOptions): Locator {
  const { store, segments, backups, clock } = options;

  const pointsOf = async (group: string, signal: AbortSignal): Promise<SafetyPoint[]> => {
    const points: SafetyPoint[] = [];
    for await (const { name } of store.list(layout.points(group), signal)) {
      if (points.length === mostPoints) break;
      const text = (await store.read(name, longestPointBytes, signal)).toString('utf8');
      const decoded = decodeJson(safetyPointSchema, text, name);
      // One that cannot be read names no moment; its label is then unknown.
      if (decoded.ok) points.push(decoded.value);
    }
    return points;
  };

  const viewAt = async (
    group: string,
    { followed, signal }: { readonly followed: FollowedUntil | null; readonly signal: AbortSignal },
  ): Promise<ArchiveView> => {
    const { timelines } = await segments.timelines(group, signal);
    const [listing, points, ...contents] = await Promise.all([
      backups.list(group),
      pointsOf(group, signal),
      ...timelines.map(async (timeline) => ({
        timeline,
        segments: (await segments.segments(group, timeline.id, signal)).segments,
      })),
    ]);
    return viewArchive({ group, timelines: contents, backups: listing.backups, points, followed });
  };

  const answer = async (group: string, read: ArchiveRead, signal: AbortSignal): Promise<ArchiveAnswer> => {
    const { timeline, from, to } = read.segment;
    if (read.kind === 'times') {
      const header = await segments.header(group, timeline, { from, to }, signal);
      if (!header.ok) throw new RefusalError(header.error);
      return { kind: 'times', times: header.value.times };
    }
    const stream = segments.read({ group, timeline, from, to }, signal);
    return read.kind === 'cuts'
      ? cutsAround(stream, { from, to, offset: read.offset })
      : lastOccurrence(stream, { from, command: read.command, until: read.until });
  };

  return {
    view: async (group, signal) => {
      const followed = await options.followed(group, { flush: false, signal });
      return viewAt(group, { followed, signal });
    },
    locate: async (group, to, signal) => {
      const nowMs = clock.unixMs();
      const followed = await options.followed(group, { flush: !('label' in to), signal });
      const quest = locate(await viewAt(group, { followed, signal }), to, nowMs);
      let step = quest.next();
      while (step.done !== true) {
        signal.throwIfAborted();
        step = quest.next(await answer(group, step.value, signal));
      }
      return step.value;
    },
  };
}

/** What a locator needs of the archive that a worker writes. */
export interface FollowingArchive extends Pick<Archive, 'group' | 'flush'> {
  /** Until when it is known that nothing has arrived beyond the head; null while this process does not follow the group. */
  followedUntil(): FollowedUntil | null;
}

/** How far a worker's own archive is, as a locator asks for it. Nothing is known of other groups, nor by a worker that does not follow. */
export function followedBy(archive: FollowingArchive, clock: Pick<Clock, 'unixMs'>): LocatorOptions['followed'] {
  return async (group, { flush, signal }) => {
    if (group !== archive.group) return null;
    if (!flush || archive.followedUntil() === null) return archive.followedUntil();
    const untilMs = clock.unixMs();
    // A repository that cannot be written to just now must not keep anybody from reading what is there.
    const deadline = AbortSignal.timeout(flushDeadlineMs);
    const flushed = await archive.flush({ signal: AbortSignal.any([signal, deadline]) }).catch((error: unknown) => {
      if (deadline.aborted && !signal.aborted) return undefined;
      throw error;
    });
    if (flushed?.ok !== true) return archive.followedUntil();
    const { timeline, offset } = flushed.value;
    return { timeline, offset, untilMs };
  };
}

const flushDeadlineMs = 5_000;

type Stream = AsyncIterable<Buffer>;
type Range = Pick<SegmentHeader, 'from' | 'to'>;

/** The nearest places at or before, and after `offset`, where the stream of a segment may be cut. */
async function cutsAround(stream: Stream, { from, to, offset }: Range & { offset: number }): Promise<ArchiveAnswer> {
  let [before, after] = [from, to];
  const scanner = createCommandScanner({ position: from }, () => {
    const cut = scanner.boundary();
    if (cut <= offset) before = cut;
    else if (cut < after) after = cut;
  });
  for await (const chunk of stream) {
    scanner.push(chunk);
    if (after > offset && after < to) break;
  }
  return { kind: 'cuts', before, after };
}

/** Where the last occurrence of a command (`FUNCTION|LOAD`: with that first word) begins, or the transaction around it. */
async function lastOccurrence(
  stream: Stream,
  { from, command, until }: { readonly from: number; readonly command: string; readonly until: number },
): Promise<ArchiveAnswer> {
  const [name, subcommand] = command.split('|');
  let transaction = from;
  let before: number | null = null;
  const scanner = createCommandScanner({ position: from }, (seen) => {
    if (seen.name === 'MULTI') transaction = seen.from;
    if (seen.name !== name || seen.from >= until) return;
    if (
      subcommand !== undefined &&
      (seen.words < 2 || seen.argument(1).toString('latin1').toUpperCase() !== subcommand)
    )
      return;
    before = seen.isInTransaction ? transaction : seen.from;
  });
  for await (const chunk of stream) {
    scanner.push(chunk);
    if (scanner.position() >= until) break;
  }
  return { kind: 'occurrence', before };
}
