// Where does the stream of commands lie? In segments, one object each: a line of JSON (SegmentHeader), then the stored bytes. Objects
// of a timeline never change, so what was read of them is remembered. Names: libs/backup/src/layout.ts.
import { Readable } from 'node:stream';
import { coveringRanges, layout, segmentRange } from '@switchyard/backup';
import {
  decodeJson,
  ok,
  plainNameSchema,
  refuse,
  RefusalError,
  timelineIdSchema,
  timelineSchema,
  type Result,
  type SegmentHeader,
  type Timeline,
} from '@switchyard/protocol';
import { textOf } from '../system-error.ts';
import { anyCopy, copiesOf } from './any-copy.ts';
import { corrupt, damageOf, openStream, sealBuffer } from './codec.ts';
import { noKeys, type EncryptionKeys } from './encryption-keys.ts';
import { ObjectStoreError, type ObjectStore } from './object-store.ts';
import type { RepositoryProblem } from './backup-repository.ts';
import { createChainCheck, headerFault, sha256Of } from './segment-chain.ts';
import { headEnd, longestHeadBytes, readHead, writeHead } from './segment-head.ts';

/** Everything of a header but what grows with its length. */
export type SegmentSummary = Omit<SegmentHeader, 'times' | 'parts'>;

/** What the writer knows; the rest comes out of storing it. */
export type SegmentFacts = Omit<SegmentHeader, 'bytes' | 'sha256' | 'compression' | 'encryption' | 'formatVersion'>;

/** Names one segment of a timeline. */
export interface SegmentRange {
  readonly from: number;
  readonly to: number;
}

/** The stream's part of a repository. Methods reject with an ObjectStoreError, a RefusalError, or the signal's reason. */
export interface SegmentStore {
  /** Writes timeline.json. Rejects with `exists` when another timeline has that id already. */
  begin(timeline: Timeline, signal: AbortSignal): Promise<void>;
  /** Stores one segment; it is on stable storage when this resolves. Rejects with `exists` when the range is there already. */
  put(facts: SegmentFacts, raw: Buffer, signal: AbortSignal): Promise<SegmentHeader>;
  /** All groups that have a stream. */
  groups(signal: AbortSignal): Promise<readonly string[]>;
  /** Oldest first. */
  timelines(
    group: string,
    signal: AbortSignal,
  ): Promise<{ readonly timelines: readonly Timeline[]; readonly problems: readonly RepositoryProblem[] }>;
  /**
   * In order, none inside another: of a piece and the merged one that holds it, the merged one. `superseded` are whole objects that
   * nobody reads any more. A gap between two of them is left to the caller to see.
   */
  segments(
    group: string,
    timeline: string,
    signal: AbortSignal,
  ): Promise<{
    readonly segments: readonly SegmentSummary[];
    readonly superseded: readonly SegmentRange[];
    readonly problems: readonly RepositoryProblem[];
  }>;
  /** Refuses with `not_found` or `backup_corrupt`. */
  header(group: string, timeline: string, range: SegmentRange, signal: AbortSignal): Promise<Result<SegmentHeader>>;
  /**
   * The raw bytes. Short segments are checked before the first byte, long ones before the last. Rejects with a RefusalError:
   * `backup_corrupt` naming the segment, `key_missing` naming the key, `not_found`.
   */
  read(segment: Pick<SegmentHeader, 'group' | 'timeline' | 'from' | 'to'>, signal: AbortSignal): AsyncIterable<Buffer>;
  /** Looks at all heads of a timeline: what does not join, in order. At most 100. */
  checkChain(timeline: Timeline, signal: AbortSignal): Promise<readonly RepositoryProblem[]>;
  remove(group: string, timeline: string, range: SegmentRange, signal: AbortSignal): Promise<void>;
  /** Removes timeline.json last; what is left of its segments is removed before. */
  removeTimeline(group: string, timeline: string, signal: AbortSignal): Promise<void>;
}

/** What is read at first: most heads are shorter. */
const firstLookBytes = 16 * 1024;
/** Up to here a segment is fetched and checked as a whole before anything of it is given. */
const checkedAsWholeBytes = 8 * 1024 * 1024;
const longestTimelineBytes = 64 * 1024;
const readAtOnce = 16;
const mostProblems = 100;

