// How do many small segments become few? The larger one is put first, then its pieces go; readers take the larger one while both are there.
import { planMerges, thinTimes, withoutRepeats } from '@switchyard/backup';
import type { SegmentHeader } from '@switchyard/protocol';
import { createTicker, type Clock, type Component, type Logger } from '@switchyard/runtime';
import { ObjectStoreError } from '../repository/object-store.ts';
import type { SegmentFacts, SegmentStore } from '../repository/segment-store.ts';

const lookEveryMs = 30_000;
const youngestMs = 60_000;
const bounds = { mostBytes: 8 * 1024 * 1024, mostParts: 1_000, longestMs: 15 * 60_000 };
const thinnedToMs = 100;
const mostNames = 200;
const otherNames = '*';
const mostEvents = 100;
const mostRemembered = 50_000;

/** Merges the segments of `group` while `isOwner`. */
export function createMerger(options: {
  readonly group: string;
  readonly segments: SegmentStore;
  readonly isOwner: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onMerged: (segments: number) => void;
}): Component & { merge(signal: AbortSignal): Promise<void> } {
  const { group, segments, isOwner, clock, logger, onMerged } = options;
  /** Of how many parts a segment is made; those of a timeline that is at its end need not be asked again. */
  const partCounts = new Map<string, number>();
  const finished = new Set<string>();

  const partsOf = async (timeline: string, { from, to }: Range, signal: AbortSignal): Promise<number> => {
    const key = `${timeline} ${from}-${to}`;
    const known = partCounts.get(key);
    if (known !== undefined) return known;
    const header = await segments.header(group, timeline, { from, to }, signal);
    // One that cannot be read is not merged: as large as may be.
    const parts = header.ok ? header.value.parts.length : bounds.mostParts + 1;
    if (partCounts.size >= mostRemembered) partCounts.clear();
    partCounts.set(key, parts);
    return parts;
  };

  const mergeRun = async (timeline: string, run: readonly Range[], signal: AbortSignal): Promise<void> => {
    const headers: SegmentHeader[] = [];
    const raw: Buffer[] = [];
    for (const range of run) {
      const header = await segments.header(group, timeline, range, signal);
      if (!header.ok) return;
      headers.push(header.value);
      for await (const chunk of segments.read({ group, timeline, ...range }, signal)) raw.push(chunk);
    }
    const facts = mergedFacts(headers);
    if (facts === undefined) return;
    try {
      await segments.put(facts, Buffer.concat(raw), signal);
    } catch (error) {
      // Another worker did it: the pieces are superseded, and go the next time.
      if (error instanceof ObjectStoreError && error.kind === 'exists') return;
      throw error;
    }
    for (const range of run) await segments.remove(group, timeline, range, signal);
    onMerged(run.length);
  };

  const merge = async (signal: AbortSignal): Promise<void> => {
    if (!isOwner()) return;
    const { timelines } = await segments.timelines(group, signal);
    for (const { id } of timelines) {
      if (finished.has(id)) continue;
      const { segments: list, superseded } = await segments.segments(group, id, signal);
      for (const range of superseded) await segments.remove(group, id, range, signal);
      const sized = [];
      for (const { from, to, startedAtMs, endedAtMs } of list) {
        const parts = { length: await partsOf(id, { from, to }, signal) };
        sized.push({ from, to, startedAtMs, endedAtMs, bytes: to - from, parts });
      }
      const runs = planMerges(sized, { ...bounds, endedBeforeMs: clock.unixMs() - youngestMs });
      for (const run of runs) {
        signal.throwIfAborted();
        if (!isOwner()) return;
        await mergeRun(
          id,
          run.map(({ from, to }) => ({ from, to })),
          signal,
        );
      }
      if (id !== timelines.at(-1)?.id && runs.length === 0) finished.add(id);
    }
    if (finished.size > 10_000) finished.clear();
  };
  const ticker = createTicker({
    name: 'archive-merge',
    everyMs: lookEveryMs,
    run: merge,
    clock,
    logger,
    immediate: false,
    deadlineMs: 10 * lookEveryMs,
  });

  return { name: 'archive-merge', start: (signal) => ticker.start(signal), stop: () => ticker.stop(), merge };
}

type Range = Pick<SegmentHeader, 'from' | 'to'>;

/** What the heads of neighbours say together. Parts and chain are kept, so that each piece can still be proven. */
export function mergedFacts(headers: readonly SegmentHeader[]): SegmentFacts | undefined {
  const first = headers[0];
  const last = headers.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const histories: SegmentHeader['histories'] = [];
  for (const history of headers.flatMap((header) => header.histories))
    if (histories.at(-1)?.replicationId !== history.replicationId) histories.push(history);
  const events = withoutRepeats(headers.flatMap((header) => header.events));
  const { group, timeline, from, database } = first;
  return {
    group,
    timeline,
    from,
    to: last.to,
    startedAtMs: first.startedAtMs,
    endedAtMs: last.endedAtMs,
    histories,
    database,
    times: thinTimes(
      headers.flatMap(({ times }) => times),
      thinnedToMs,
    ),
    commands: headers.reduce((sum, { commands }) => sum + commands, 0),
    commandCounts: mergedCounts(headers),
    events: events.slice(0, mostEvents),
    moreEvents: headers.reduce((sum, { moreEvents }) => sum + moreEvents, Math.max(0, events.length - mostEvents)),
    parts: headers.flatMap(({ parts }) => parts),
    chain: { before: first.chain.before, after: last.chain.after },
  };
}

function mergedCounts(headers: readonly SegmentHeader[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { commandCounts } of headers) {
    for (const [name, count] of Object.entries(commandCounts)) {
      const key = counts.has(name) || counts.size < mostNames - 1 ? name : otherNames;
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  }
  return Object.fromEntries(counts);
}
