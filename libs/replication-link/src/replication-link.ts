// How does this process take the whole data set of a Redis or Valkey node, as a replica would?
// What is read is handed on with back-pressure: memory stays at a few chunks whatever the size of the data set.
import { Readable } from 'node:stream';
import type { ReplicaSocket } from './replica-socket.ts';
import { abandoned, openSourceLink, type SourceLinkListener, type SourceLinkOptions } from './source-link.ts';
import { ReplicationLinkError } from './replication-problem.ts';

/** Bytes of the data set that wait in memory before the socket is no longer read. */
const bufferedBytes = 256 * 1024;

/** What to ask of which node; see `HandshakePlan` and `ReplicaSocketOptions` for each field. */
export interface ReplicationLinkOptions extends Omit<SourceLinkOptions, 'position'> {
  /** Called for each received piece of the data set. `totalBytes` is undefined when the source streams without knowing the length. */
  readonly onProgress?: (progress: SnapshotProgress) => void;
}

/** How much of the data set has arrived. */
export interface SnapshotProgress {
  readonly receivedBytes: number;
  readonly totalBytes: number | undefined;
}

/** A data set on its way. It holds everything up to `offset` of the history `replicationId`, and nothing after it. */
export interface FullResync {
  readonly replicationId: string;
  /** Bytes of the replication stream that the data set includes. */
  readonly offset: number;
  /** The RDB file. Ends when it is complete; any shortfall is an error of the stream, so a cut-off copy cannot look whole. Errors are `ReplicationLinkError`. */
  readonly rdb: Readable;
  /** Ends the connection. Without effect when it has ended. */
  close(): void;
}

/**
 * Connects, says what a replica says, and resolves when the source has agreed to send its whole data set. From then on `rdb`
 * must be read or destroyed. Rejects with `ReplicationLinkError`. The connection never outlives the deadline, the signal, `rdb`
 * or `close`.
 */
export function openFullResync(options: ReplicationLinkOptions): Promise<FullResync> {
  return new Promise((resolve, reject) => {
    const dataSet = createDataSet(() => socket);
    let receivedBytes = 0;
    let totalBytes: number | undefined;

    const listener: SourceLinkListener = {
      onAgreed: (kind, position) => {
        if (kind === 'continue')
          throw new ReplicationLinkError('protocol_error', 'The source continued a stream that was not asked for.');
        resolve({ ...position, rdb: dataSet.rdb, close: () => socket.close(abandoned('data set')) });
      },
      onDataSet: (announcedBytes) => {
        totalBytes = announcedBytes;
      },
      onData: (data) => {
        receivedBytes += data.length;
        options.onProgress?.({ receivedBytes, totalBytes });
        dataSet.push(data);
      },
      onDataEnd: () => {
        dataSet.end();
        socket.close();
      },
      onStream: () => undefined,
      onEnd: (error) => {
        if (error === undefined) return;
        reject(error);
        dataSet.fail(error);
      },
    };
    const socket = openSourceLink(options, listener);
  });
}

/** A data set as a readable stream that holds its source back. */
export interface DataSet {
  readonly rdb: Readable;
  push(data: Buffer): void;
  /** It is complete: from now on `rdb` has no influence on the connection. */
  end(): void;
  /** No more of it comes: its reader hears why. Without effect when it is complete. */
  fail(error: ReplicationLinkError): void;
}

/** A data set that arrives on `socket()`, which is paused while the reader is slow and closed when the reader gives up. */
export function createDataSet(socket: () => ReplicaSocket): DataSet {
  let isComplete = false;
  const rdb = new Readable({
    highWaterMark: bufferedBytes,
    read: () => {
      if (!isComplete) socket().resume();
    },
    destroy: (error, done) => {
      if (!isComplete) socket().close(abandoned('data set'));
      done(error);
    },
  });
  // A caller that gave up before it looked at the stream must not crash the process; readers still hear the error.
  rdb.on('error', () => undefined);
  return {
    rdb,
    push: (data) => {
      if (!rdb.push(data)) socket().pause();
    },
    end: () => {
      isComplete = true;
      rdb.push(null);
      // The last piece may have paused it; whatever follows is held back by its own reader.
      socket().resume();
    },
    fail: (error) => {
      if (!isComplete) rdb.destroy(error);
    },
  };
}
