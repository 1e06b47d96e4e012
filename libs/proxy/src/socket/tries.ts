// What comes after a failed attempt? Counts them, remembers who is out of the question, and decides by retry.ts.
import type { Refusal } from '@switchyard/protocol';
import { giveUp, pickTarget } from '../candidacy.ts';
import type { Candidacy } from '../candidacy.ts';
import type { AttemptRecord, ForwardDecision, Target } from '../engine.ts';
import { retryVerdict } from '../retry.ts';
import type { Attempt } from './attempt.ts';
import type { EngineState } from './engine-state.ts';
import type { Failure } from './failure.ts';
import type { RequestFacts } from './request-facts.ts';

/** Where the next attempt goes, or why there is none. `fresh`: not on a kept connection. `blamable`: see Attempt. */
export type NextTry =
  { readonly target: Target; readonly fresh: boolean; readonly blamable: boolean } | { readonly refusal: Refusal };

/** The attempts of one request. */
export class Tries {
  readonly attempts: AttemptRecord[] = [];
  readonly candidacy: Candidacy = { excluded: [], passedOver: [] };
  readonly #engine: EngineState;
  readonly #decision: ForwardDecision;
  #made = 0;
  #staleSeen = false;

  constructor(engine: EngineState, decision: ForwardDecision) {
    this.#engine = engine;
    this.#decision = decision;
  }

  first(startedMs: number): NextTry {
    this.#engine.budgets.of(this.#decision.service).request(startedMs);
    return this.#next({ fresh: false });
  }

  /** Takes in a failure; the attempt is closed. */
  after(
    attempt: Attempt,
    failure: Failure,
    { facts, startedMs }: { readonly facts: RequestFacts; readonly startedMs: number },
  ): NextTry {
    const { clock, timeouts } = this.#engine.options;
    const { target } = attempt;
    // the second kept connection in a row that turns out to be closed is a failure like any other
    const stale = failure.stale && !this.#staleSeen;
    this.#staleSeen ||= failure.stale;
    if (stale) target.meter.staleConnections += 1;
    else this.#made += 1;
    const isRemoved = failure.removed === true;
    if (!stale && !failure.ours && !isRemoved) attempt.failed(failure);
    this.attempts.push({ instance: target.id, outcome: failure.reason, tookMs: attempt.tookMs });
    attempt.close();
    const verdict = retryVerdict({
      phase: failure.phase,
      method: facts.method,
      replayable: facts.body.kept !== undefined,
      stale,
      attemptsMade: this.#made,
      attemptsAllowed: this.#decision.rules.attempts,
      elapsedMs: clock.monotonicMs() - startedMs,
      totalMs: timeouts.totalMs,
    });
    if (!verdict.again) return { refusal: this.#giveUp({ last: failure, because: verdict.because }) };
    if (!stale && !isRemoved && !this.#mayRetry()) {
      const because = this.#engine.budgets.of(this.#decision.service).refusal;
      return { refusal: this.#giveUp({ last: failure, because }) };
    }
    if (!verdict.sameAllowed) this.candidacy.excluded.push(target.id);
    return this.#next({ fresh: verdict.sameAllowed, last: failure });
  }

  #mayRetry(): boolean {
    const { budgets, counters, options } = this.#engine;
    if (budgets.of(this.#decision.service).take(options.clock.monotonicMs())) return true;
    counters.retriesRefusedTotal += 1;
    return false;
  }

  /** It stood behind another request and has to be sent again; nobody's failure. */
  displaced(attempt: Attempt): NextTry {
    attempt.close();
    return this.#next({ fresh: false });
  }

  /** The answer broke off: no attempt comes after it. */
  cut(attempt: Attempt, reason: string): void {
    attempt.blame(reason);
    this.attempts.push({ instance: attempt.target.id, outcome: reason, tookMs: attempt.tookMs });
  }

  #next({ fresh, last }: { readonly fresh: boolean; readonly last?: Failure }): NextTry {
    const target = pickTarget(this.#engine, this.#decision.service, this.candidacy);
    return target === undefined ? { refusal: this.#giveUp({ last }) } : { target, fresh, blamable: this.#made === 0 };
  }

  #giveUp(how: { readonly last?: Failure | undefined; readonly because?: string }): Refusal {
    return giveUp({ attempts: this.attempts, engine: this.#engine }, this.#decision, { ...this.candidacy, ...how });
  }
}
