// How do sealed pieces get into the repository, one after the other, whatever it has to suffer? In order, each with its place in the chain
// of hashes; what fails is tried again for ever, while back-pressure holds the source and bounds what waits here.
import type { Timeline } from '@switchyard/protocol';
import { backoff, type Clock, type Logger } from '@switchyard/runtime';
import { ObjectStoreError } from '../repository/object-store.ts';
import { chainStart, extendChain } from '../repository/segment-chain.ts';
import type { SegmentFacts, SegmentStore } from '../repository/segment-store.ts';
import { codeOf, textOf } from '../system-error.ts';
import type { ArchiveHead } from './archive.ts';
import { createChanges } from './changes.ts';
import type { SealedPiece } from './stream-collector.ts';

/** Why nothing can be written just now. */
export interface WriteTrouble {
  readonly sinceMs: number;
  readonly attempts: number;
  readonly detail: string;
}

/** Why it gave up: `conflict` = somebody else wrote the same range; `defect` = it can never be written. */
export interface WriteFailure {
  readonly kind: 'conflict' | 'defect';
  readonly detail: string;
}

/** Writes the segments of one archive. */
export interface SegmentWriter {
  /** What follows goes on here; forgets what waits. */
  reset(at: { readonly timeline: string; readonly chain: string } | null): void;
  /** Puts a timeline into the queue; pieces that follow belong to it. */
  begin(timeline: Timeline): void;
  add(piece: SealedPiece): void;
  /** Bytes that wait or are being written. */
  waitingBytes(): number;
  /** Pieces that wait or are being written. */
  waiting(): number;
  /** When the first byte arrived that is not stored yet, unix ms; null when none waits. */
  oldestAtMs(): number | null;
  trouble(): WriteTrouble | null;
  /** Resolves when something was written or given up. */
  changed(signal: AbortSignal): Promise<void>;
  /** Writes until the signal; rejects with its reason only. */
  run(signal: AbortSignal): Promise<void>;
}

type Item =
  | { readonly kind: 'timeline'; readonly timeline: Timeline; readonly bytes: 0 }
  | { readonly kind: 'piece'; readonly timeline: string; readonly piece: SealedPiece; readonly bytes: number };

const attemptDeadlineMs = 60_000;
const firstPauseMs = 100;
const longestPauseMs = 5_000;

/** A writer of the segments of `group`. `onStored` hears of each in order, `onFailed` when all that waits was given up. */
export function createSegmentWriter(options: {
  readonly group: string;
  readonly segments: Pick<SegmentStore, 'begin' | 'put' | 'header'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onStored: (head: ArchiveHead, bytes: number) => void;
  readonly onFailed: (failure: WriteFailure) => void;
  readonly random?: () => number;
}): SegmentWriter {
  const { group, segments, clock, logger, onStored, onFailed, random = Math.random } = options;
  const changes = createChanges();
  const added = createChanges();
  let queue: Item[] = [];
  let bytes = 0;
  let timeline = '';
  let chain = '';
  let trouble: WriteTrouble | null = null;
  /** Counts resets: what was being written when one came must not be taken off the new queue. */
  let era = 0;

  const reset: SegmentWriter['reset'] = (at) => {
    era += 1;
    queue = [];
    bytes = 0;
    timeline = at?.timeline ?? '';
    chain = at?.chain ?? '';
    trouble = null;
    changes.ring();
  };

  const put = async (piece: SealedPiece, ofTimeline: string, signal: AbortSignal): Promise<void> => {
    const { raw, sha256, ...facts } = piece;
    const parts = [{ from: piece.from, to: piece.to, sha256 }];
    const after = extendChain(chain, parts);
    const segment: SegmentFacts = { ...facts, group, timeline: ofTimeline, parts, chain: { before: chain, after } };
    try {
      const { bytes: stored } = await segments.put(segment, raw, signal);
      chain = after;
      onStored(headOf(piece, ofTimeline), stored);
    } catch (error) {
      if (!(error instanceof ObjectStoreError) || error.kind !== 'exists') throw error;
      // An attempt of before may have come through without its answer.
      const there = await segments.header(group, ofTimeline, piece, signal);
      if (!there.ok || there.value.chain.after !== after) throw error;
      chain = after;
      onStored(headOf(piece, ofTimeline), there.value.bytes);
    }
  };

  const write = async (item: Item, signal: AbortSignal): Promise<void> => {
    const within = AbortSignal.any([signal, AbortSignal.timeout(attemptDeadlineMs)]);
    if (item.kind === 'piece') return put(item.piece, item.timeline, within);
    await segments.begin(item.timeline, within);
    chain = chainStart(item.timeline.id);
  };

  const writeOrWait = async (item: Item, signal: AbortSignal): Promise<void> => {
    const pause = backoff({ baseMs: firstPauseMs, maxMs: longestPauseMs, random });
    const begunIn = era;
    for (;;) {
      try {
        await write(item, signal);
        if (trouble !== null) logger.info({ group, attempts: trouble.attempts }, 'archive.writing_again');
        trouble = null;
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (begunIn !== era) return;
        const failure = failureOf(error);
        if (failure !== undefined) {
          logger.error({ group, err: error }, 'archive.write_given_up');
          reset(null);
          onFailed(failure);
          return;
        }
        const detail = textOf(error);
        if (trouble?.detail !== detail) logger.warn({ group, detail }, 'archive.write_failed');
        trouble = { sinceMs: trouble?.sinceMs ?? clock.unixMs(), attempts: (trouble?.attempts ?? 0) + 1, detail };
        changes.ring();
        await clock.sleep(pause.next(), signal);
        if (begunIn !== era) return;
      }
    }
  };

  return {
    reset,
    begin: (begun) => {
      timeline = begun.id;
      queue.push({ kind: 'timeline', timeline: begun, bytes: 0 });
      added.ring();
    },
    add: (piece) => {
      queue.push({ kind: 'piece', timeline, piece, bytes: piece.raw.length });
      bytes += piece.raw.length;
      added.ring();
    },
    waitingBytes: () => bytes,
    waiting: () => queue.length,
    oldestAtMs: () => queue.find((item) => item.kind === 'piece')?.piece.startedAtMs ?? null,
    trouble: () => trouble,
    changed: (signal) => changes.next(signal),
    run: async (signal) => {
      for (;;) {
        const item = queue[0];
        if (item === undefined) {
          await added.next(signal);
          continue;
        }
        const begunIn = era;
        await writeOrWait(item, signal);
        if (begunIn !== era) continue;
        queue.shift();
        bytes -= item.bytes;
        changes.ring();
      }
    },
  };
}

function headOf(piece: SealedPiece, timeline: string): ArchiveHead {
  const replicationId = piece.histories.at(-1)?.replicationId ?? '';
  return { timeline, offset: piece.to, replicationId, atMs: piece.endedAtMs };
}

// A defect of ours would be tried for ever; everything that a person can mend (room, rights, network) is waited for.
function failureOf(error: unknown): WriteFailure | undefined {
  if (error instanceof ObjectStoreError) {
    return error.kind === 'exists' ? { kind: 'conflict', detail: textOf(error) } : undefined;
  }
  const isTimeout = error instanceof DOMException;
  return isTimeout || codeOf(error) !== '' ? undefined : { kind: 'defect', detail: textOf(error) };
}
