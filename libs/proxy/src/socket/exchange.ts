// How does one request go through? Attempt after attempt until one instance answers, then the answer at the pace of the
// slower side. Every exchange ends exactly once: answered, refused, cut, or left by its client.
//
//   CONNECTING -> SENDING -> AWAITING -> RELAYING -> over        each state has its own timeout
//        \___________\___________/
//                    v
//       retry.ts: again elsewhere, or refused with the reason of each candidate
import type { Refusal } from '@switchyard/protocol';
import { countRefusal } from '../counters.ts';
import type { AttemptRecord, ForwardDecision, RouteDecision } from '../engine.ts';
import { forwardedPath } from '../forwarded-path.ts';
import type { AttemptPhase } from '../retry.ts';
import { AnswerRelay } from './answer-relay.ts';
import { interimText } from './answer-text.ts';
import { Attempt } from './attempt.ts';
import type { ClientConnection } from './client-connection.ts';
import { failureOf } from './failure.ts';
import type { Failure } from './failure.ts';
import { redirectRequest } from './redirect-request.ts';
import { reportEnd } from './request-facts.ts';
import type { Ending, RequestFacts } from './request-facts.ts';
import { requestText } from './request-text.ts';
import { switchProtocols } from './switch-protocols.ts';
import { Tries } from './tries.ts';
import type { NextTry } from './tries.ts';
import type { UpstreamUser } from './upstream-connection.ts';

type State = 'connecting' | 'sending' | 'awaiting' | 'relaying' | 'over';

/** One request on its way through the engine. */
export class Exchange implements UpstreamUser {
  readonly facts: RequestFacts;
  readonly startedMs: number;
  /** when the present state has lasted too long */
  deadlineMs = Infinity;
  /** an event stream has no end of its own, so nobody waits for it when the engine drains */
  endless = false;
  readonly #client: ClientConnection;
  readonly #decision: RouteDecision;
  #tries: Tries | undefined;
  #state: State = 'connecting';
  #attempt: Attempt | undefined;
  /** taken from the client before there was a connection */
  #unsent: Buffer[] = [];
  #relay: AnswerRelay | undefined;
  #status = 0;
  #continued = false;

  constructor(client: ClientConnection, decision: RouteDecision, facts: RequestFacts) {
    this.#client = client;
    this.#decision = decision;
    this.facts = facts;
    this.startedMs = client.engine.options.clock.monotonicMs();
  }

  get over(): boolean {
    return this.#state === 'over';
  }

