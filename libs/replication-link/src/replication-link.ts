// How does this process become a replica of a Redis or Valkey node for as long as it needs?
// Joins the handshake, the payload reader and one socket. What is read is handed on with back-pressure: memory stays at a few
// chunks whatever the size of the data set. Following the stream after the data set (or after +CONTINUE) is not offered yet:
// the handshake already knows positions, and `payload.rest` is the first byte of that stream.
import { Readable } from 'node:stream';
import { createHandshake, type HandshakePlan, type HandshakeStage, type StreamPosition } from './handshake.ts';
import { openReplicaSocket, type ReplicaSocketOptions } from './replica-socket.ts';
import { ReplicationLinkError } from './replication-problem.ts';
import { createLineReader, encodeCommand } from './resp.ts';
import { createPayloadReader, type PayloadReader } from './snapshot-payload.ts';

/** Bytes of the data set that wait in memory before the socket is no longer read. */
const bufferedBytes = 256 * 1024;

/** What to ask of which node; see `HandshakePlan` and `ReplicaSocketOptions` for each field. */
export interface ReplicationLinkOptions extends Omit<HandshakePlan, 'position'>, ReplicaSocketOptions {
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
    const handshake = createHandshake(options);
    const lines = createLineReader();
    let payload: PayloadReader | undefined;
    let receivedBytes = 0;

    const rdb = new Readable({
      highWaterMark: bufferedBytes,
      read: () => socket.resume(),
      destroy: (error, done) => {
        socket.close();
        done(error);
      },
    });
    // A caller that gave up before it looked at the stream must not crash the process; readers still hear the error.
    rdb.on('error', () => undefined);

    const beginPayload = (position: StreamPosition): void => {
      payload = createPayloadReader();
      resolve({ ...position, rdb, close: () => socket.close(abandoned()) });
      takePayload(lines.drain());
    };

    const takePayload = (chunk: Buffer): void => {
      if (payload === undefined) return;
      const { data, rest } = payload.push(chunk);
      receivedBytes += data.length;
      if (data.length > 0) {
        options.onProgress?.({ receivedBytes, totalBytes: payload.totalBytes() });
        if (!rdb.push(data)) socket.pause();
      }
      if (rest === undefined) return;
      rdb.push(null);
      socket.close();
    };

    const takeReplies = (chunk: Buffer): void => {
      lines.push(chunk);
      for (let line = lines.next(); line !== undefined; line = lines.next()) {
        const answer = handshake.receive(line);
        switch (answer.kind) {
          case 'send':
            socket.write(encodeCommand(answer.command));
            break;
          case 'full-resync':
            return beginPayload(answer.position);
          case 'continue':
            return socket.close(
              new ReplicationLinkError('protocol_error', 'The source continued a stream that was not asked for.'),
            );
          case 'refused':
            return socket.close(new ReplicationLinkError(answer.code, answer.detail));
        }
      }
    };

    const socket = openReplicaSocket(options, {
      onConnect: () => socket.write(encodeCommand(handshake.start())),
      onData: (chunk) => {
        try {
          if (payload === undefined) takeReplies(chunk);
          else takePayload(chunk);
        } catch (error) {
          socket.close(asLinkError(error));
        }
      },
      onEnd: (error) => {
        if (error === undefined) return;
        reject(payload === undefined ? during(handshake.stage(), error) : error);
        rdb.destroy(error);
      },
    });
  });
}

function during(stage: HandshakeStage, error: ReplicationLinkError): ReplicationLinkError {
  if (error.code !== 'closed_early' && error.code !== 'stalled') return error;
  return new ReplicationLinkError(error.code, `${error.message} It owed us the answer to ${stage}.`, { cause: error });
}

function abandoned(): ReplicationLinkError {
  return new ReplicationLinkError('aborted', 'The data set was given up by its reader.');
}

function asLinkError(error: unknown): ReplicationLinkError {
  if (error instanceof ReplicationLinkError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ReplicationLinkError('protocol_error', `The source could not be understood: ${detail}`, { cause: error });
}
