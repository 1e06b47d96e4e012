// How is a request forwarded? Attempt after attempt until one answers, then the answer goes back as it comes.
//
//   CONNECTING -> SENDING -> AWAITING ANSWER -> RELAYING -> done      each state has its own timeout
//        \___________\____________/
//                     v
//        retry.ts: again elsewhere, or refuse with the reason of each candidate
import type { Refusal } from '@switchyard/protocol';
import { startAttempt, type Attempt, type AttemptEvents, type AttemptFailure } from './attempt.ts';
import { giveUp, pickTarget, type Candidacy } from './candidacy.ts';
import type { ForwardDecision, Target } from './engine.ts';
import { refuse, type Exchange } from './exchange.ts';
import { forwardedPath } from './forwarded-path.ts';
import { valueOf } from './header-list.ts';
import { passInterim } from './interim-answer.ts';
import { isItsFault, openLoad, type Load } from './load.ts';
import { passAnswer } from './pass-answer.ts';
import { passUpgrade } from './pass-upgrade.ts';
import { createRequestBody } from './request-body.ts';
import { requestHeaders } from './request-headers.ts';
import { retryVerdict } from './retry.ts';
import { createWatch } from './watch.ts';

/** An attempt as the loop sees it. */
interface Trial {
  readonly target: Target;
  readonly load: Load;
  readonly startedMs: number;
}

