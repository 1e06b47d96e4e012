// What does a source send to a replica, and in which order? One connection, told to its owner piece by piece.
//
//   handshake -> (data set -> end of the data set)? -> stream
//
// Joins the handshake, the payload reader and one socket. Nothing is kept: what is read is handed on in the same turn, and the
// owner pauses the socket when it cannot take more.
import { createHandshake, type HandshakePlan, type HandshakeStage, type StreamPosition } from './handshake.ts';
import { openReplicaSocket, type ReplicaSocket, type ReplicaSocketOptions } from './replica-socket.ts';
import { ReplicationLinkError } from './replication-problem.ts';
import { createLineReader, encodeCommand } from './resp.ts';
import { createPayloadReader, type PayloadReader } from './snapshot-payload.ts';

/** What to ask of which node; see `HandshakePlan` and `ReplicaSocketOptions` for each field. */
export interface SourceLinkOptions extends HandshakePlan, ReplicaSocketOptions {}

/** What the owner is told, in this order. After `onEnd` nothing comes. */
export interface SourceLinkListener {
  /** The source agreed: the whole data set comes (`full`), or the stream after the position that was asked for. */
  onAgreed(kind: 'full' | 'continue', position: StreamPosition): void;
  /** The source has begun to send the data set; undefined when it does not know its length. */
  onDataSet(totalBytes: number | undefined): void;
  /** Some bytes of the data set. */
  onData(data: Buffer): void;
  /** The data set is complete. */
  onDataEnd(): void;
  /** Some bytes of the stream. */
  onStream(bytes: Buffer): void;
  /** The connection is over; undefined when the owner closed it without an error. */
  onEnd(error: ReplicationLinkError | undefined): void;
}

/** Connects and speaks as a replica does until the owner closes the socket or it fails. The listener hears nothing before this has returned. */
export function openSourceLink(options: SourceLinkOptions, listener: SourceLinkListener): ReplicaSocket {
  const handshake = createHandshake(options);
  const lines = createLineReader();
  let payload: PayloadReader | undefined;
  let phase: 'handshake' | 'data-set' | 'stream' = 'handshake';
  let isAnnounced = false;

  const takeStream = (bytes: Buffer): void => {
    if (bytes.length > 0) listener.onStream(bytes);
  };

  const takePayload = (chunk: Buffer): void => {
    if (payload === undefined) return;
    const part = payload.push(chunk);
    if (!isAnnounced && payload.hasBegun()) {
      isAnnounced = true;
      listener.onDataSet(payload.totalBytes());
    }
    if (part.data.length > 0) listener.onData(part.data);
    if (part.rest === undefined) return;
    phase = 'stream';
    listener.onDataEnd();
    takeStream(part.rest);
  };

  const agree = (kind: 'full' | 'continue', position: StreamPosition): void => {
    phase = kind === 'full' ? 'data-set' : 'stream';
    if (kind === 'full') payload = createPayloadReader();
    listener.onAgreed(kind, position);
    const rest = lines.drain();
    if (kind === 'continue') takeStream(rest);
    else if (rest.length > 0) takePayload(rest);
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
          return agree('full', answer.position);
        case 'continue':
          return agree('continue', answer.position);
        case 'refused':
          return socket.close(new ReplicationLinkError(answer.code, answer.detail));
      }
    }
  };

  const socket = openReplicaSocket(options, {
    onConnect: () => socket.write(encodeCommand(handshake.start())),
    onData: (chunk) => {
      try {
        if (phase === 'handshake') takeReplies(chunk);
        else if (phase === 'data-set') takePayload(chunk);
        else takeStream(chunk);
      } catch (error) {
        socket.close(asLinkError(error));
      }
    },
    onEnd: (error) =>
      listener.onEnd(error === undefined || phase !== 'handshake' ? error : during(handshake.stage(), error)),
  });
  return socket;
}

/** What its reader hears of a link that was given up on our side. */
export function abandoned(what: string): ReplicationLinkError {
  return new ReplicationLinkError('aborted', `The ${what} was given up by its reader.`);
}

function during(stage: HandshakeStage, error: ReplicationLinkError): ReplicationLinkError {
  if (error.code !== 'closed_early' && error.code !== 'stalled') return error;
  return new ReplicationLinkError(error.code, `${error.message} It owed us the answer to ${stage}.`, { cause: error });
}

function asLinkError(error: unknown): ReplicationLinkError {
  if (error instanceof ReplicationLinkError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ReplicationLinkError('protocol_error', `The source could not be understood: ${detail}`, { cause: error });
}
