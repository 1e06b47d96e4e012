// How does one request go through? Attempt after attempt until one instance answers, then the answer at the pace of the
// slower side. Every exchange ends exactly once: answered, refused, cut, or left by its client.
//
//   CONNECTING -> SENDING -> AWAITING -> RELAYING -> over        each state has its own timeout
//        \___________\___________/
//                    v
//       retry.ts: again elsewhere, or refused with the reason of each candidate
import type { Refusal } from '@switchyard/protocol';
import { countRefusal } from '../counters.ts';
import type { AttemptRecord, RouteDecision } from '../engine.ts';
import type { AnswerHead } from '../http1/answer-head.ts';
import type { AttemptPhase } from '../retry.ts';
import { AnswerRelay, sendWhole } from './answer-relay.ts';
import { interimText } from './answer-text.ts';
import { Attempt } from './attempt.ts';
import type { ClientConnection } from './client-connection.ts';
import { sendRefusal } from './client-refusal.ts';
import { failureOf, overdue } from './failure.ts';
import type { Failure } from './failure.ts';
import { Forwarding } from './forwarding.ts';
import { redirectRequest } from './redirect-request.ts';
import { reportEnd } from './request-facts.ts';
import type { Ending, RequestFacts } from './request-facts.ts';
import type { SharedUser } from './shared-connection.ts';
import { switchFault, switchProtocols } from './switch-protocols.ts';
import { Tries } from './tries.ts';
import type { NextTry } from './tries.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';

type State = 'connecting' | 'sending' | 'awaiting' | 'relaying' | 'over';

/** One request on its way through the engine. */
export class Exchange implements UpstreamUser, SharedUser {
  readonly facts: RequestFacts;
  readonly startedMs: number;
  /** when the present state has lasted too long */
  deadlineMs = Infinity;
  /** an event stream has no end of its own, so nobody waits for it when the engine drains */
  endless = false;
  readonly #client: ClientConnection;
  readonly #decision: RouteDecision;
  readonly #forwarding: Forwarding;
  #tries: Tries | undefined;
  #state: State = 'connecting';
  #attempt: Attempt | undefined;
  /** taken from the client before there was a connection */
  #unsent: Buffer[] = [];
  #relay: AnswerRelay | undefined;
  #status = 0;
  #continued = false;
  #mayShare = true;