/** Forwards the request; the exchange ends in `finish` or `refuse`, or when its client leaves. Never throws. */
export function forward(exchange: Exchange, decision: ForwardDecision): void {
  const { engine, req, res, head } = exchange;
  const { limits, timeouts, clock } = engine.options;
  const { framing } = head;
  const idleMs = decision.idleMs ?? timeouts.idleMs;
  const responseMs = decision.responseMs ?? timeouts.responseMs;
  const candidacy: Candidacy = { excluded: [], passedOver: [] };
  const watch = createWatch(engine.deadlines);
  let attemptsMade = 0;
  let staleSeen = false;
  let onSent = (): void => undefined;

  const body = createRequestBody(
    req,
    { hasBody: framing.kind !== 'none', replayBytes: limits.replayBytes, bodyBytes: limits.bodyBytes },
    { progress: () => watch.moved(), finished: () => onSent(), tooLarge: () => stop(tooLarge(limits.bodyBytes)) },
  );
  res.once('close', () => watch.close());
  if (framing.kind === 'length' && limits.bodyBytes > 0 && framing.bytes > limits.bodyBytes) {
    stop(tooLarge(limits.bodyBytes));
    return;
  }
  const first = pickTarget(engine, decision.service, candidacy);
  if (first === undefined) stop(giveUp(exchange, decision, candidacy));
  else attemptAt(first, false);

  function attemptAt(target: Target, fresh: boolean): void {
    const isRetry = exchange.attempts.length > 0;
    if (isRetry) engine.counters.retriesTotal += 1;
    const trial: Trial = { target, load: openLoad(target, isRetry), startedMs: clock.monotonicMs() };
    // The events come in later turns of the event loop, when `attempt` is there.
    const attempt: Attempt | undefined = begin(target, fresh, {
      connected: () => attempt && send(attempt),
      information: (status, rawHeaders) => passInterim(exchange, status, rawHeaders),
      answered: (answer) => {
        trial.load.answered(answer.statusCode ?? 0, clock.monotonicMs() - trial.startedMs);
        onSent = () => watch.moved();
        if (!attempt || passAnswer(exchange, { ...trial, attempt, answer, body, watch, idleMs })) return;
        attempt.cancel();
        failed(trial, unpassable);
      },
      upgraded: (answer, socket, early) => {
        watch.close();
        passUpgrade(exchange, { ...trial, answer, socket, early });
      },
      failed: (failure) => failed(trial, failure),
    });
    exchange.cancel = () => {
      watch.close();
      attempt?.cancel();
      trial.load.close();
    };
    if (attempt === undefined) {
      // node:http refuses to write it, so it could not be sent to any other instance either.
      stop({ code: 'malformed_request', detail: 'The request cannot be passed on: its path is not legal.' });
      return;
    }
    watch.wait(timeouts.connectMs, () => attempt.expire(`no connection within ${timeouts.connectMs} ms`));
  }

  function begin(target: Target, fresh: boolean, events: AttemptEvents): Attempt | undefined {
    const peer = req.socket.remoteAddress ?? '';
    const isUpgrade = exchange.early !== undefined;
    const headers = requestHeaders(req.rawHeaders, {
      method: req.method ?? '',
      framing,
      hop: {
        peer,
        trusted: engine.trusted.isTrusted(peer),
        scheme: 'http',
        authority: head.authority,
        strippedPrefix: decision.stripPrefix,
      },
      requestId: exchange.requestId,
      via: engine.options.via,
      httpVersion: req.httpVersion,
      upgrade: isUpgrade ? valueOf(req.rawHeaders, 'upgrade') : undefined,
    });
    const path = `${forwardedPath(head.target, decision)}${head.target.query}`;
    const sent = { target, method: req.method ?? '', path, headers };
    try {
      return startAttempt(
        { ...sent, agents: engine.agents, fresh, upgrade: isUpgrade, answerHeadBytes: limits.answerHeadBytes },
        events,
      );
    } catch {
      return undefined;
    }
  }

  function send(attempt: Attempt): void {
    const awaitAnswer = (): void => watch.wait(responseMs, () => attempt.expire(`no answer within ${responseMs} ms`));
    onSent = awaitAnswer;
    if (body.finished || exchange.expectsContinue) awaitAnswer();
    else watch.stream(idleMs, () => stoodStill(attempt));
    body.sendTo(attempt.request);
    // A head must not wait for the first byte of its body.
    setImmediate(() => {
      if (!attempt.request.writableEnded && !attempt.request.destroyed) attempt.request.flushHeaders();
    });
  }

  // Whoever stands still is to blame: an instance that takes nothing, or a client that sends nothing.
  function stoodStill(attempt: Attempt): void {
    const detail = `The body of the request stood still for ${idleMs} ms.`;
    if (attempt.request.writableNeedDrain) attempt.expire(`it took nothing of the request for ${idleMs} ms`);
    else stop({ code: 'timed_out', detail }, 408);
  }

  function failed({ target, load, startedMs }: Trial, failure: AttemptFailure): void {
    load.close();
    body.detach();
    const nowMs = clock.monotonicMs();
    exchange.attempts.push({ instance: target.id, outcome: failure.reason, tookMs: nowMs - startedMs });
    // The second kept connection in a row that turns out to be closed is a failure like any other.
    const stale = failure.stale && !staleSeen;
    staleSeen ||= failure.stale;
    if (stale) target.meter.staleConnections += 1;
    else attemptsMade += 1;
    if (isItsFault({ ...failure, stale })) load.blamed(failure.reason, clock.unixMs());
    const verdict = retryVerdict({
      phase: failure.phase,
      method: req.method ?? '',
      replayable: body.replayable,
      stale,
      attemptsMade,
      attemptsAllowed: decision.attempts,
      elapsedMs: nowMs - exchange.startedMs,
      totalMs: timeouts.totalMs,
    });
    if (!verdict.again) {
      stop(giveUp(exchange, decision, { ...candidacy, last: failure, because: verdict.because }));
      return;
    }
    if (!verdict.sameAllowed) candidacy.excluded.push(target.id);
    const other = pickTarget(engine, decision.service, candidacy);
    if (other === undefined) stop(giveUp(exchange, decision, { ...candidacy, last: failure }));
    else attemptAt(other, verdict.sameAllowed);
  }

  function stop(refusal: Refusal, status?: number): void {
    exchange.cancel();
    watch.close();
    body.discard();
    refuse(exchange, refusal, status);
  }
}

const unpassable: AttemptFailure = {
  phase: 'answering',
  reason: 'the head of its answer cannot be passed on',
  timedOut: false,
  stale: false,
  ours: false,
};

function tooLarge(limitBytes: number): Refusal {
  return { code: 'too_large', detail: `The body is larger than the ${limitBytes} bytes that are allowed.` };
}
