// One request, from its head to the end of its answer: which attempts are made, what the client gets, how it ends.
//
//   ATTEMPTING -> RELAYING -> OVER        a failed attempt is followed by the next one where that is safe (tries.ts)
//     ^  |                                refused, or cut when an answer had begun -> OVER
//     '-HELD (hold.ts)
import type { Refusal } from '@switchyard/protocol';
import { countRefusal } from '../counters.ts';
import type { AttemptRecord, RouteDecision } from '../engine.ts';
import { misdirectedTo } from './answer-facts.ts';
import { AnswerRelay, sendWhole } from './answer-relay.ts';
import { interimText } from './answer-text.ts';
import { Attempt } from './attempt.ts';
import type { AttemptOwner, WholeAnswer } from './attempt.ts';
import type { ClientConnection } from './client-connection.ts';
import { sendRefusal } from './client-refusal.ts';
import type { Failure } from './failure.ts';
import { Forwarding } from './forwarding.ts';
import { hedgeDelayMs } from './hedge.ts';
import { Hold, type Held } from './hold.ts';
import { redirectRequest } from './redirect-request.ts';
import { noteEnd } from './request-end.ts';
import type { Ending } from './request-end.ts';
import { isShareable, type RequestFacts } from './request-facts.ts';
import type { Movable } from './stall-guard.ts';
import { switchFault, switchProtocols } from './switch-protocols.ts';
import { Tries, type Destination, type NextTry } from './tries.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

type State = 'attempting' | 'held' | 'relaying' | 'over';

/** One request on its way through the engine. */
export class Exchange implements AttemptOwner, Movable, Held {
  readonly client: ClientConnection;
  readonly facts: RequestFacts;
  readonly forwarding: Forwarding;
  readonly startedMs: number;
  /** an event stream has no end of its own, so nobody waits for it when the engine drains */
  endless = false;
  readonly #decision: RouteDecision;
  #tries: Tries | undefined;
  #state: State = 'attempting';
  /** when a body that is relayed has stood still for too long; attempts have deadlines of their own */
  #deadlineMs = Infinity;
  #attempt: Attempt | undefined;
  /** asked as well, because the first one takes long */
  #rival: Attempt | undefined;
  #hold: Hold | undefined;
  #hedge: NodeJS.Timeout | undefined;
  /** taken from the client before there was a connection */
  #unsent: Buffer[] = [];
  #relay: AnswerRelay | undefined;
  #status = 0;
  #firstByteMs: number | undefined;
  #instance: string | undefined;
  #continued = false;
  #mayShare = true;

