// How does the answer of an instance become the answer to the client? Its head is rewritten, its body streamed, and when it
// breaks off, so does the connection to the client.
import type { IncomingMessage } from 'node:http';
import type { Attempt } from './attempt.ts';
import type { Target } from './engine.ts';
import { finish, linger, type Exchange } from './exchange.ts';
import { valueOf } from './header-list.ts';
import type { Load } from './load.ts';
import { breakOff, relay } from './relay.ts';
import type { RequestBody } from './request-body.ts';
import { responseHeaders } from './response-headers.ts';
import type { Watch } from './watch.ts';

/** One answer and everything it has to do with. */
export interface Passage {
  readonly target: Target;
  readonly attempt: Attempt;
  readonly answer: IncomingMessage;
  readonly load: Load;
  readonly body: RequestBody;
  readonly watch: Watch;
  /** Longest silence in ms. */
  readonly idleMs: number;
}

/** Passes the answer on; ends the exchange. False when its head cannot be expressed: nothing was sent then. */
export function passAnswer(exchange: Exchange, passage: Passage): boolean {
  const { engine, req, res } = exchange;
  const { answer, attempt, load, body, watch, target, idleMs } = passage;
  const status = answer.statusCode ?? 0;
  const headers = answerHeaders(exchange, passage);
  const endsByClose = req.httpVersion === '1.0' && valueOf(headers, 'content-length') === undefined;
  exchange.endless = (answer.headers['content-type'] ?? '').startsWith('text/event-stream');
  watch.stream(idleMs, () => {
    // Whoever stands still is to blame: a client that takes nothing, or an instance that sends nothing.
    if (res.writableNeedDrain) res.destroy();
    else answer.destroy();
  });
  const head = { status, reason: answer.statusMessage ?? '', headers };
  try {
    relay(answer, res, head, { progress: () => watch.moved(), done: (outcome) => done(outcome) });
  } catch {
    return false;
  }
  body.settle();
  return true;

  function done(outcome: 'complete' | 'cut'): void {
    const { counters, options } = engine;
    const statusClass = Math.floor(status / 100);
    counters.answersByClass[statusClass] = (counters.answersByClass[statusClass] ?? 0) + 1;
    load.close();
    if (exchange.ended) return;
    if (outcome === 'cut') {
      counters.truncatedTotal += 1;
      load.blamed('its answer broke off', options.clock.unixMs());
      const tookMs = options.clock.monotonicMs() - exchange.startedMs;
      exchange.attempts.push({ instance: target.id, outcome: 'its answer broke off', tookMs });
      attempt.cancel();
      finish(exchange, { end: 'cut', status });
      breakOff(res, endsByClose);
      return;
    }
    finish(exchange, { end: 'answered', status });
    // What is still on its way to the client has as long as everything else that may stand still.
    watch.wait(idleMs, () => res.destroy());
    if (body.finished) return;
    // The instance has said all it will; what the client still sends has no reader.
    attempt.cancel();
    body.discard();
    linger(exchange);
  }
}

function answerHeaders(exchange: Exchange, { answer, target, body }: Passage): string[] {
  const { engine, req } = exchange;
  const status = answer.statusCode ?? 0;
  const headers = responseHeaders(answer.rawHeaders, {
    status,
    chunkable: req.httpVersion !== '1.0' && req.method !== 'HEAD' && status !== 204 && status !== 304,
    requestId: exchange.requestId,
    instance: engine.options.announceInstance ? target.id : undefined,
  });
  // A client that was not told to continue may skip its body: what comes next could not be told apart.
  const uncertain = exchange.expectsContinue && !exchange.continued && !body.finished;
  if (uncertain || engine.isDraining()) headers.push('Connection', 'close');
  return headers;
}
