// What do the tests of restore points look at? A model of a group's history, byte by byte, and the archive that would come of it.
import type { RestoreTarget, Result } from '@switchyard/protocol';
import type { SeededRandom } from '@switchyard/testing';
import type { ArchiveAnswer, ArchiveRead } from './archive-reads.ts';
import { viewArchive, type ArchiveContent, type ArchiveView, type SegmentSummary } from './archive-view.ts';
import type { StoredBackup } from './backup-list.ts';
import { labelFor } from './label.ts';
import { locate } from './locate.ts';
import type { LocatedPoint } from './restorable.ts';

/** A command or a whole transaction of the model. */
export interface ModelCommand {
  readonly from: number;
  readonly to: number;
  readonly atMs: number;
  readonly name: string;
}

/** A timeline of the model. */
export interface ModelTimeline {
  readonly id: string;
  readonly start: number;
  readonly startedAtMs: number;
  readonly commands: readonly ModelCommand[];
  readonly segments: readonly (SegmentSummary & { readonly times: [number, number][] })[];
}

/** An id of a timeline that begins at an instant. */
export function timelineId(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]/g, '');
}

/** A replication id made of one letter. */
export const replid = (letter: string): string => letter.repeat(40);

/** A backup at a place of a history. */
export function baseAt(
  offset: number,
  facts: {
    readonly atMs: number;
    readonly id?: string;
    readonly ok?: boolean | null;
    readonly timeline?: string;
  },
): StoredBackup {
  const { atMs, id = replid('a'), ok = true, timeline } = facts;
  return {
    manifest: {
      formatVersion: 1,
      kind: 'full',
      label: labelFor(atMs, () => false),
      group: 'main',
      startedAtMs: atMs,
      finishedAtMs: atMs + 1,
      source: { host: '10.0.0.2', port: 6379, role: 'replica', replicationId: id, offset },
      server: { kind: 'redis', version: '7.0.15' },
      files: [{ path: 'data.rdb.zst', bytes: 2, rawBytes: 10, sha256: '0'.repeat(64), compression: 'zstd' }],
      keys: { total: 3, perDatabase: { '0': 3 } },
      digest: 'b'.repeat(40),
      writer: 'switchyard test',
      ...(timeline === undefined ? {} : { timeline }),
    },
    verification:
      ok === null ? null : { atMs, ok, tookMs: 1, keys: 3, digest: null, problem: ok ? null : 'it is cut off' },
  };
}

/** Cuts commands into segments of so many each; the ids of the history by position, the first one from the start. */
export function modelTimeline(
  commands: readonly ModelCommand[],
  facts: {
    readonly start: number;
    readonly startedAtMs: number;
    readonly perSegment: (index: number) => number;
    readonly histories?: readonly { readonly from: number; readonly replicationId: string }[];
  },
): ModelTimeline {
  const { start, startedAtMs, perSegment, histories = [{ from: start, replicationId: replid('a') }] } = facts;
  const id = timelineId(startedAtMs);
  const segments: (SegmentSummary & { times: [number, number][] })[] = [];
  for (let index = 0; index < commands.length;) {
    const piece = commands.slice(index, index + perSegment(segments.length));
    const [first, last] = [piece[0], piece.at(-1)];
    if (first === undefined || last === undefined) break;
    const counts: Record<string, number> = {};
    for (const { name } of piece) counts[name] = (counts[name] ?? 0) + 1;
    const times: [number, number][] = [];
    // Only where the arrival changes, as the archiver does it.
    piece.forEach((command, at) => {
      if (piece[at + 1]?.atMs !== command.atMs) times.push([command.to, command.atMs]);
    });
    const known = histories.findLast(({ from }) => from <= first.from);
    const later = histories.filter(({ from }) => from > first.from && from < last.to);
    segments.push({
      timeline: id,
      from: first.from,
      to: last.to,
      startedAtMs: first.atMs,
      endedAtMs: last.atMs,
      histories: [{ from: first.from, replicationId: known?.replicationId ?? replid('a') }, ...later],
      commandCounts: counts,
      events: [],
      moreEvents: 0,
      times,
    });
    index += piece.length;
  }
  return { id, start, startedAtMs, commands, segments };
}

/** What the repository would hold of the timelines. */
export function contentOf(
  timelines: readonly ModelTimeline[],
  more: Partial<ArchiveContent> & {
    readonly reason?: ArchiveContent['timelines'][number]['timeline']['reason'];
    readonly replicationIds?: readonly string[];
  } = {},
): ArchiveContent {
  const { reason = 'gap', replicationIds = [], ...rest } = more;
  return {
    group: 'main',
    backups: [],
    points: [],
    followed: null,
    timelines: timelines.map((one, index) => {
      const before = timelines[index - 1];
      return {
        timeline: {
          formatVersion: 1,
          id: one.id,
          group: 'main',
          startedAtMs: one.startedAtMs,
          start: { replicationId: replicationIds[index] ?? replid('a'), offset: one.start },
          server: { kind: 'redis', version: '7.0.15' },
          reason: before === undefined ? 'first' : reason,
          detail: 'the source could not continue',
          previous:
            before === undefined ? null : { timeline: before.id, offset: before.segments.at(-1)?.to ?? before.start },
        },
        segments: one.segments,
      };
    }),
    ...rest,
  };
}

/** Answers what the search asks, from the model. */
export function answerFrom(timelines: readonly ModelTimeline[], read: ArchiveRead): ArchiveAnswer {
  const timeline = timelines.find(({ id }) => id === read.segment.timeline);
  const segment = timeline?.segments.find(({ from }) => from === read.segment.from);
  if (timeline === undefined || segment === undefined) throw new Error('no such segment');
  const commands = timeline.commands.filter(({ from, to }) => from >= segment.from && to <= segment.to);
  if (read.kind === 'times') return { kind: 'times', times: segment.times };
  if (read.kind === 'cuts') {
    const around = commands.find(({ from, to }) => from <= read.offset && read.offset < to);
    if (around === undefined) throw new Error('the offset is not in the segment');
    return { kind: 'cuts', before: around.from, after: around.to };
  }
  const last = commands.findLast(({ name, from }) => name === read.command && from < read.until);
  return { kind: 'occurrence', before: last?.from ?? null };
}

/** Finds a moment in the model; `reads` counts what had to be read. */
export function locateIn(
  timelines: readonly ModelTimeline[],
  content: ArchiveContent,
  { to, nowMs }: { readonly to: RestoreTarget; readonly nowMs: number },
): { readonly found: Result<LocatedPoint>; readonly reads: number; readonly view: ArchiveView } {
  const view = viewArchive(content);
  const quest = locate(view, to, nowMs);
  let step = quest.next();
  let reads = 0;
  while (step.done !== true) {
    reads += 1;
    step = quest.next(answerFrom(timelines, step.value));
  }
  return { found: step.value, reads, view };
}

/** Commands from `start` on, with silences; sometimes several in the same millisecond. */
export function randomCommands(
  random: SeededRandom,
  facts: { readonly start: number; readonly atMs: number; readonly count: number },
): ModelCommand[] {
  let { start: from, atMs } = facts;
  return Array.from({ length: facts.count }, () => {
    atMs += random.pick([0, 0, 1, 3, 10, 700]);
    const bytes = random.integer(14, 60);
    const command = { from, to: from + bytes, atMs, name: random.pick(['SET', 'SET', 'INCR', 'DEL', 'FLUSHALL']) };
    from += bytes;
    return command;
  });
}
