// What does one attempt at one instance do? It sends the request, on a connection of its own or on one that it shares, waits for
// the head of the answer, and leaves its trace in the counters of the instance.
//
//   CONNECTING -> SENDING (a body) -> AWAITING -> ANSWERED (the relay has it)        sharing begins with AWAITING
//        any of them -> OVER: failed (the request hears of it), displaced, or left
import type { Target } from '../engine.ts';
import type { AnswerHead } from '../http1/answer-head.ts';
import type { AttemptPhase } from '../retry.ts';
import type { AnswerRelay } from './answer-relay.ts';
import type { ClientConnection } from './client-connection.ts';
import { failureOf, overdue } from './failure.ts';
import type { Failure } from './failure.ts';
import type { Forwarding } from './forwarding.ts';
import type { RequestFacts } from './request-facts.ts';
import type { SharedUser } from './shared-connection.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';

/** An answer that came whole and brief, on a shared connection. */
export interface WholeAnswer {
  readonly bytes: Buffer;
  readonly head: AnswerHead;
  /** offset behind its body */
  readonly end: number;
}

/** The request on whose behalf attempts are made. */
export interface AttemptOwner {
  readonly client: ClientConnection;
  readonly facts: RequestFacts;
  readonly forwarding: Forwarding;
  /** What of the body is to be sent behind the head. */
  bodyParts(): readonly Buffer[];
  /** The head of an interim answer stands in the reader of its connection. */
  onInterim(attempt: Attempt, bytes: Buffer): void;
  /** The head of the answer stands in the reader of its connection. */
  onAnswer(attempt: Attempt, upstream: UpstreamConnection): void;
  onWholeAnswer(attempt: Attempt, answer: WholeAnswer): void;
  /** It is over without an answer. */
  onFailure(attempt: Attempt, failure: Failure): void;
  /** It stood behind another request and has to be made anew. */
  onDisplaced(attempt: Attempt): void;
  /** The client sends nothing more of its body. */
  onClientStalled(): void;
}

type Step = 'connecting' | 'sending' | 'awaiting' | 'answered' | 'over';

/** An attempt under way; counted at its instance until `close`. */
export class Attempt implements UpstreamUser, SharedUser {
  readonly target: Target;
  /** undefined while it shares a connection with others */
  upstream: UpstreamConnection | undefined;
  /** the instance sent something */
  heard = false;
  /** where its answer goes, once there is one */
  relay: AnswerRelay | undefined;
  /** when the present step has lasted too long */
  deadlineMs = Infinity;
  readonly startedMs: number;
  readonly #owner: AttemptOwner;
  readonly #blamable: boolean;
  #step: Step = 'connecting';
  #open = true;
  #giveUp: (() => void) | undefined;

  /** `blamable`: the request has not failed elsewhere, so what happens to it speaks about this instance. */
  constructor(
    owner: AttemptOwner,
    at: { readonly target: Target; readonly blamable: boolean; readonly isRetry: boolean },
  ) {
    const { target, blamable, isRetry } = at;
    const { counters, options } = owner.client.engine;
    const { meter } = target;
    this.startedMs = options.clock.monotonicMs();
    if (meter.inFlight === 0) meter.heardMs = this.startedMs;
    meter.requests += 1;
    meter.inFlight += 1;
    if (isRetry) {
      meter.retries += 1;
      counters.retriesTotal += 1;
    }
    this.target = target;
    this.#blamable = blamable;
    this.#owner = owner;
  }

  /** Sends the request. `mayShare`: with others on one connection; `fresh`: on a new one. */
  begin({ mayShare, fresh }: { readonly mayShare: boolean; readonly fresh: boolean }): void {
    const { client, facts, forwarding } = this.#owner;
    const { pools, options } = client.engine;
    const shared = mayShare && !fresh ? pools.shared(this.target) : undefined;
    if (shared !== undefined) {
      this.#await();
      this.#giveUp = shared.add(this, forwarding.text(this.target.id));
      return;
    }
    const isNew = fresh || facts.upgrade;
    const upstream = (isNew ? undefined : pools.take(this.target)) ?? pools.open(this.target, facts.upgrade);
    this.upstream = upstream;
    upstream.use(this);
    if (upstream.connected) {
      this.#send(upstream);
      return;
    }
    this.#enter('connecting', options.timeouts.connectMs);
    if (!facts.body.done) client.pause();
  }