/** The segments in `store`. `cachedHeaders` bounds how many are remembered (about 1 KB each). */
export function createSegmentStore(options: {
  readonly store: ObjectStore;
  readonly keys?: EncryptionKeys;
  readonly cachedHeaders?: number;
}): SegmentStore {
  const { store, keys = noKeys, cachedHeaders = 20_000 } = options;
  const known = new Map<string, SegmentSummary>();

  const remember = (name: string, { times: _times, parts: _parts, ...summary }: SegmentHeader): SegmentSummary => {
    known.set(name, summary);
    const [oldest] = known.keys();
    if (known.size > cachedHeaders && oldest !== undefined) known.delete(oldest);
    return summary;
  };

  /** The head of one copy, and where its bytes begin. */
  const readHeadOf = async (
    from: ObjectStore,
    place: SegmentPlace,
    signal: AbortSignal,
  ): Promise<Result<{ readonly header: SegmentHeader; readonly bodyAt: number }>> => {
    const { name } = place;
    try {
      for (let wanted = firstLookBytes; wanted <= longestHeadBytes; wanted *= 8) {
        const start = await collect(await from.get(name, { to: wanted, signal }));
        const bodyAt = headEnd(start);
        if (bodyAt !== undefined) {
          const header = readHead(start.subarray(0, bodyAt - 1), place);
          return header.ok ? ok({ header: header.value, bodyAt }) : header;
        }
        if (start.length < wanted) break;
      }
      return refuse('backup_corrupt', `${name}: its head has no end.`, { why: [`${name}: its head has no end`] });
    } catch (error) {
      if (error instanceof ObjectStoreError && error.kind === 'missing')
        return refuse('not_found', `There is no segment ${name}.`);
      throw error;
    }
  };

  const summaryOf = async (place: SegmentPlace, signal: AbortSignal): Promise<Result<SegmentSummary>> => {
    const cached = known.get(place.name);
    if (cached !== undefined) return ok(cached);
    const found = await anyCopy(store, (copy) => readHeadOf(copy, place, signal));
    return found.ok ? ok(remember(place.name, found.value.header)) : found;
  };

  const rangesOf = async (group: string, timeline: string, signal: AbortSignal): Promise<SegmentPlace[]> => {
    const places: SegmentPlace[] = [];
    for await (const { name } of store.list(layout.segments(group, timeline), signal)) {
      const range = segmentRange(name);
      if (range !== undefined && name === layout.segment(group, timeline, range))
        places.push({ name, group, timeline, ...range });
    }
    return places;
  };

  const bodyOf = async (
    from: ObjectStore,
    place: SegmentPlace,
    signal: AbortSignal,
  ): Promise<Result<{ readonly header: SegmentHeader; readonly body: Readable }>> => {
    const head = await readHeadOf(from, place, signal);
    if (!head.ok) return head;
    const { header, bodyAt } = head.value;
    const whole = (): Promise<Readable> => from.get(place.name, { from: bodyAt, signal });
    const isShort = header.bytes <= checkedAsWholeBytes;
    if (!isShort && copiesOf(store).length === 1) return ok({ header, body: await whole() });
    // With other copies to turn to, a long one is read twice: nothing of a damaged one is given.
    const held = isShort
      ? await collect(await from.get(place.name, { from: bodyAt, to: bodyAt + header.bytes + 1, signal }))
      : undefined;
    const problem = await damageOf(held === undefined ? await whole() : Readable.from([held]), header);
    if (problem !== undefined) return { ok: false, error: corrupt(place.name, problem).refusal };
    return ok({ header, body: held === undefined ? await whole() : Readable.from([held]) });
  };

  async function* read(
    { group, timeline, from, to }: Pick<SegmentHeader, 'group' | 'timeline' | 'from' | 'to'>,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const place: SegmentPlace = { name: layout.segment(group, timeline, { from, to }), group, timeline, from, to };
    const found = await anyCopy(store, (copy) => bodyOf(copy, place, signal));
    if (!found.ok) throw new RefusalError(found.error);
    const { header, body } = found.value;
    let given = 0;
    for await (const chunk of openStream(body, header, { name: place.name, keys, signal })) {
      given += chunk.length;
      if (given > to - from) break;
      yield chunk;
    }
    if (given !== to - from) throw corrupt(place.name, `it unpacks to ${given} bytes instead of ${to - from}`);
  }

  return {
    begin: async (timeline, signal) => {
      const document = Buffer.from(`${JSON.stringify(timelineSchema.parse(timeline), null, 2)}\n`);
      const name = layout.timeline(timeline.group, timeline.id);
      try {
        await store.put(name, document, { ifAbsent: true, signal });
      } catch (error) {
        if (!(error instanceof ObjectStoreError) || error.kind !== 'exists') throw error;
        // An attempt of before may have come through without its answer.
        if (!document.equals(await store.read(name, longestTimelineBytes, signal))) throw error;
      }
    },

    put: async (facts, raw, signal) => {
      checkFacts(facts, raw);
      const name = layout.segment(facts.group, facts.timeline, facts);
      const { stored, facts: sealed } = await sealBuffer(raw, { name, keys });
      const header: SegmentHeader = { ...facts, formatVersion: 1, ...encryptionOf(sealed) };
      const head = writeHead(header);
      if (head.length > longestHeadBytes) throw new Error(`The head of ${name} has ${head.length} bytes.`);
      await store.put(name, Buffer.concat([head, stored]), { ifAbsent: true, signal });
      remember(name, header);
      return header;
    },

    groups: async (signal) => {
      const groups: string[] = [];
      for (const group of await store.folders('', signal))
        if (plainNameSchema.safeParse(group).success && (await store.folders(layout.stream(group), signal)).length > 0)
          groups.push(group);
      return groups;
    },

    timelines: async (group, signal) => {
      const timelines: Timeline[] = [];
      const problems: RepositoryProblem[] = [];
      for (const id of await store.folders(layout.stream(group), signal)) {
        if (!timelineIdSchema.safeParse(id).success) continue;
        const found = await anyCopy(store, (copy) => readTimeline(copy, { group, id }, signal));
        if (found.ok) timelines.push(found.value);
        else problems.push({ path: layout.timeline(group, id), detail: found.error.detail });
      }
      return { timelines, problems };
    },

    segments: async (group, timeline, signal) => {
      const segments: SegmentSummary[] = [];
      const problems: RepositoryProblem[] = [];
      let places = await rangesOf(group, timeline, signal);
      let superseded: SegmentPlace[] = [];
      // A damaged head makes room for the pieces that it was merged from, while they are there.
      for (let isSettled = false; !isSettled;) {
        isSettled = true;
        const covering = coveringRanges(places);
        segments.length = 0;
        for (let at = 0; at < covering.length; at += readAtOnce) {
          const batch = covering.slice(at, at + readAtOnce);
          const found = await Promise.all(batch.map((place) => summaryOf(place, signal)));
          for (const [index, result] of found.entries()) {
            if (result.ok) {
              segments.push(result.value);
              continue;
            }
            const bad = batch[index];
            places = places.filter((place) => place !== bad);
            isSettled = false;
            // One that was removed since the listing was merged, or is past its time.
            if (bad !== undefined && result.error.code !== 'not_found' && problems.length < mostProblems)
              problems.push({ path: bad.name, detail: result.error.detail });
          }
        }
        superseded = places.filter((place) => !covering.includes(place));
      }
      return { segments, superseded: superseded.map(({ from, to }) => ({ from, to })), problems };
    },

    header: async (group, timeline, { from, to }, signal) => {
      const place = { name: layout.segment(group, timeline, { from, to }), group, timeline, from, to };
      const found = await anyCopy(store, (copy) => readHeadOf(copy, place, signal));
      return found.ok ? ok(found.value.header) : found;
    },

    read,

    checkChain: async (timeline, signal) => {
      const problems: RepositoryProblem[] = [];
      const { group, id } = timeline;
      const places = coveringRanges(await rangesOf(group, id, signal));
      const check = createChainCheck(timeline);
      for (const place of places) {
        if (problems.length === mostProblems) break;
        const head = await anyCopy(store, (copy) => readHeadOf(copy, place, signal));
        const fault = head.ok ? check(head.value.header) : head.error.detail;
        if (fault !== undefined) problems.push({ path: place.name, detail: fault });
      }
      return problems;
    },

    remove: async (group, timeline, range, signal) => {
      const name = layout.segment(group, timeline, range);
      await store.remove(name, signal);
      known.delete(name);
    },

    removeTimeline: async (group, timeline, signal) => {
      for (const { name } of await rangesOf(group, timeline, signal)) {
        await store.remove(name, signal);
        known.delete(name);
      }
      await store.remove(layout.timeline(group, timeline), signal);
    },
  };
}

