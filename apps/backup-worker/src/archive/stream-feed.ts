// How does one timeline's stream get from a connection to the writer? Collected as it arrives and sealed by time and by size. What is
// held and what waits for the repository have one bound together: beyond it nothing is read, and the source has to wait.
import type { FollowedStream } from '@switchyard/replication-link';
import { createTicker, type Clock, type Logger } from '@switchyard/runtime';
import type { Changes } from './changes.ts';
import type { SegmentWriter } from './segment-writer.ts';
import { createStreamCollector, type CollectorStart } from './stream-collector.ts';

/** When a piece is sealed, and how much may be in memory. */
export interface FeedLimits {
  readonly sealEveryMs: number;
  readonly sealBytes: number;
  /** Bytes that are not stored yet, before reading stops. */
  readonly mostPendingBytes: number;
  /** Longest command or transaction. */
  readonly longestTransactionBytes: number;
}

/** A command or transaction that is longer than may be held. It cannot be archived; the data set after it can. */
export class TransactionTooLongError extends Error {
  override readonly name = 'TransactionTooLongError';

  constructor(offset: number, bytes: number) {
    super(
      `the command or transaction that begins at ${offset} has more than ${bytes} bytes: set SWITCHYARD_BACKUP_LONGEST_TRANSACTION_BYTES higher`,
    );
  }
}

/** The stream of one timeline, over as many connections as it takes. */
export interface StreamFeed {
  readonly timeline: string;
  /** Reads the connection to its end. Always rejects: with the error that ended it, a TransactionTooLongError, or the signal's reason. */
  pump(link: FollowedStream, signal: AbortSignal): Promise<never>;
  /** Hands over what can be cut now. */
  seal(): void;
  /** As soon as everything before `offset` is here it is sealed; null = nobody waits. */
  want(offset: number | null): void;
  /** The newest place where a cut is allowed, sealed or not. */
  boundary(): CollectorStart;
  /** When the oldest byte arrived that is not sealed yet, unix ms; null when there is none. */
  oldestAtMs(): number | null;
  /** The connection is over: what it has not ended comes again with the next. */
  cutOff(): void;
  rename(replicationId: string): void;
}

/** A piece that waits by time only is not sealed while so many wait for the repository: fewer, larger ones follow then. */
const mostWaitingPieces = 4;

/** The feed of `timeline`, which begins at `start`. `arrived` rings with each chunk. */
export function createStreamFeed(options: {
  readonly timeline: string;
  readonly start: CollectorStart;
  readonly writer: Pick<SegmentWriter, 'add' | 'waiting' | 'waitingBytes' | 'changed'>;
  readonly limits: FeedLimits;
  readonly arrived: Changes;
  readonly clock: Clock;
  readonly logger: Logger;
}): StreamFeed {
  const { timeline, start, writer, limits, arrived, clock, logger } = options;
  const collector = createStreamCollector(start, clock);
  let wanted: number | null = null;

  const seal = (): void => {
    const piece = collector.seal();
    if (piece !== undefined) writer.add(piece);
  };
  /** Once: what follows belongs to nobody who waits, and would be cut into the smallest pieces under a steady load. */
  const sealWanted = (): void => {
    if (wanted === null || collector.boundary().offset < wanted) return;
    wanted = null;
    seal();
  };
  const sealInTime = (): Promise<void> => {
    if (writer.waiting() < mostWaitingPieces) seal();
    return Promise.resolve();
  };

  const take = async (chunk: Buffer, signal: AbortSignal): Promise<void> => {
    collector.push(chunk);
    const sealable = collector.sealableBytes();
    if (collector.heldBytes() - sealable > limits.longestTransactionBytes) {
      throw new TransactionTooLongError(collector.boundary().offset, limits.longestTransactionBytes);
    }
    if (sealable >= limits.sealBytes) seal();
    sealWanted();
    arrived.ring();
    while (writer.waitingBytes() > 0 && collector.heldBytes() + writer.waitingBytes() >= limits.mostPendingBytes) {
      seal();
      await writer.changed(signal);
    }
  };

  return {
    timeline,
    pump: async (link, signal) => {
      const ticker = createTicker({
        name: 'archive-seal',
        everyMs: limits.sealEveryMs,
        run: sealInTime,
        clock,
        logger,
      });
      await ticker.start(signal);
      try {
        for await (const chunk of link.bytes()) {
          signal.throwIfAborted();
          await take(chunk, signal);
        }
        throw new Error(`${link.source} ended the stream`);
      } finally {
        await ticker.stop();
      }
    },
    seal,
    want: (offset) => {
      wanted = offset;
      sealWanted();
    },
    boundary: () => collector.boundary(),
    oldestAtMs: () => collector.oldestAtMs(),
    cutOff: () => {
      collector.forgetRest();
      seal();
    },
    rename: (replicationId) => collector.rename(replicationId),
  };
}