  get method(): string {
    return this.#owner.facts.method;
  }

  get tookMs(): number {
    return this.#nowMs() - this.startedMs;
  }

  /** Everything was sent, and nothing has come. */
  get isWaiting(): boolean {
    return this.#step === 'awaiting' && !this.heard;
  }

  /** It can take more of the body now. */
  get takesBody(): boolean {
    return this.#step !== 'connecting' && this.upstream !== undefined;
  }

  #nowMs(): number {
    return this.#owner.client.engine.options.clock.monotonicMs();
  }

  #enter(step: Step, forMs: number): void {
    this.#step = step;
    this.deadlineMs = this.#nowMs() + forMs;
  }

  #await(): void {
    this.#enter('awaiting', this.#owner.forwarding.responseMs);
  }

  #send(upstream: UpstreamConnection): void {
    const { client, facts, forwarding } = this.#owner;
    const { body, expectsContinue } = facts;
    upstream.send(forwarding.text(this.target.id), this.#owner.bodyParts());
    if (body.done || expectsContinue) this.#await();
    else this.#enter('sending', forwarding.idleMs);
    if (!body.done && !upstream.socket.writableNeedDrain) client.resume();
  }

  /** Sends more of the body; `takesBody` must hold. */
  sendBody(part: Buffer): void {
    const { client, facts, forwarding } = this.#owner;
    if (part.length > 0 && this.upstream?.socket.write(part) === false) client.pause();
    if (this.#step === 'answered') return;
    if (facts.body.done) this.#await();
    else this.#enter('sending', forwarding.idleMs);
  }

  /** The client was told to continue, so its body is being sent from now on. */
  continued(): void {
    if (!this.#owner.facts.body.done) this.#enter('sending', this.#owner.forwarding.idleMs);
  }

  upstreamConnected(): void {
    if (this.upstream) this.#send(this.upstream);
  }

  upstreamDrained(): void {
    const { client, facts, forwarding } = this.#owner;
    if (this.#step === 'sending') this.#enter('sending', forwarding.idleMs);
    if (!facts.body.done) client.resume();
  }

  upstreamData(bytes: Buffer): void {
    const { upstream, relay } = this;
    if (upstream === undefined) return;
    this.heard = true;
    if (relay !== undefined) {
      relay.feed(bytes, 0);
      return;
    }
    if (this.#step === 'connecting') {
      this.fail({ phase: 'answering', reason: 'it spoke before it was asked' });
      return;
    }
    const { reader } = upstream;
    const { answerHeadBytes } = this.#owner.client.engine.options.limits;
    const outcome = reader.read(bytes, { limit: answerHeadBytes, interim: this.#interim });
    if (outcome === 'incomplete') return;
    if (outcome === 'complete') {
      this.#owner.onAnswer(this, upstream);
      return;
    }
    const tooLarge = outcome === 'too-large' || outcome === 'too-many-fields';
    const reason = tooLarge ? 'the head of its answer is too large' : `its answer is not HTTP (${outcome})`;
    this.fail({ phase: 'answering', reason });
  }

  readonly #interim = (bytes: Buffer): void => this.#owner.onInterim(this, bytes);

  upstreamEnded(): void {
    if (this.relay === undefined) this.#closedUnanswered(undefined);
    else this.relay.upstreamEnded();
  }

  upstreamClosed(error: NodeJS.ErrnoException | undefined): void {
    if (this.#step === 'over') return;
    if (this.relay === undefined) this.#closedUnanswered(error);
    else this.relay.upstreamClosed();
  }

  #closedUnanswered(error: NodeJS.ErrnoException | undefined): void {
    const { heard } = this;
    const phase: AttemptPhase = this.#step === 'connecting' ? 'unsent' : heard ? 'answering' : 'sent';
    this.fail({ phase, ...failureOf(error, phase, this.upstream?.reused === true && !heard) });
  }

  wholeAnswer(bytes: Buffer, head: AnswerHead, end: number): void {
    if (this.#step === 'over') return;
    this.heard = true;
    this.#owner.onWholeAnswer(this, { bytes, head, end });
  }

  takeOver(connection: UpstreamConnection, bytes: Buffer): void {
    this.#giveUp = undefined;
    this.upstream = connection;
    connection.use(this);
    if (bytes.length > 0) this.upstreamData(bytes);
  }

  displaced(): void {
    if (this.#step === 'over') return;
    this.leave();
    this.#owner.onDisplaced(this);
  }

  sharedFailed({ heard, connected, error, reason }: Parameters<SharedUser['sharedFailed']>[0]): void {
    const phase: AttemptPhase = heard ? 'answering' : connected ? 'sent' : 'unsent';
    const failure = failureOf(error, phase, connected && !heard);
    this.fail({ phase, ...failure, ...(reason === undefined ? {} : { reason }) });
  }

  /** The present step has lasted too long. */
  expire(): void {
    const { heard } = this;
    const { forwarding, client } = this.#owner;
    this.deadlineMs = Infinity;
    if (this.#step === 'connecting') {
      this.fail(overdue('connecting', { limitMs: client.engine.options.timeouts.connectMs, heard }));
    } else if (this.#step === 'awaiting') {
      this.fail(overdue('awaiting', { limitMs: forwarding.responseMs, heard }));
    } else if (this.upstream?.socket.writableNeedDrain === true) {
      // whoever stands still is to blame: an instance that takes nothing, or a client that sends nothing
      this.fail(overdue('sending', { limitMs: forwarding.idleMs, heard }));
    } else this.#owner.onClientStalled();
  }

  /** The catalog gave the instance up: the attempt has failed, unless its answer has begun. */
  instanceGone(service: string, id: string, reason: string): void {
    const { target } = this;
    if (target.id !== id || target.service !== service || this.heard) return;
    this.fail({ phase: this.#step === 'connecting' ? 'unsent' : 'sent', reason, removed: true });
  }

  /** It is over without an answer. */
  fail(failure: Pick<Failure, 'phase' | 'reason'> & Partial<Failure>): void {
    if (this.#step === 'over') return;
    this.#abort();
    this.#owner.onFailure(this, { timedOut: false, stale: false, ours: false, ...failure });
  }

  /** The head of an answer came. `bodyBytes`: -1 when its length was not said or its connection closes; undefined for a request that never shares. */
  answered(status: number, bodyBytes: number | undefined): void {
    const { meter } = this.target;
    const { pools, options } = this.#owner.client.engine;
    const nowMs = this.#nowMs();
    const tookMs = nowMs - this.startedMs;
    this.#step = 'answered';
    this.deadlineMs = Infinity;
    if (bodyBytes !== undefined) pools.gauge(this.target).answered(tookMs, bodyBytes);
    meter.heardMs = nowMs;
    meter.stalled = false;
    meter.latency.record(tookMs);
    meter.recent.record(tookMs);
    if (status >= 500) meter.serverErrors += 1;
    if (status >= 502 && status <= 504) {
      if (this.#blamable) options.policy.observe(this.target, 'gateway-error', `it answered ${status}`);
    } else if (meter.watched) options.policy.observe(this.target, 'answered', '');
  }

  /** It failed by the fault of the instance. */
  blame(reason: string): void {
    const { meter } = this.target;
    meter.errors += 1;
    meter.lastError = reason;
    meter.lastErrorUnixMs = this.#owner.client.engine.options.clock.unixMs();
  }

  /** It failed before its answer: the owner of the engine hears of it when it speaks about the instance. */
  failed({ phase, reason, timedOut }: Failure): void {
    this.blame(reason);
    if (!this.#blamable) return;
    const outcome = phase === 'unsent' ? 'connect' : timedOut ? 'timeout' : 'reset';
    this.#owner.client.engine.options.policy.observe(this.target, outcome, reason);
  }

  /** Breaks it off without a word about the instance. */
  leave(): void {
    this.#abort();
    this.close();
  }

  #abort(): void {
    this.#step = 'over';
    this.deadlineMs = Infinity;
    this.upstream?.destroy();
    this.#giveUp?.();
    this.#giveUp = undefined;
  }

  /** It is over; the connection is somebody else's to deal with. Later calls change nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#step = 'over';
    this.target.meter.inFlight -= 1;
    this.#owner.client.engine.waiting.roomAt(this.target.service);
  }
}
