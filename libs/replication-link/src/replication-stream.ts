// What is a followed replication history, and what is one that is served? The shapes of both sides of the link.
import type { Readable } from 'node:stream';
import type { StreamPosition } from './handshake.ts';

/** A history that is being followed, as a replica would. */
export interface FollowedStream {
  /** `full`: the data set up to `offset` comes first and must be read to its end; `continue`: the stream goes on after `offset`. */
  readonly start:
    | (StreamPosition & { readonly kind: 'full'; readonly rdb: Readable; readonly totalBytes: number | undefined })
    | (StreamPosition & { readonly kind: 'continue' });
  /** Host and port of the source. */
  readonly source: string;
  /**
   * The bytes of the stream as they arrive, the first one directly after `start.offset`; to be iterated once, after the data set. While
   * nobody reads, at most 1 MiB waits here and then the source waits. Rejects with a `ReplicationLinkError` when the link is over.
   */
  bytes(): AsyncIterable<Buffer>;
  /** Position after the last byte that arrived. */
  receivedOffset(): number;
  /**
   * Told to the source with the next acknowledgement (one a second): so far our copy is safe. Until the first call the source hears
   * the start offset. Throws `RangeError` for an offset that has not arrived; an older one than before is ignored.
   */
  acknowledge(offset: number): void;
  /** Ends it: readers of the stream hear the end, a data set that is not complete fails with `aborted`. Without effect when it has ended. */
  close(): void;
}

/** What is served: a data set, and what follows it. */
export interface ServedHistory extends StreamPosition {
  /** The data set (RDB) that holds everything up to `offset`; called once for each replica that needs it whole. */
  rdb(): { readonly stream: Readable; readonly bytes: number };
  /** The stream after `from`, up to `end`; called for each replica. Absent = nothing follows the data set. */
  after?(from: number, signal: AbortSignal): AsyncIterable<Buffer>;
  /** Position after the last byte that there is. */
  readonly end: number;
}

/** How far a served replica is. */
export interface ServedProgress {
  /** `host:port` of its connection. */
  readonly replica: string;
  readonly phase: 'data-set' | 'loading' | 'stream' | 'done';
  readonly sentBytes: number;
  readonly totalBytes: number;
  /** The last offset that it acknowledged; -1 before the first one. */
  readonly acknowledged: number;
}

/** A running server of one history: REPLICAOF against its address takes it over. */
export interface HistoryServer {
  readonly host: string;
  readonly port: number;
  /** Resolves when a replica has acknowledged everything; rejects with the signal's reason, or with why serving failed for good. */
  whenTaken(signal: AbortSignal): Promise<ServedProgress>;
  /** The replicas that are connected. */
  replicas(): readonly ServedProgress[];
  close(): Promise<void>;
}
