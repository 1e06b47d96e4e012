// What is known about one request on its way, and how does it end? Every exchange ends exactly once: answered, refused,
// cut, or left by its client.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorCode, Refusal } from '@switchyard/protocol';
import type { AttemptRecord, ForwardDecision, RequestOutcome } from './engine.ts';
import { countRefusal, type ActiveExchange, type EngineContext } from './engine-context.ts';
import { refusalAnswer } from './refusal.ts';
import type { CheckedHead } from './request-check.ts';
import { requestIdOf } from './request-headers.ts';

/** One request on its way through the engine. */
export interface Exchange extends ActiveExchange {
  readonly engine: EngineContext;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestId: string;
  readonly startedMs: number;
  readonly head: CheckedHead;
  /** The client waits for 100 (Continue) before it sends the body. */
  readonly expectsContinue: boolean;
  /** It was told to. */
  continued: boolean;
  /** Bytes behind the head of an upgrade request; undefined for an ordinary one. */
  readonly early: Buffer | undefined;
  decision: ForwardDecision | undefined;
  readonly attempts: AttemptRecord[];
  /** Nothing more is to be done; the answer may still be on its way out. */
  ended: boolean;
  /** Breaks the attempt under way off. */
  cancel: () => void;
}

/** How a request came in. */
export interface Arrival {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly expectsContinue?: boolean;
  readonly early?: Buffer;
}

/** How long the rest of a body that nobody wants is taken, so that the client can read its answer. */
const lingerMs = 2_000;

/** Answers with a refusal and ends the exchange. `status` goes over the error table's. */
export function refuse(exchange: Exchange, refusal: Refusal, status?: number): void {
  const { engine, req, res, head } = exchange;
  const request = { requestId: exchange.requestId, path: head.target.path, headers: req.rawHeaders };
  const answer = refusalAnswer(refusal, request, status);
  countRefusal(engine.counters, refusal.code);
  finish(exchange, { end: 'refused', status: answer.status, code: refusal.code, why: refusal.why ?? [] });
  if (res.headersSent || res.destroyed) {
    res.destroy();
    return;
  }
  // A client that waits for 100 may skip its body after a final answer: what comes next could not be told apart.
  const close = exchange.expectsContinue || engine.isDraining() ? ['Connection', 'close'] : [];
  res.writeHead(answer.status, [...answer.headers, ...close]);
  res.end(answer.body);
  linger(exchange);
}

/** Ends the exchange: counts it and reports it, unless it simply went well. */
export function finish(
  exchange: Exchange,
  how: Pick<RequestOutcome, 'end' | 'status'> & { readonly code?: ErrorCode; readonly why?: readonly string[] },
): void {
  if (exchange.ended) return;
  exchange.ended = true;
  const { engine, req, head, decision } = exchange;
  const { clock, policy } = engine.options;
  const tookMs = clock.monotonicMs() - exchange.startedMs;
  if (how.end === 'answered' && exchange.attempts.length === 0) return;
  policy.report({
    requestId: exchange.requestId,
    method: req.method ?? '',
    target: `${head.target.path}${head.target.query}`.slice(0, 256),
    host: head.authority.slice(0, 256),
    route: decision?.route,
    service: decision?.service,
    code: undefined,
    why: [],
    attempts: exchange.attempts,
    startedUnixMs: clock.unixMs() - tookMs,
    tookMs,
    ...how,
  });
}

/**
 * The answer is written but the client may still be sending. Takes and drops the rest for a moment: closing at once would
 * make its TCP throw the answer away unread (RFC 9112 9.6).
 */
export function linger({ engine, req }: Exchange): void {
  if (req.complete) return;
  req.resume();
  const deadline = engine.deadlines.open(() => req.socket.destroy());
  deadline.set(lingerMs);
  req.once('close', () => deadline.close());
}

/** Makes the exchange of a request that just came in, and watches for a client that leaves. */
export function openExchange(
  engine: EngineContext,
  { req, res, head, expectsContinue = false, early }: Arrival & { readonly head: CheckedHead },
): Exchange {
  const exchange: Exchange = {
    engine,
    req,
    res,
    requestId: requestIdOf(req.rawHeaders, engine.newRequestId),
    startedMs: engine.options.clock.monotonicMs(),
    head,
    expectsContinue,
    continued: false,
    early,
    decision: undefined,
    attempts: [],
    ended: false,
    endless: false,
    cancel: () => undefined,
    hasAnswered: () => res.headersSent,
    abandon: () => leave(exchange),
  };
  engine.counters.requestsTotal += 1;
  engine.active.add(exchange);
  const { socket } = req;
  const others = engine.activeOn.get(socket);
  if (others === undefined) engine.activeOn.set(socket, [exchange]);
  else others.push(exchange);
  // An 'error' that nobody listens to would end the process; 'close' follows each of them.
  req.on('error', () => undefined);
  res.on('error', () => undefined);
  res.once('close', () => {
    if (!exchange.ended) {
      engine.counters.clientAbortsTotal += 1;
      leave(exchange);
    }
    engine.active.delete(exchange);
    const list = engine.activeOn.get(socket);
    const at = list?.indexOf(exchange) ?? -1;
    if (at >= 0) list?.splice(at, 1);
  });
  return exchange;
}

function leave(exchange: Exchange): void {
  finish(exchange, { end: 'left', status: exchange.res.headersSent ? exchange.res.statusCode : 0 });
  exchange.cancel();
}
