// How does this process stay a replica of a node: the data set if it is needed, and then every byte of its history?
import { createDataSet } from './replication-link.ts';
import { encodeCommand } from './resp.ts';
import type { FollowedStream } from './replication-stream.ts';
import type { StreamPosition } from './handshake.ts';
import type { ClientTls } from './replica-socket.ts';
import { abandoned, openSourceLink } from './source-link.ts';
import { createWaitingChunks } from './waiting-chunks.ts';

/** Bytes of the stream that wait here before the source has to. */
const waitingBytes = 1024 * 1024;
const acknowledgeEveryMs = 1_000;
/** A source that has just streamed its data set ignores what comes before it has seen its child end: it is told again soon. */
const firstAcknowledgementsMs = 100;
const firstAcknowledgements = 10;
const getAck = Buffer.from('GETACK');

/** Whom to follow, from where, as whom, and how patient. */
export interface FollowStreamOptions {
  readonly host: string;
  readonly port: number;
  /** ACL user with +psync +replconf +ping; leave out for the default user. */
  readonly username?: string;
  readonly password?: string;
  readonly tls?: boolean | ClientTls;
  /** Continue after it where the source can; without it the whole data set is asked for. */
  readonly position?: StreamPosition;
  /** How the source's INFO should call us. Without it: port 0, which no failover manager takes for a replica. */
  readonly announce?: { readonly host: string; readonly port: number };
  /**
   * False: nothing is ever acknowledged after the data set. A primary then counts us neither for WAIT nor for min-replicas, and cuts us
   * off after its repl-timeout. Default true.
   */
  readonly acknowledges?: boolean;
  /** Longest silence of the source while we are ready to read. Default 60 s, as Redis's own repl-timeout; sources speak every 10 s. */
  readonly idleTimeoutMs?: number;
  /** Longest wait for the connection. Default 5 s. */
  readonly connectTimeoutMs?: number;
  /** Ends everything; readers hear `aborted`. */
  readonly signal: AbortSignal;
}

/**
 * Connects as a replica and resolves when the source begins to send: its data set, which must be read to its end or destroyed, or
 * the stream after `position`. Rejects with `ReplicationLinkError`.
 *
 * The source hears from us once the data set has been read and then every second: the start offset, until `acknowledge` gives a
 * newer one. It must hear something, else it cuts us off after its repl-timeout.
 */
export function followStream(options: FollowStreamOptions): Promise<FollowedStream> {
  return new Promise((resolve, reject) => {
    const dataSet = createDataSet(() => socket);
    let start: StreamPosition | undefined;
    let received = 0;
    let acknowledged = 0;
    let told = 0;
    let hasEnded = false;
    let isFull = false;
    let timer: NodeJS.Timeout | undefined;

    const waiting = createWaitingChunks({
      limitBytes: waitingBytes,
      onRoom: () => socket.resume(),
      onReaderGone: () => socket.close(),
    });

    const tell = (): void => {
      socket.write(encodeCommand(['REPLCONF', 'ACK', String(acknowledged)]));
    };
    const isSilent = options.acknowledges === false;
    const tellAgain = (): void => {
      if (hasEnded) return;
      const isEarly = told < firstAcknowledgements && received === start?.offset;
      // After a data set the source sends nothing before it has heard from us.
      if (isSilent && (start === undefined || !isFull || !isEarly)) return;
      tell();
      told += 1;
      timer = setTimeout(tellAgain, isEarly ? firstAcknowledgementsMs : acknowledgeEveryMs);
    };

    const begin = (found: FollowedStream['start']): void =>
      resolve({
        start: found,
        source: `${options.host}:${options.port}`,
        bytes: () => waiting.read(),
        receivedOffset: () => received,
        acknowledge: (offset) => {
          if (!Number.isSafeInteger(offset) || offset > received)
            throw new RangeError(`Offset ${offset} cannot be safe: ${received} is the last that arrived.`);
          acknowledged = Math.max(acknowledged, offset);
        },
        close: () => socket.close(),
      });

    const socket = openSourceLink(
      { connectTimeoutMs: 5_000, idleTimeoutMs: 60_000, ...options },
      {
        onAgreed: (kind, position) => {
          start = position;
          received = position.offset;
          acknowledged = position.offset;
          isFull = kind === 'full';
          if (kind === 'full') return;
          begin({ kind, ...position });
          tellAgain();
        },
        onDataSet: (totalBytes) => {
          if (start !== undefined) begin({ kind: 'full', ...start, rdb: dataSet.rdb, totalBytes });
        },
        onData: (data) => dataSet.push(data),
        onDataEnd: () => {
          dataSet.end();
          tellAgain();
        },
        onStream: (bytes) => {
          received += bytes.length;
          if (!waiting.push(bytes)) socket.pause();
          // A word in somebody's value may look like the question: one acknowledgement too many is no harm.
          if (!isSilent && bytes.includes(getAck)) tell();
        },
        onEnd: (error) => {
          hasEnded = true;
          clearTimeout(timer);
          reject(error ?? abandoned('stream'));
          dataSet.fail(error ?? abandoned('data set'));
          if (error === undefined) waiting.drop();
          else waiting.end(error);
        },
      },
    );
  });
}