  constructor(client: ClientConnection, decision: RouteDecision, facts: RequestFacts) {
    this.client = client;
    this.#decision = decision;
    this.facts = facts;
    this.forwarding = new Forwarding(client, decision, facts);
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
    this.#tries = new Tries(this.client.engine, decision);
    if (decision.action === 'proxy') {
      this.goOn(this.#tries.first(this.startedMs));
      return;
    }
    const goOn = redirectRequest(this.client, decision, { facts: this.facts, candidacy: this.#tries.candidacy });
    this.#status = decision.redirectStatus;
    if (goOn === undefined) this.refuse(this.#tries.nobody());
    else this.#over(goOn);
  }

  goOn(next: NextTry): void {
    if ('target' in next) this.#attemptAt(next);
    else if ('refusal' in next) this.refuse(next.refusal);
    else this.#beHeld(next);
  }

  #beHeld(until: Exclude<NextTry, Destination | { readonly refusal: Refusal }>): void {
    const decision = this.#decision;
    if (this.#tries === undefined || decision.action === 'refuse') return;
    this.#state = 'held';
    this.#hold ??= new Hold(this, decision, this.#tries);
    if ('claim' in until) {
      this.#hold.forKey(until.claim);
      return;
    }
    const refusal = this.#hold.forRoom();
    if (refusal !== undefined) this.refuse(refusal);
  }

  #attemptAt(destination: Destination): void {
    this.#state = 'attempting';
    const attempt = new Attempt(this, { ...destination, isRetry: this.#attempts.length > 0 });
    this.#attempt = attempt;
    this.#instance = attempt.target.id;
    attempt.begin({ mayShare: this.#mayShare && isShareable(this.facts), fresh: destination.fresh });
    if (this.#decision.action === 'refuse' || this.#decision.rules.hedge === undefined) return;
    const afterMs = hedgeDelayMs(this.#decision.rules.hedge, attempt.target.meter);
    if (afterMs !== undefined) this.#hedge ??= setTimeout(this.#askAnother, afterMs).unref();
  }

  /** The instance cannot have been left with a body that it did not expect, or with somebody's credentials. */
  get leavesNoTrace(): boolean {
    return !this.facts.connectionAuth && (!this.facts.expectsContinue || this.#continued);
  }

  readonly #askAnother = (): void => {
    const attempt = this.#attempt;
    if (this.#state !== 'attempting' || attempt === undefined || attempt.heard) return;
    const destination = this.#tries?.rival(attempt, this);
    if (destination === undefined) return;
    this.client.engine.counters.hedgesTotal += 1;
    this.#rival = new Attempt(this, { ...destination, isRetry: true });
    this.#rival.begin({ mayShare: false, fresh: false });
  };

  bodyParts(): readonly Buffer[] {
    const parts = this.#attempts.length > 0 || this.#rival !== undefined ? this.facts.body.keptParts : this.#unsent;
    this.#unsent = [];
    return parts;
  }

  /** The client sent more of the body: `body.part`; it has been checked and kept already. */
  clientBody(): void {
    const { body } = this.facts;
    const { part } = body;
    const problem = body.problem(this.client.engine.options.limits.bodyBytes);
    if (problem !== undefined) {
      this.refuse(problem);
      return;
    }
    const attempt = this.#attempt;
    if (attempt?.takesBody !== true) {
      if (part.length > 0) this.#unsent.push(part);
      return;
    }
    attempt.sendBody(part);
    if (this.#state === 'relaying') this.moved();
  }

  /** The client took everything that was written. */
  clientDrained(): void {
    if (this.#state !== 'relaying') return;
    this.moved();
    this.#attempt?.upstream?.socket.resume();
  }

  /** Bytes of the answer moved. */
  moved(): void {
    const nowMs = this.client.engine.options.clock.monotonicMs();
    this.#deadlineMs = nowMs + this.forwarding.idleMs;
    if (this.#attempt !== undefined) this.#attempt.target.meter.heardMs = nowMs;
  }

  onDisplaced(attempt: Attempt): void {
    this.#mayShare = false;
    if (attempt !== this.#attempt || this.#tries === undefined) return;
    this.#attempt = undefined;
    this.goOn(this.#tries.again());
  }

  /** 100 only when it was asked for, and once; others to clients that know them. */
  onInterim(attempt: Attempt, bytes: Buffer): void {
    const head = attempt.upstream?.reader.head;
    if (this.facts.minor === 0 || head === undefined) return;
    if (head.status !== 100) this.client.write(interimText(bytes, head));
    else if (this.facts.expectsContinue && !this.#continued) {
      this.#continued = true;
      this.client.write('HTTP/1.1 100 Continue\r\n\r\n');
      attempt.continued();
    }
  }

  onWholeAnswer(attempt: Attempt, answer: WholeAnswer): void {
    const { client } = this;
    const { head, end } = answer;
    if (head.status === 421 && this.#isMisdirected(attempt, answer)) return;
    this.#settleOn(attempt, head.status);
    attempt.answered(head.status, end - head.end);
    const goOn = client.wantsKeepAlive && !client.engine.draining;
    sendWhole({ client, facts: this.facts, instance: attempt.target.id, goOn }, answer);
    this.answered(goOn);
  }

  onAnswer(attempt: Attempt, upstream: UpstreamConnection): void {
    const { client } = this;
    const { reader } = upstream;
    const { status } = reader.head;
    if (status === 421 && this.#isMisdirected(attempt, reader)) return;
    this.#settleOn(attempt, status);
    if (status === 101) {
      this.#switched(attempt, upstream);
      return;
    }
    const { body, expectsContinue, upgrade } = this.facts;
    const bodyBytes = reader.head.reusable() ? reader.head.bodyBytes(this.facts.method) : -1;
    attempt.answered(status, isShareable(this.facts) ? bodyBytes : undefined);
    body.settle();
    // a client that was not told to continue may skip its body, one that wanted to switch may have begun to: what comes
    // next could not be told apart
    const uncertain = upgrade || (expectsContinue && !this.#continued && !body.done);
    const keepAlive = client.wantsKeepAlive && !uncertain && !client.engine.draining;
    const relay = new AnswerRelay({ client, exchange: this, upstream, keepAlive, instance: attempt.target.id });
    this.#relay = relay;
    attempt.relay = relay;
    this.endless = relay.isEventStream();
    this.#state = 'relaying';
    this.moved();
    relay.begin();
  }

  /** This attempt's answer is the one that counts. */
  #settleOn(attempt: Attempt, status: number): void {
    clearTimeout(this.#hedge);
    const other = attempt === this.#attempt ? this.#rival : this.#attempt;
    this.#attempt = attempt;
    this.#rival = undefined;
    other?.leave();
    this.#status = status;
    this.#instance = attempt.target.id;
    if (this.client.logged) this.#firstByteMs = this.client.engine.options.clock.monotonicMs() - this.startedMs;
  }

  /** Whether the answer says that somebody else is at the address, and the request goes elsewhere for it. */
  #isMisdirected(attempt: Attempt, answer: Pick<WholeAnswer, 'bytes' | 'head'>): boolean {
    const other = misdirectedTo(answer, attempt.target.id);
    const reason = other === undefined ? 'it says that this is not for it (421)' : `${other} is at its address now`;
    const failure: Failure = { phase: 'unsent', reason, timedOut: false, stale: false, ours: other === undefined };
    if (other !== undefined || attempt === this.#rival) {
      attempt.fail(failure);
      return true;
    }
    // an instance that does not check for whom a request is may have reasons of its own
    const destination = this.#tries?.elsewhere(attempt, failure, this);
    if (destination === undefined) return false;
    attempt.leave();
    this.#attemptAt(destination);
    return true;
  }

  #switched(attempt: Attempt, upstream: UpstreamConnection): void {
    const fault = this.facts.upgrade ? switchFault(this.client, upstream) : 'it switched protocols without being asked';
    if (fault !== undefined) {
      attempt.fail({ phase: 'answering', reason: fault });
      return;
    }
    const { target } = attempt;
    this.#attempt = undefined;
    attempt.close();
    this.#end({ end: 'answered', status: this.#status });
    switchProtocols({ client: this.client, upstream, target, requestId: this.facts.requestId });
  }

  /** What came with the head of the answer is no body; the client has got nothing of it. */
  unusable(reason: string): void {
    const attempt = this.#attempt;
    this.#relay = undefined;
    this.#deadlineMs = Infinity;
    if (attempt === undefined) return;
    attempt.relay = undefined;
    attempt.fail({ phase: 'answering', reason });
  }

  /** The answer was handed over completely; the connection of the instance has been put away. */
  answered(goOn: boolean): void {
    this.#attempt?.close();
    this.#attempt = undefined;
    this.#over(goOn);
  }

  #over(goOn: boolean): void {
    this.#end({ end: 'answered', status: this.#status });
    this.client.exchangeOver(goOn);
  }

  onFailure(attempt: Attempt, failure: Failure): void {
    const tries = this.#tries;
    if (tries === undefined || this.over) return;
    this.#mayShare = false;
    const other = attempt === this.#rival ? this.#attempt : this.#rival;
    this.#rival = undefined;
    this.#attempt = other;
    if (other === undefined) this.goOn(tries.after(attempt, failure, this));
    else tries.note(attempt, failure);
  }

  /** The answer broke off: the client must not take what came for a whole one. */
  cut(reason: string): void {
    this.client.engine.counters.truncatedTotal += 1;
    if (this.#attempt) this.#tries?.cut(this.#attempt, reason);
    this.#end({ end: 'cut', status: this.#status });
    this.client.breakOff(this.#relay?.form === 'plain-until-close');
  }

  onClientStalled(): void {
    const detail = `The body of the request stood still for ${this.forwarding.idleMs} ms.`;
    this.refuse({ code: 'timed_out', detail }, 408);
  }

  /** Looks at its deadlines. */
  sweep(nowMs: number): void {
    if (nowMs > this.#deadlineMs) {
      if (this.client.full) this.client.destroy();
      else this.cut('its answer stood still');
    }
    if (this.#hold !== undefined && nowMs > this.#hold.deadlineMs) this.refuse(this.#hold.overdue());
    if (this.#attempt !== undefined && nowMs > this.#attempt.deadlineMs) this.#attempt.expire();
    if (this.#rival !== undefined && nowMs > this.#rival.deadlineMs) this.#rival.expire();
  }

  get waitingAttempt(): Attempt | undefined {
    return this.#rival === undefined && this.#attempt?.isWaiting === true ? this.#attempt : undefined;
  }

  moveOn(reason: string): void {
    const attempt = this.waitingAttempt;
    if (attempt === undefined) return;
    const failure: Failure = { phase: 'sent', reason, timedOut: true, stale: false, ours: false };
    const destination = this.#tries?.elsewhere(attempt, failure, this);
    if (destination === undefined) return;
    attempt.leave();
    this.#mayShare = false;
    this.#attemptAt(destination);
  }

  /** An instance is gone: if this request is with it and has no answer yet, it has failed there. */
  instanceGone(service: string, id: string, reason: string): void {
    this.#rival?.instanceGone(service, id, reason);
    this.#attempt?.instanceGone(service, id, reason);
  }

  /** Answers with a refusal in place of an instance. */
  refuse(refusal: Refusal, status?: number): void {
    const { client } = this;
    const { body, expectsContinue, upgrade, requestId, target } = this.facts;
    const begun = this.#relay !== undefined;
    countRefusal(client.engine.counters, refusal.code);
    const uncertain = body.broken || expectsContinue || upgrade || client.engine.draining;
    const goOn = !uncertain && client.wantsKeepAlive;
    this.#drop();
    const sent = begun ? 0 : sendRefusal(client, refusal, { requestId, status, close: !goOn, path: target.path });
    this.#end({ end: 'refused', status: sent, code: refusal.code, why: refusal.why ?? [] });
    if (begun) client.breakOff(this.#relay?.form === 'plain-until-close');
    else client.exchangeOver(goOn);
  }

  /** The client went away. */
  abandon(): void {
    if (this.over) return;
    this.client.engine.counters.clientAbortsTotal += 1;
    this.#end({ end: 'left', status: this.#status });
  }

  /** Lets go of everything that it holds. */
  #drop(): void {
    this.#hold?.end();
    this.#state = 'over';
    this.#deadlineMs = Infinity;
    clearTimeout(this.#hedge);
    this.#attempt?.leave();
    this.#attempt = undefined;
    this.#rival?.leave();
    this.#rival = undefined;
    this.facts.body.settle();
  }

  #end(how: Ending): void {
    this.#drop();
    noteEnd(this.client, how, {
      facts: this.facts,
      requestId: this.facts.requestId,
      decision: this.#decision,
      attempts: this.#attempts,
      startedMs: this.startedMs,
      instance: this.#instance,
      firstByteMs: this.#firstByteMs,
    });
  }
}
