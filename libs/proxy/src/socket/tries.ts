// What comes after an attempt? Counts them, remembers who is out of the question, and decides by retry.ts.
import type { Refusal } from '@switchyard/protocol';
import { giveUp, pickTarget } from '../candidacy.ts';
import type { Candidacy } from '../candidacy.ts';
import type { AttemptRecord, ForwardDecision, Target } from '../engine.ts';
import { isIdempotent, retryVerdict } from '../retry.ts';
import type { RetryVerdict } from '../retry.ts';
import type { Attempt } from './attempt.ts';
import type { EngineState } from './engine-state.ts';
import type { Failure } from './failure.ts';
import type { RequestFacts } from './request-facts.ts';

/** Where the next attempt goes. `fresh`: not on a kept connection. `blamable`: see Attempt. */
export interface Destination {
  readonly target: Target;
  readonly fresh: boolean;
  readonly blamable: boolean;
}

/** What comes next: an attempt, a refusal, waiting for room, or asking whether the key of the request was used before. */
export type NextTry =
  Destination | { readonly refusal: Refusal } | { readonly wait: true } | { readonly claim: Failure };

/** The request, as far as it matters here. */
interface Course {
  readonly facts: RequestFacts;
  readonly startedMs: number;
}

/** The attempts of one request. */
export class Tries {
  readonly attempts: AttemptRecord[] = [];
  readonly candidacy: Candidacy = { excluded: [], passedOver: [] };
  readonly #engine: EngineState;
  readonly #decision: ForwardDecision;
  /** instances that it was sent to; at most two */
  readonly #reached: string[] = [];
  #made = 0;

  constructor(engine: EngineState, decision: ForwardDecision) {
    this.#engine = engine;
    this.#decision = decision;
  }

  first(startedMs: number): NextTry {
    this.#engine.budgets.of(this.#decision.service).request(startedMs);
    // those who came before and wait for room go first
    return this.#engine.waiting.isTaken(this.#decision.service) ? { wait: true } : this.#next(undefined);
  }

