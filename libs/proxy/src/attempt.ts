// How does one attempt at one instance go? A thin skin around node:http's client that says exactly one of: it failed
// (and how far it got), it answers, it switched protocols.
import { Agent, request as plainRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Target } from './engine.ts';
import type { AttemptPhase } from './retry.ts';

/** A failure before the head of the answer was complete. */
export interface AttemptFailure {
  readonly phase: AttemptPhase;
  /** For people, about the instance: "it refused the connection". */
  readonly reason: string;
  readonly timedOut: boolean;
  /** A kept connection that the instance had closed by then. */
  readonly stale: boolean;
  /** The instance is not to blame: this process ran out of something. */
  readonly ours: boolean;
}

/** Exactly one of `failed`, `answered`, `upgraded` is called, unless the attempt is cancelled before. */
export interface AttemptEvents {
  /** There is a connection; from now on the request counts as sent. */
  connected(): void;
  /** An interim answer, 100 included. */
  information(status: number, rawHeaders: readonly string[]): void;
  answered(answer: IncomingMessage): void;
  upgraded(answer: IncomingMessage, socket: Socket, early: Buffer): void;
  failed(failure: AttemptFailure): void;
}

/** An attempt under way. */
export interface Attempt {
  readonly request: ClientRequest;
  /** Fails the attempt because of a timeout. */
  expire(reason: string): void;
  /** Breaks it off; no event comes any more. */
  cancel(): void;
}

/** Connections to instances, kept for reuse. */
export interface UpstreamAgents {
  readonly plain: Agent;
  readonly secure: SecureAgent;
  destroy(): void;
}

/** What is sent, and where. */
export interface AttemptOptions {
  readonly target: Target;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
  readonly agents: UpstreamAgents;
  /** Not on a kept connection. */
  readonly fresh: boolean;
  readonly upgrade: boolean;
  readonly answerHeadBytes: number;
}

// Below the 5 s after which Node's own server closes an idle connection: most keep-alive races never happen. A shorter
// Keep-Alive of the instance is honoured by the agent.
const idleMs = 4_000;

/** Agents whose connections are bounded by the engine's own limit of requests per instance. */
export function createUpstreamAgents(idlePerInstance: number): UpstreamAgents {
  const options = { keepAlive: true, maxFreeSockets: idlePerInstance, timeout: idleMs, scheduling: 'lifo' as const };
  const plain = new Agent(options);
  const secure = new SecureAgent(options);
  return {
    plain,
    secure,
    destroy() {
      plain.destroy();
      secure.destroy();
    },
  };
}

/** Begins an attempt. Throws only when the request cannot be expressed at all (an illegal path). */
export function startAttempt(options: AttemptOptions, events: AttemptEvents): Attempt {
  const { target, agents } = options;
  const own = options.fresh || options.upgrade;
  const request = (target.secure ? secureRequest : plainRequest)({
    host: target.host,
    port: target.port,
    method: options.method,
    path: options.path,
    headers: options.headers,
    setHost: false,
    maxHeaderSize: options.answerHeadBytes,
    agent: own ? false : target.secure ? agents.secure : agents.plain,
    ...(options.upgrade ? { allowHalfOpen: true } : {}),
  });
  // Without a limit on their number: headers beyond it would be dropped without a word. Their bytes are limited.
  request.maxHeadersCount = 0;

  let phase: AttemptPhase = 'unsent';
  let settled = false;
  let readBefore = 0;

  const onConnected = (): void => {
    if (settled) return;
    phase = 'sent';
    readBefore = request.socket?.bytesRead ?? 0;
    events.connected();
  };
  const fail = (failure: Pick<AttemptFailure, 'reason'> & Partial<AttemptFailure>): void => {
    if (settled) return;
    settled = true;
    if (phase === 'sent' && (request.socket?.bytesRead ?? 0) > readBefore) phase = 'answering';
    events.failed({ phase, timedOut: false, stale: false, ours: false, ...failure });
  };

  request.on('socket', (socket) => {
    if (!socket.connecting && (request.reusedSocket || !target.secure)) onConnected();
    else socket.once(target.secure ? 'secureConnect' : 'connect', onConnected);
  });
  request.on('information', ({ statusCode, rawHeaders }) => {
    if (!settled) events.information(statusCode, rawHeaders);
  });
  request.on('response', (answer) => {
    if (settled) {
      answer.destroy();
      return;
    }
    settled = true;
    events.answered(answer);
  });
  request.on('upgrade', (answer, socket, early) => {
    if (settled || !options.upgrade) {
      socket.destroy();
      fail({ reason: 'it switched protocols without being asked' });
      return;
    }
    settled = true;
    events.upgraded(answer, socket, early);
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    const code = error.code ?? '';
    const gone = code === 'ECONNRESET' || code === 'EPIPE';
    fail({
      reason: reasonOf(error, phase),
      timedOut: code === 'ETIMEDOUT',
      stale: request.reusedSocket && gone && (request.socket?.bytesRead ?? 0) === readBefore,
      ours: ownShortages.has(code),
    });
  });
  request.on('close', () => fail({ reason: 'it closed the connection before it answered' }));

  return {
    request,
    expire(reason) {
      fail({ reason, timedOut: true });
      request.destroy();
    },
    cancel() {
      settled = true;
      request.destroy();
    },
  };
}

const ownShortages: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

function reasonOf(error: NodeJS.ErrnoException, phase: AttemptPhase): string {
  const code = error.code ?? '';
  if (ownShortages.has(code)) return `this dispatcher could not open a connection (${code})`;
  if (code === 'HPE_HEADER_OVERFLOW') return 'the head of its answer is too large';
  if (code.startsWith('HPE_')) return `its answer is not HTTP (${code})`;
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return phase === 'unsent' ? 'it closed the connection at once' : 'it closed the connection before it answered';
  }
  return connectReasons[code] ?? `the connection failed (${code === '' ? error.message.slice(0, 100) : code})`;
}

const connectReasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'it refused the connection',
  EHOSTUNREACH: 'its host cannot be reached',
  ENETUNREACH: 'its network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  ENOTFOUND: 'its host name is unknown',
  EAI_AGAIN: 'its host name cannot be resolved now',
};
