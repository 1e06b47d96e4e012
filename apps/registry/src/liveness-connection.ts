// What does one agent say on its liveness connection, and what is it told? Lines in, lines out, each side bounded.
//
//   hello --known--> open --bye, or the registry ends it--> over          (no sign of anything)
//     \--unknown-----^  \---- ends by itself, FIN or RST --> lost         (the instance is doubted)
import type { Socket } from 'node:net';
import {
  createLineReader,
  decodeJson,
  livenessRequestSchema,
  longestLivenessLine,
  memberOf,
} from '@switchyard/protocol';
import type { LivenessReply, LivenessRequest, LoadReport } from '@switchyard/protocol';

export interface LivenessConnection {
  /** `service/id`; undefined before the hello. */
  member(): string | undefined;
  /** Ms of the monotonic clock when something came last. */
  heardAtMs(): number;
  tell(reply: LivenessReply): void;
  /** Tells that the beat was heard: the one answer that is sent all the time. */
  heard(): void;
  /** Ends it from this side: no doubt comes of it. */
  close(detail?: string): void;
}

export interface LivenessEvents {
  readonly hello: (connection: LivenessConnection, member: string) => void;
  readonly beat: (connection: LivenessConnection, member: string, load: LoadReport | undefined) => void;
  /** Over, once. `how` is undefined when it said goodbye or was ended from here, else words for people. */
  readonly over: (connection: LivenessConnection, how: string | undefined) => void;
}

/** The usual line, so that it need not be taken apart. */
const PLAIN_BEAT = '{"type":"beat"}\n';
const HEARD = '{"type":"heard"}\n';
/** An agent that does not read its answers is no agent. */
const MOST_UNREAD_BYTES = 16 * 1024;
/** The kernel asks a silent peer after a second; a machine that lost power is found so. */
const KEEP_ALIVE_MS = 1_000;
/** What was said last gets so long to reach an agent that does not close its side. */
const LINGER_MS = 1_000;

/** Speaks on `socket`, which has just left HTTP. */
export function openLivenessConnection(
  socket: Socket,
  options: { readonly early: Buffer; readonly events: LivenessEvents; readonly nowMs: () => number },
): LivenessConnection {
  const { events, nowMs } = options;
  const read = createLineReader(longestLivenessLine);
  let member: string | undefined;
  let heardAtMs = nowMs();
  let state: 'open' | 'ending' | 'over' = 'open';

  const finish = (how: string | undefined): void => {
    if (state === 'over') return;
    const wanted = state === 'ending';
    state = 'over';
    events.over(connection, wanted ? undefined : how);
  };
  const write = (text: string, encoding: 'latin1' | 'utf8'): void => {
    if (state !== 'open' || !socket.writable) return;
    socket.write(text, encoding);
    if (socket.writableLength > MOST_UNREAD_BYTES) close();
  };
  const close = (detail?: string): void => {
    if (state !== 'open') return;
    if (detail !== undefined) connection.tell({ type: 'failed', detail });
    state = 'ending';
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  };
  const take = (request: LivenessRequest): void => {
    if (request.type === 'bye') return close();
    if (request.type === 'hello') {
      if (member !== undefined) return close('hello comes once');
      member = memberOf(request.service, request.id);
      return events.hello(connection, member);
    }
    if (member === undefined) return close('hello comes first');
    return events.beat(connection, member, request.load);
  };
  const onText = (text: string): void => {
    heardAtMs = nowMs();
    if (text === PLAIN_BEAT && member !== undefined && state === 'open')
      return events.beat(connection, member, undefined);
    const lines = read(text);
    if (!lines) return close(`a line is longer than ${longestLivenessLine} characters`);
    for (const line of lines) {
      if (state !== 'open') return;
      const request = decodeJson(livenessRequestSchema, line, 'the line');
      if (request.ok) take(request.value);
      else close([request.error.detail, ...(request.error.why ?? [])].join('; ').slice(0, 512));
    }
  };

  const connection: LivenessConnection = {
    member: () => member,
    heardAtMs: () => heardAtMs,
    tell: (reply) => write(`${JSON.stringify(reply)}\n`, 'utf8'),
    heard: () => write(HEARD, 'latin1'),
    close,
  };
  socket.setTimeout(0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  let fault = '';
  socket.on('error', (error: NodeJS.ErrnoException) => (fault = error.code ?? error.message));
  socket.on('end', () => {
    finish('its liveness connection was closed without a goodbye');
    socket.end();
  });
  socket.on('close', () => finish(`its liveness connection broke${fault === '' ? '' : `: ${fault}`}`));
  // nothing that an agent may say has any other letters
  const onData = (chunk: Buffer): void => onText(chunk.toString('latin1'));
  socket.on('data', onData);
  if (options.early.length > 0) onData(options.early);
  return connection;
}