  /** Takes in a failure; the attempt is closed. */
  after(attempt: Attempt, failure: Failure, course: Course): NextTry {
    const verdict = this.#verdict(attempt, failure, course);
    this.note(attempt, failure);
    if (!verdict.again) return { refusal: this.#giveUp({ last: failure, because: notAgain(verdict.because) }) };
    if (verdict.sameAllowed) {
      const target = this.#other(attempt) ?? attempt.target;
      return { target, fresh: true, blamable: this.#made === 0 };
    }
    if (failure.removed !== true && !this.#mayRetry()) {
      const because = this.#engine.budgets.of(this.#decision.service).refusal;
      return { refusal: this.#giveUp({ last: failure, because: notAgain(because) }) };
    }
    return verdict.byKey ? { claim: failure } : this.#next(failure);
  }

  /** The key of the request was not used for a replay before. */
  claimed(failure: Failure): NextTry {
    return this.#next(failure);
  }

  /** The key of the request cannot be used. */
  unclaimed(failure: Failure, because: string): Refusal {
    return this.#giveUp({ last: failure, because: notAgain(because) });
  }

  /** As `after`, but only when another instance takes it now, well as it seems; else nothing has happened. */
  elsewhere(attempt: Attempt, failure: Failure, course: Course): Destination | undefined {
    const verdict = this.#verdict(attempt, failure, course);
    if (!verdict.again || verdict.byKey) return undefined;
    const target = this.#other(attempt);
    if (target === undefined || !this.#mayRetry()) return undefined;
    this.note(attempt, failure);
    return { target, fresh: this.#reached.length > 0, blamable: false };
  }

  /** A second instance to ask while the first one has not answered; undefined when there is none, or it may not be. */
  rival(attempt: Attempt, { facts }: Course): Destination | undefined {
    const isFit = isIdempotent(facts.method) && facts.body.done && facts.body.kept !== undefined && !facts.upgrade;
    if (!isFit || this.#made + 1 >= this.#decision.rules.attempts || this.#reachedWith(attempt) > 1) return undefined;
    const target = this.#other(attempt);
    if (target === undefined || !this.#mayRetry()) return undefined;
    this.#noteReached(attempt.target.id);
    return { target, fresh: false, blamable: false };
  }

  #other(attempt: Attempt): Target | undefined {
    const { excluded } = this.candidacy;
    const trial: Candidacy = { excluded: [...excluded, attempt.target.id], passedOver: [] };
    const target = pickTarget(this.#engine, this.#decision, trial);
    return target?.meter.stalled === true ? undefined : target;
  }

  #verdict(attempt: Attempt, failure: Failure, { facts, startedMs }: Course): RetryVerdict {
    const { clock, timeouts, policy } = this.#engine.options;
    const { stale } = failure;
    const isSent = failure.phase !== 'unsent';
    return retryVerdict({
      phase: failure.phase,
      method: facts.method,
      replayable: facts.body.kept !== undefined,
      stale,
      keyed: facts.key !== undefined && facts.body.done && policy.claimReplay !== undefined,
      reached: isSent ? this.#reachedWith(attempt) : this.#reached.length,
      attemptsMade: stale ? this.#made : this.#made + 1,
      attemptsAllowed: this.#decision.rules.attempts,
      elapsedMs: clock.monotonicMs() - startedMs,
      totalMs: timeouts.totalMs,
    });
  }

  #reachedWith({ target }: Attempt): number {
    return this.#reached.includes(target.id) ? this.#reached.length : this.#reached.length + 1;
  }

  #noteReached(id: string): void {
    if (!this.#reached.includes(id)) this.#reached.push(id);
  }

  /** Writes a failure down; the attempt is closed. */
  note(attempt: Attempt, failure: Failure): void {
    const { target } = attempt;
    if (failure.phase !== 'unsent') this.#noteReached(target.id);
    if (failure.stale) {
      target.meter.staleConnections += 1;
    } else {
      this.#made += 1;
      this.candidacy.excluded.push(target.id);
      if (!failure.ours && failure.removed !== true) attempt.failed(failure);
    }
    this.attempts.push({ instance: target.id, outcome: failure.reason, tookMs: attempt.tookMs });
    attempt.close();
  }

  #mayRetry(): boolean {
    const { budgets, counters, options } = this.#engine;
    if (budgets.of(this.#decision.service).take(options.clock.monotonicMs())) return true;
    counters.retriesRefusedTotal += 1;
    return false;
  }

  /** It stood behind another request and has to be sent again, or it has waited for room; nobody's failure. */
  again(): NextTry {
    return this.#next(undefined);
  }

  /** The answer broke off: no attempt comes after it. */
  cut(attempt: Attempt, reason: string): void {
    attempt.blame(reason);
    this.attempts.push({ instance: attempt.target.id, outcome: reason, tookMs: attempt.tookMs });
  }

  #next(last: Failure | undefined): NextTry {
    const { candidacy } = this;
    const outOfQuestion = candidacy.excluded.length;
    candidacy.passedOver.length = 0;
    const target = pickTarget(this.#engine, this.#decision, candidacy);
    // what failed on one kept connection shall not fail on another one
    if (target !== undefined) return { target, fresh: this.#reached.length > 0, blamable: this.#made === 0 };
    if (candidacy.passedOver.length === 0) return { refusal: this.#giveUp({ last }) };
    candidacy.excluded.length = outOfQuestion;
    return { wait: true };
  }

  /** Nobody had room, and there is no more waiting. */
  full(because: string): Refusal {
    // whoever stood behind others has not asked yet
    if (this.candidacy.passedOver.length === 0) pickTarget(this.#engine, this.#decision, this.candidacy);
    return this.#giveUp({ because });
  }

  /** There is nobody to go to. */
  nobody(): Refusal {
    return this.#giveUp({});
  }

  #giveUp(how: { readonly last?: Failure | undefined; readonly because?: string }): Refusal {
    return giveUp({ attempts: this.attempts, engine: this.#engine }, this.#decision, { ...this.candidacy, ...how });
  }
}

const notAgain = (because: string): string => `not tried again: ${because}`;