interface SegmentPlace extends SegmentRange {
  readonly name: string;
  readonly group: string;
  readonly timeline: string;
}

async function readTimeline(
  from: ObjectStore,
  { group, id }: { readonly group: string; readonly id: string },
  signal: AbortSignal,
): Promise<Result<Timeline>> {
  const name = layout.timeline(group, id);
  try {
    const text = await from.read(name, longestTimelineBytes, signal);
    const decoded = decodeJson(timelineSchema, text.toString('utf8'), name);
    if (!decoded.ok)
      return refuse('backup_corrupt', `${name}: ${decoded.error.detail}`, { why: decoded.error.why ?? [] });
    const { value } = decoded;
    return value.group === group && value.id === id
      ? ok(value)
      : refuse('backup_corrupt', `${name}: it says that it is ${value.group}/${value.id}.`);
  } catch (error) {
    if (!(error instanceof ObjectStoreError) || error.kind === 'unreachable') throw error;
    return refuse(error.kind === 'missing' ? 'not_found' : 'backup_corrupt', `${name}: ${textOf(error)}`);
  }
}

// The writer's facts are its own: what contradicts the bytes is a defect and must not be stored.
function checkFacts(facts: SegmentFacts, raw: Buffer): void {
  const where = `Segment ${facts.from}-${facts.to}`;
  if (raw.length !== facts.to - facts.from) throw new Error(`${where} has ${raw.length} bytes.`);
  const fault = headerFault(facts);
  if (fault !== undefined) throw new Error(`${where}: ${fault}.`);
  for (const { from, to, sha256 } of facts.parts)
    if (sha256Of(raw.subarray(from - facts.from, to - facts.from)) !== sha256)
      throw new Error(`${where}: the hash of its part ${from}-${to} is wrong.`);
}

function encryptionOf({
  encryption,
  ...facts
}: Awaited<ReturnType<typeof sealBuffer>>['facts']): Pick<
  SegmentHeader,
  'bytes' | 'sha256' | 'compression' | 'encryption'
> {
  return encryption === undefined ? facts : { ...facts, encryption };
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}
