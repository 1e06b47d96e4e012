// How is one connected replica served, from its first command to its last acknowledgement?
//
//   handshake -> data-set -> loading -> stream -> done        (partial resync: handshake -> stream -> done)
//
// Memory is a few chunks: nothing is read from the history while the replica does not read.
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { addAbortSignal } from 'node:stream';
import { createRequestReader } from './replica-requests.ts';
import { ReplicationLinkError } from './replication-problem.ts';
import type { ServedHistory, ServedProgress } from './replication-stream.ts';
import { createDialogue, type DialogueStep, type ServedCredentials } from './served-dialogue.ts';

const keepAliveMs = 1_000;
const progressEveryMs = 100;

/** What it needs from the server that accepted it. */
export interface ServedReplicaOptions {
  readonly socket: Socket;
  readonly history: ServedHistory;
  readonly credentials?: ServedCredentials;
  /** Longest silence of the replica while nothing moves. */
  readonly idleTimeoutMs: number;
  /** Longest time until it has asked for the stream. */
  readonly handshakeTimeoutMs: number;
  /** Asked when it wants the stream; false when there are too many already. */
  readonly mayFollow: () => boolean;
  readonly onProgress: (progress: ServedProgress) => void;
  /** What is served cannot be read. */
  readonly onFailure: (error: ReplicationLinkError) => void;
}

/** One connection. */
export interface ServedReplica {
  /** Undefined until it has asked for the stream. */
  progress(): ServedProgress | undefined;
  close(): void;
}

/** Serves the socket until either side ends it. */
export function serveReplica(options: ServedReplicaOptions): ServedReplica {
  const { socket, history } = options;
  const replica = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
  const life = new AbortController();
  const loadedOnce = new EventEmitter();
  const requests = createRequestReader();
  const { credentials } = options;
  const dialogue = createDialogue(
    {
      replicationId: history.replicationId,
      offset: history.offset,
      get end() {
        return history.end;
      },
      hasStream: history.after !== undefined,
    },
    credentials,
  );
  let phase: ServedProgress['phase'] | 'handshake' = 'handshake';
  let sentBytes = 0;
  let dataSetBytes = 0;
  let startOffset = history.offset;
  let acknowledged = -1;
  let lastReportMs = 0;

  const progress = (): ServedProgress | undefined => {
    if (phase === 'handshake') return undefined;
    const totalBytes = dataSetBytes + history.end - startOffset;
    return { replica, phase, sentBytes, totalBytes, acknowledged };
  };
  const report = (): void => {
    lastReportMs = performance.now();
    const now = progress();
    if (now !== undefined) options.onProgress(now);
  };
  const enter = (next: ServedProgress['phase']): void => {
    if (phase === next) return;
    phase = next;
    report();
  };

  const close = (): void => {
    life.abort();
    socket.destroy();
  };

  const send = async (bytes: Buffer | string): Promise<void> => {
    if (!socket.write(bytes)) await once(socket, 'drain', { signal: life.signal });
    if (performance.now() - lastReportMs >= progressEveryMs) report();
  };

  const sendDataSet = async (knowsMark: boolean): Promise<void> => {
    socket.write(`+FULLRESYNC ${history.replicationId} ${history.offset}\r\n`);
    const { stream, bytes } = history.rdb();
    addAbortSignal(life.signal, stream);
    dataSetBytes = bytes;
    enter('data-set');
    const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const newlines = setInterval(() => socket.write('\n'), keepAliveMs);
    const first = await chunks.next().finally(() => clearInterval(newlines));
    // Between two marks although the length is known: Redis 7 acknowledges such a data set at once when it has loaded it, and one of
    // a known length with its next beat, up to a second later.
    const mark = knowsMark ? randomBytes(20).toString('hex') : '';
    await send(knowsMark ? `$EOF:${mark}\r\n` : `$${bytes}\r\n`);
    for (let chunk = first; !chunk.done; chunk = await chunks.next()) {
      sentBytes += chunk.value.length;
      if (sentBytes > bytes) break;
      await send(chunk.value);
    }
    if (sentBytes !== bytes)
      throw new Error(`The data set has ${sentBytes > bytes ? 'more' : 'less'} than the ${bytes} bytes announced.`);
    enter('loading');
    if (!knowsMark) return;
    // It looks for the mark at the end of what it reads: nothing may follow until it has said that it is there.
    const loaded = once(loadedOnce, 'acknowledged', { signal: life.signal });
    await Promise.all([send(mark), loaded]);
  };

  const sendStream = async (from: number): Promise<void> => {
    const { end } = history;
    let position = from;
    if (history.after !== undefined && position < end) {
      for await (const chunk of history.after(from, life.signal)) {
        position += chunk.length;
        sentBytes += chunk.length;
        if (position > end) break;
        await send(chunk);
      }
    }
    if (position !== end)
      throw new Error(`The stream after ${from} has ${position > end ? 'more' : 'less'} than what ends at ${end}.`);
  };

  const serve = async (step: DialogueStep & { readonly kind: 'full' | 'continue' }): Promise<void> => {
    try {
      if (step.kind === 'continue') {
        startOffset = step.position.offset;
        socket.write('+CONTINUE\r\n');
        enter('stream');
      } else await sendDataSet(step.knowsMark);
      await sendStream(startOffset);
      report();
    } catch (error) {
      // A replica that went away is its own affair: it may come again.
      if (!life.signal.aborted) options.onFailure(historyFailed(error));
      close();
    }
  };

  const acknowledge = (offset: number): void => {
    // It cannot hold what it was not sent: whatever this is, it is not a copy of ours.
    if (offset > history.end) return close();
    if (phase === 'handshake' || phase === 'data-set' || offset < startOffset) return;
    acknowledged = Math.max(acknowledged, offset);
    if (acknowledged >= history.end) enter('done');
    else if (phase === 'loading') enter('stream');
    loadedOnce.emit('acknowledged');
    report();
  };

  const act = (step: DialogueStep): void => {
    switch (step.kind) {
      case 'reply':
        socket.write(`${step.line}\r\n`);
        break;
      case 'full':
      case 'continue':
        clearTimeout(deadline);
        // The one refusal after which a replica asks again later.
        if (!options.mayFollow()) return refuse('-NOMASTERLINK too many replicas are served already');
        void serve(step);
        break;
      case 'acknowledged':
        acknowledge(step.offset);
        break;
      case 'cut':
        if (step.line === undefined) close();
        else refuse(step.line);
        break;
      case 'nothing':
        break;
    }
  };
  const refuse = (line: string): void => {
    socket.end(`${line}\r\n`, close);
  };

  const deadline = setTimeout(close, options.handshakeTimeoutMs);
  socket.setTimeout(options.idleTimeoutMs, close);
  socket.on('error', close);
  socket.on('close', () => {
    clearTimeout(deadline);
    close();
  });
  socket.on('data', (chunk: Buffer) => {
    try {
      requests.push(chunk);
      for (let words = requests.next(); words !== undefined; words = requests.next()) {
        if (life.signal.aborted || socket.writableEnded) return;
        act(dialogue.receive(words));
      }
    } catch {
      if (phase === 'handshake') refuse('-ERR Protocol error');
      else close();
    }
  });
  return { progress, close };
}

function historyFailed(error: unknown): ReplicationLinkError {
  if (error instanceof ReplicationLinkError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ReplicationLinkError('history_failed', `The history could not be served: ${detail}`, { cause: error });
}