  get #attempts(): readonly AttemptRecord[] {
    return this.#tries?.attempts ?? [];
  }

  /** Refuses, redirects, or begins the first attempt, as the route decided. */
  start(): void {
    const decision = this.#decision;
    if (decision.action === 'refuse') {
      this.refuse(decision.refusal);
      return;
    }
    this.#tries = new Tries(this.#client.engine, decision);
    if (decision.action === 'proxy') this.#attemptAt(this.#tries.first());
    else this.#redirect(decision, this.#tries);
  }

  #redirect(decision: ForwardDecision, tries: Tries): void {
    const client = this.#client;
    const goOn = redirectRequest(client, decision, { facts: this.facts, candidacy: tries.candidacy });
    if (goOn === undefined) {
      this.#attemptAt(tries.first());
      return;
    }
    this.#drop();
    client.exchangeOver(goOn);
  }

  /** Only of a request that is forwarded. */
  get #forward(): ForwardDecision {
    return this.#decision as ForwardDecision;
  }

  #attemptAt(next: NextTry): void {
    if ('refusal' in next) {
      this.refuse(next.refusal);
      return;
    }
    const { engine } = this.#client;
    const fresh = next.fresh || this.facts.upgrade;
    const attempt = new Attempt(engine, next.target, { fresh, retry: this.#attempts.length > 0 });
    this.#attempt = attempt;
    attempt.use(this);
    if (attempt.upstream.connected) {
      this.#send(attempt);
      return;
    }
    this.#enter('connecting', engine.options.timeouts.connectMs);
    if (!this.facts.body.done) this.#client.pause();
  }

  #enter(state: State, forMs: number): void {
    this.#state = state;
    this.deadlineMs = this.#client.engine.options.clock.monotonicMs() + forMs;
  }

  upstreamConnected(): void {
    if (this.#attempt) this.#send(this.#attempt);
  }

  #send({ upstream: { socket } }: Attempt): void {
    const { body, expectsContinue } = this.facts;
    const text = this.#text();
    const again = this.#attempts.length > 0;
    const kept = again ? body.kept : undefined;
    const parts = again ? (kept === undefined || kept.length === 0 ? [] : [kept]) : this.#unsent;
    this.#unsent = [];
    if (parts.length === 0) socket.write(text, 'latin1');
    else {
      socket.cork();
      socket.write(text, 'latin1');
      for (const part of parts) socket.write(part);
      socket.uncork();
    }
    if (body.done || expectsContinue) this.#await();
    else this.#enter('sending', this.#idleMs);
    if (!body.done && !socket.writableNeedDrain) this.#client.resume();
  }

  /** The head as it goes to an instance. */
  #text(): string {
    const client = this.#client;
    const { target, authority, requestId, upgrade } = this.facts;
    const decision = this.#forward;
    return requestText({
      bytes: client.bytes,
      head: client.head,
      path: `${forwardedPath(target, decision)}${target.query}`,
      authority,
      forwarded: client.forwarded(authority, decision.stripPrefix),
      via: client.engine.options.via,
      requestId,
      upgrade,
    });
  }

  get #idleMs(): number {
    return this.#forward.idleMs ?? this.#client.engine.options.timeouts.idleMs;
  }

  get #responseMs(): number {
    return this.#forward.responseMs ?? this.#client.engine.options.timeouts.responseMs;
  }

  #await(): void {
    this.#enter('awaiting', this.#responseMs);
  }

  /** The client sent more of the body: `body.part`; it has been checked and kept already. */
  clientBody(): void {
    const { limits } = this.#client.engine.options;
    const { body } = this.facts;
    const { part } = body;
    if (body.broken) {
      const detail = 'The body of the request cannot be read: its chunks are malformed.';
      this.refuse({ code: 'malformed_request', detail });
      return;
    }
    if (limits.bodyBytes > 0 && body.receivedBytes > limits.bodyBytes) {
      const detail = `The body is larger than the ${limits.bodyBytes} bytes that are allowed.`;
      this.refuse({ code: 'too_large', detail });
      return;
    }
    const upstream = this.#attempt?.upstream;
    if (this.#state === 'connecting' || upstream === undefined) {
      if (part.length > 0) this.#unsent.push(part);
      return;
    }
    if (part.length > 0 && !upstream.socket.write(part)) this.#client.pause();
    if (this.#state === 'sending') {
      if (body.done) this.#await();
      else this.#enter('sending', this.#idleMs);
    } else if (this.#state === 'relaying') this.moved();
  }

  upstreamDrained(): void {
    if (this.#state === 'sending') this.#enter('sending', this.#idleMs);
    if (!this.facts.body.done) this.#client.resume();
  }

  /** The client took everything that was written. */
  clientDrained(): void {
    if (this.#state !== 'relaying') return;
    this.moved();
    this.#attempt?.upstream.socket.resume();
  }

  /** Bytes of the answer moved. */
  moved(): void {
    this.#enter('relaying', this.#idleMs);
  }

  upstreamData(bytes: Buffer): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    attempt.heard = true;
    if (this.#relay !== undefined) {
      this.#relay.feed(bytes, 0);
      return;
    }
    if (this.#state === 'connecting') {
      this.#fail({ phase: 'answering', reason: 'it spoke before it was asked' });
      return;
    }
    const { reader } = attempt.upstream;
    const { answerHeadBytes } = this.#client.engine.options.limits;
    const outcome = reader.read(bytes, { limit: answerHeadBytes, interim: this.#interim });
    if (outcome === 'incomplete') return;
    if (outcome === 'complete') {
      this.#status = reader.head.status;
      if (this.#status === 101) this.#switched(attempt);
      else this.#answered(attempt);
      return;
    }
    const tooLarge = outcome === 'too-large' || outcome === 'too-many-fields';
    const reason = tooLarge ? 'the head of its answer is too large' : `its answer is not HTTP (${outcome})`;
    this.#fail({ phase: 'answering', reason });
  }

  /** 100 only when it was asked for, and once; others to clients that know them. */
  readonly #interim = (bytes: Buffer): void => {
    const head = this.#attempt?.upstream.reader.head;
    if (this.facts.minor === 0 || head === undefined) return;
    if (head.status !== 100) this.#client.write(interimText(bytes, head));
    else if (this.facts.expectsContinue && !this.#continued) {
      this.#continued = true;
      this.#client.write('HTTP/1.1 100 Continue\r\n\r\n');
    }
  };

  #answered(attempt: Attempt): void {
    const client = this.#client;
    const { upstream, target } = attempt;
    const { body, expectsContinue, upgrade } = this.facts;
    attempt.answered(this.#status);
    body.settle();
    // a client that was not told to continue may skip its body, one that wanted to switch may have begun to: what comes
    // next could not be told apart
    const uncertain = upgrade || (expectsContinue && !this.#continued && !body.done);
    const keepAlive = client.wantsKeepAlive && !uncertain && !client.engine.draining;
    const relay = new AnswerRelay({ client, exchange: this, upstream, keepAlive, instance: target.id });
    this.#relay = relay;
    this.endless = relay.isEventStream();
    this.moved();
    relay.begin();
  }

  #switched(attempt: Attempt): void {
    if (!this.facts.upgrade) {
      this.#fail({ phase: 'answering', reason: 'it switched protocols without being asked' });
      return;
    }
    const { upstream, target } = attempt;
    this.#attempt = undefined;
    attempt.close();
    this.#drop();
    if (this.#attempts.length > 0) this.#report({ end: 'answered', status: this.#status });
    switchProtocols({ client: this.#client, upstream, target, requestId: this.facts.requestId });
  }

  /** The answer was handed over completely; the connection of the instance has been put away. */
  answered(goOn: boolean): void {
    this.#attempt?.close();
    this.#attempt = undefined;
    this.#drop();
    if (this.#attempts.length > 0) this.#report({ end: 'answered', status: this.#status });
    this.#client.exchangeOver(goOn);
  }

  upstreamEnded(): void {
    if (this.#relay === undefined) this.#closedUnanswered(undefined);
    else this.#relay.upstreamEnded();
  }

  upstreamClosed(error: NodeJS.ErrnoException | undefined): void {
    if (this.#state === 'over') return;
    if (this.#relay === undefined) this.#closedUnanswered(error);
    else this.cut('its answer broke off');
  }

  #closedUnanswered(error: NodeJS.ErrnoException | undefined): void {
    const heard = this.#attempt?.heard === true;
    const phase: AttemptPhase = this.#state === 'connecting' ? 'unsent' : heard ? 'answering' : 'sent';
    this.#fail({ phase, ...failureOf(error, phase, this.#attempt?.upstream.reused === true && !heard) });
  }

  /** The attempt is over without an answer. */
  #fail(failure: Pick<Failure, 'phase' | 'reason'> & Partial<Failure>): void {
    const attempt = this.#attempt;
    const tries = this.#tries;
    if (attempt === undefined || tries === undefined) return;
    this.#attempt = undefined;
    attempt.upstream.destroy();
    this.#attemptAt(tries.after(attempt, { timedOut: false, stale: false, ours: false, ...failure }, this));
  }

  /** The answer broke off: the client must not take what came for a whole one. */
  cut(reason: string): void {
    this.#client.engine.counters.truncatedTotal += 1;
    if (this.#attempt) this.#tries?.cut(this.#attempt, reason);
    this.#drop();
    this.#report({ end: 'cut', status: this.#status });
    this.#client.breakOff(this.#relay?.form === 'plain-until-close');
  }

  /** The present state has lasted too long. */
  expire(): void {
    const { connectMs } = this.#client.engine.options.timeouts;
    const idleMs = this.#idleMs;
    switch (this.#state) {
      case 'connecting':
        return this.#fail({ phase: 'unsent', reason: `no connection within ${connectMs} ms`, timedOut: true });
      case 'sending':
        // whoever stands still is to blame: an instance that takes nothing, or a client that sends nothing
        if (this.#attempt?.upstream.socket.writableNeedDrain) {
          return this.#fail({
            phase: 'sent',
            reason: `it took nothing of the request for ${idleMs} ms`,
            timedOut: true,
          });
        }
        return this.refuse({ code: 'timed_out', detail: `The body of the request stood still for ${idleMs} ms.` }, 408);
      case 'awaiting': {
        const phase = this.#attempt?.heard ? 'answering' : 'sent';
        return this.#fail({ phase, reason: `no answer within ${this.#responseMs} ms`, timedOut: true });
      }
      case 'relaying':
        if (this.#client.full) return this.#client.destroy();
        return this.cut('its answer stood still');
      case 'over':
    }
  }

  /** Answers with a refusal in place of an instance. */
  refuse(refusal: Refusal, status?: number): void {
    const client = this.#client;
    const { body, expectsContinue, upgrade, requestId } = this.facts;
    const begun = this.#relay !== undefined;
    this.#drop();
    countRefusal(client.engine.counters, refusal.code);
    const uncertain = body.broken || expectsContinue || upgrade || client.engine.draining;
    const goOn = !uncertain && client.wantsKeepAlive;
    const sent = begun ? 0 : client.sendRefusal(refusal, { requestId, status, close: !goOn });
    this.#report({ end: 'refused', status: sent, code: refusal.code, why: refusal.why ?? [] });
    if (begun) client.breakOff(false);
    else client.exchangeOver(goOn);
  }

  /** The client went away. */
  abandon(): void {
    if (this.over) return;
    this.#client.engine.counters.clientAbortsTotal += 1;
    this.#drop();
    this.#report({ end: 'left', status: this.#status });
  }

  #drop(): void {
    this.#state = 'over';
    this.deadlineMs = Infinity;
    const attempt = this.#attempt;
    this.#attempt = undefined;
    attempt?.upstream.destroy();
    attempt?.close();
    this.facts.body.settle();
  }

  #report(how: Ending): void {
    const { facts, startedMs } = this;
    const course = { facts, decision: this.#decision, attempts: this.#attempts, startedMs };
    reportEnd(this.#client.engine, course, how);
  }
}
