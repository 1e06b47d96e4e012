// How does a body get from the client to an instance, and to the next one when the first fails? Streamed, at the pace of
// the slower side; only its beginning is kept.
import type { ClientRequest, IncomingMessage } from 'node:http';
import { forwardableTrailers } from './hop-by-hop.ts';
import { createReplayBuffer } from './replay-buffer.ts';

/** What happens to a body on its way. */
export interface RequestBodyEvents {
  /** Bytes moved. */
  progress(): void;
  /** The client has sent everything. */
  finished(): void;
  /** More came than the limit allows; nothing more is taken. */
  tooLarge(): void;
}

/** The body of one request. */
export interface RequestBody {
  /** The client has sent everything. */
  readonly finished: boolean;
  /** Everything taken from the client so far can be sent to another instance. */
  readonly replayable: boolean;
  /** Sends what was kept, then whatever comes, then the trailers, and ends the request. */
  sendTo(request: ClientRequest): void;
  /** The attempt is over: takes nothing more from the client until `sendTo` or `discard`. */
  detach(): void;
  /** No further attempt will come. */
  settle(): void;
  /** Takes the rest from the client and throws it away. */
  discard(): void;
}

/** Reads nothing before `sendTo` or `discard`. `hasBody` is false when the framing says that none follows. */
export function createRequestBody(
  req: IncomingMessage,
  limits: { readonly hasBody: boolean; readonly replayBytes: number; readonly bodyBytes: number },
  events: RequestBodyEvents,
): RequestBody {
  const replay = createReplayBuffer(limits.replayBytes);
  let receivedBytes = 0;
  let finished = !limits.hasBody;
  let listening = false;
  let sink: ClientRequest | undefined;

  const onData = (chunk: Buffer): void => {
    receivedBytes += chunk.length;
    if (limits.bodyBytes > 0 && receivedBytes > limits.bodyBytes) {
      events.tooLarge();
      return;
    }
    replay.keep(chunk);
    events.progress();
    if (sink !== undefined && !sink.write(chunk)) waitFor(sink);
  };
  const onEnd = (): void => {
    finished = true;
    if (sink !== undefined) end(sink);
    events.finished();
  };
  const waitFor = (full: ClientRequest): void => {
    req.pause();
    full.once('drain', () => {
      if (sink !== full) return;
      events.progress();
      req.resume();
    });
  };
  const end = (request: ClientRequest): void => {
    const trailers = forwardableTrailers(req.rawTrailers);
    if (trailers.length > 0) request.addTrailers(trailers);
    request.end();
  };
  const listen = (): void => {
    if (listening) return;
    listening = true;
    req.on('data', onData);
    req.on('end', onEnd);
  };

  return {
    get finished() {
      return finished;
    },
    get replayable() {
      return replay.kept !== undefined;
    },
    sendTo(request) {
      sink = request;
      if (!limits.hasBody) {
        request.end();
        return;
      }
      const kept = replay.kept;
      const isFull = kept !== undefined && kept.length > 0 && !request.write(kept);
      if (finished) {
        end(request);
        return;
      }
      listen();
      if (isFull) waitFor(request);
      else req.resume();
    },
    detach() {
      sink = undefined;
      if (!finished) req.pause();
    },
    settle: () => replay.release(),
    discard() {
      sink = undefined;
      replay.release();
      req.off('data', onData);
      req.resume();
    },
  };
}