  constructor(client: ClientConnection, decision: RouteDecision, facts: RequestFacts) {
    this.#client = client;
    this.#decision = decision;
    this.facts = facts;
    this.#forwarding = new Forwarding(client, decision, facts);
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
    const told = { facts: this.facts, candidacy: this.#tries.candidacy };
    const goOn = decision.action === 'redirect' ? redirectRequest(this.#client, decision, told) : undefined;
    if (goOn === undefined) this.#attemptAt(this.#tries.first(this.startedMs));
    else this.#over(goOn);
  }

  #attemptAt(next: NextTry): void {
    if ('refusal' in next) {
      this.refuse(next.refusal);
      return;
    }
    const { engine } = this.#client;
    const attempt = new Attempt(engine, next, this.#attempts.length > 0);
    this.#attempt = attempt;
    const shared = this.#shareable && !next.fresh ? engine.pools.shared(next.target) : undefined;
    if (shared !== undefined) {
      this.#await();
      attempt.share(shared, this, this.#forwarding.text());
      return;
    }
    const upstream = attempt.alone(this, next.fresh || this.facts.upgrade);
    if (upstream.connected) {
      this.#send(upstream);
      return;
    }
    this.#enter('connecting', engine.options.timeouts.connectMs);
    if (!this.facts.body.done) this.#client.pause();
  }

  /** Sent twice, it does no harm, and nothing follows its head. */
  get #shareable(): boolean {
    const { method, body, upgrade } = this.facts;
    return method === 'GET' && body.done && !upgrade && this.#mayShare;
  }

  get method(): string {
    return this.facts.method;
  }

  wholeAnswer(bytes: Buffer, head: AnswerHead, end: number): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#status = head.status;
    attempt.answered(head.status, end - head.end);
    const client = this.#client;
    const goOn = client.wantsKeepAlive && !client.engine.draining;
    sendWhole({ client, facts: this.facts, instance: attempt.target.id, goOn }, { bytes, head, end });
    attempt.close();
    this.#attempt = undefined;
    this.#over(goOn);
  }

  takeOver(connection: UpstreamConnection, bytes: Buffer): void {
    if (this.#attempt === undefined) return;
    this.#attempt.upstream = connection;
    connection.use(this);
    if (bytes.length > 0) this.upstreamData(bytes);
  }

  displaced(): void {
    const attempt = this.#attempt;
    if (attempt === undefined || this.#tries === undefined) return;
    this.#attempt = undefined;
    this.#mayShare = false;
    this.#attemptAt(this.#tries.displaced(attempt));
  }

  sharedFailed({ heard, connected, error, reason }: Parameters<SharedUser['sharedFailed']>[0]): void {
    const phase: AttemptPhase = heard ? 'answering' : connected ? 'sent' : 'unsent';
    this.#mayShare = false;
    const failure = failureOf(error, phase, connected && !heard);
    this.#fail({ phase, ...failure, ...(reason === undefined ? {} : { reason }) });
  }

  #enter(state: State, forMs: number): void {
    this.#state = state;
    this.deadlineMs = this.#client.engine.options.clock.monotonicMs() + forMs;
  }

  upstreamConnected(): void {
    if (this.#attempt?.upstream) this.#send(this.#attempt.upstream);
  }

  #send(upstream: UpstreamConnection): void {
    const { body, expectsContinue } = this.facts;
    const again = this.#attempts.length > 0;
    upstream.send(this.#forwarding.text(), again ? body.keptParts : this.#unsent);
    this.#unsent = [];
    if (body.done || expectsContinue) this.#await();
    else this.#enter('sending', this.#forwarding.idleMs);
    if (!body.done && !upstream.socket.writableNeedDrain) this.#client.resume();
  }

  #await(): void {
    this.#enter('awaiting', this.#forwarding.responseMs);
  }

  /** The client sent more of the body: `body.part`; it has been checked and kept already. */
  clientBody(): void {
    const { body } = this.facts;
    const { part } = body;
    const problem = body.problem(this.#client.engine.options.limits.bodyBytes);
    if (problem !== undefined) {
      this.refuse(problem);
      return;
    }
    const upstream = this.#attempt?.upstream;
    if (this.#state === 'connecting' || upstream === undefined) {
      if (part.length > 0) this.#unsent.push(part);
      return;
    }
    if (part.length > 0 && !upstream.socket.write(part)) this.#client.pause();
    if (this.#state === 'relaying') this.moved();
    else if (body.done) this.#await();
    else this.#enter('sending', this.#forwarding.idleMs);
  }

  upstreamDrained(): void {
    if (this.#state === 'sending') this.#enter('sending', this.#forwarding.idleMs);
    if (!this.facts.body.done) this.#client.resume();
  }

  /** The client took everything that was written. */
  clientDrained(): void {
    if (this.#state !== 'relaying') return;
    this.moved();
    this.#attempt?.upstream?.socket.resume();
  }

  /** Bytes of the answer moved. */
  moved(): void {
    this.#enter('relaying', this.#forwarding.idleMs);
  }

  upstreamData(bytes: Buffer): void {
    const attempt = this.#attempt;
    const upstream = attempt?.upstream;
    if (attempt === undefined || upstream === undefined) return;
    attempt.heard = true;
    if (this.#relay !== undefined) {
      this.#relay.feed(bytes, 0);
      return;
    }
    if (this.#state === 'connecting') {
      this.#fail({ phase: 'answering', reason: 'it spoke before it was asked' });
      return;
    }
    const { reader } = upstream;
    const { answerHeadBytes } = this.#client.engine.options.limits;
    const outcome = reader.read(bytes, { limit: answerHeadBytes, interim: this.#interim });
    if (outcome === 'incomplete') return;
    if (outcome === 'complete') {
      this.#status = reader.head.status;
      if (this.#status === 101) this.#switched(attempt, upstream);
      else this.#answered(attempt, upstream);
      return;
    }
    const tooLarge = outcome === 'too-large' || outcome === 'too-many-fields';
    const reason = tooLarge ? 'the head of its answer is too large' : `its answer is not HTTP (${outcome})`;
    this.#fail({ phase: 'answering', reason });
  }

  /** 100 only when it was asked for, and once; others to clients that know them. */
  readonly #interim = (bytes: Buffer): void => {
    const head = this.#attempt?.upstream?.reader.head;
    if (this.facts.minor === 0 || head === undefined) return;
    if (head.status !== 100) this.#client.write(interimText(bytes, head));
    else if (this.facts.expectsContinue && !this.#continued) {
      this.#continued = true;
      this.#client.write('HTTP/1.1 100 Continue\r\n\r\n');
      if (!this.facts.body.done) this.#enter('sending', this.#forwarding.idleMs);
    }
  };

  #answered(attempt: Attempt, upstream: UpstreamConnection): void {
    const client = this.#client;
    const { target } = attempt;
    const { body, expectsContinue, upgrade } = this.facts;
    attempt.answered(this.#status, this.#shareable ? upstream.reader.head.bodyBytes(this.method) : undefined);
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

  #switched(attempt: Attempt, upstream: UpstreamConnection): void {
    const fault = this.facts.upgrade
      ? switchFault(this.#client, upstream)
      : 'it switched protocols without being asked';
    if (fault !== undefined) {
      this.#fail({ phase: 'answering', reason: fault });
      return;
    }
    const { target } = attempt;
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
    this.#over(goOn);
  }

  #over(goOn: boolean): void {
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
    this.#fail({ phase, ...failureOf(error, phase, this.#attempt?.upstream?.reused === true && !heard) });
  }

  /** The attempt is over without an answer. */
  #fail(failure: Pick<Failure, 'phase' | 'reason'> & Partial<Failure>): void {
    const attempt = this.#attempt;
    const tries = this.#tries;
    if (attempt === undefined || tries === undefined) return;
    this.#attempt = undefined;
    attempt.destroy();
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
    const state = this.#state;
    const { idleMs, responseMs } = this.#forwarding;
    const heard = this.#attempt?.heard === true;
    if (state === 'over') return;
    if (state === 'relaying') {
      if (this.#client.full) this.#client.destroy();
      else this.cut('its answer stood still');
    } else if (state === 'connecting') {
      this.#fail(overdue(state, { limitMs: this.#client.engine.options.timeouts.connectMs, heard }));
    } else if (state === 'awaiting') {
      this.#fail(overdue(state, { limitMs: responseMs, heard }));
    } else if (this.#attempt?.upstream?.socket.writableNeedDrain) {
      // whoever stands still is to blame: an instance that takes nothing, or a client that sends nothing
      this.#fail(overdue(state, { limitMs: idleMs, heard }));
    } else this.refuse({ code: 'timed_out', detail: `The body of the request stood still for ${idleMs} ms.` }, 408);
  }

  /** An instance is gone: if this request is with it and has no answer yet, it has failed there. */
  instanceGone(service: string, id: string, reason: string): void {
    const attempt = this.#attempt;
    if (attempt?.target.id !== id || attempt.target.service !== service || attempt.heard) return;
    this.#fail({ phase: this.#state === 'connecting' ? 'unsent' : 'sent', reason, removed: true });
  }

  /** Answers with a refusal in place of an instance. */
  refuse(refusal: Refusal, status?: number): void {
    const client = this.#client;
    const { body, expectsContinue, upgrade, requestId, target } = this.facts;
    const begun = this.#relay !== undefined;
    this.#drop();
    countRefusal(client.engine.counters, refusal.code);
    const uncertain = body.broken || expectsContinue || upgrade || client.engine.draining;
    const goOn = !uncertain && client.wantsKeepAlive;
    const sent = begun ? 0 : sendRefusal(client, refusal, { requestId, status, close: !goOn, path: target.path });
    this.#report({ end: 'refused', status: sent, code: refusal.code, why: refusal.why ?? [] });
    if (begun) client.breakOff(this.#relay?.form === 'plain-until-close');
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
    attempt?.destroy();
    attempt?.close();
    this.facts.body.settle();
  }

  #report(how: Ending): void {
    const { facts, startedMs } = this;
    const course = { facts, decision: this.#decision, attempts: this.#attempts, startedMs };
    reportEnd(this.#client.engine, course, how);
  }
}
