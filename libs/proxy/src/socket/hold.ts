// Why does a request have no attempt for a moment? It waits until an instance has room, or until it is known whether its
// Idempotency-Key was used for a replay before. Both have an end.
import type { Refusal } from '@switchyard/protocol';
import type { ForwardDecision } from '../engine.ts';
import type { Failure } from './failure.ts';
import { claimOf } from './replay-claim.ts';
import type { ClientConnection } from './client-connection.ts';
import type { RequestFacts } from './request-facts.ts';
import type { NextTry, Tries } from './tries.ts';
import type { Waiter } from './waiting-rooms.ts';

/** Ms until the answer whether a key was used before. */
const CLAIM_MS = 500;

/** The request that is held. */
export interface Held {
  readonly client: ClientConnection;
  readonly facts: RequestFacts;
  goOn(next: NextTry): void;
}

/** One request's pauses. At most one at a time. */
export class Hold implements Waiter {
  /** when it has lasted too long */
  deadlineMs = Infinity;
  readonly #held: Held;
  readonly #decision: ForwardDecision;
  readonly #tries: Tries;
  #undecided: Failure | undefined;

  constructor(held: Held, decision: ForwardDecision, tries: Tries) {
    this.#held = held;
    this.#decision = decision;
    this.#tries = tries;
  }

  /** Waits for room; the refusal when there is no place to wait. */
  forRoom(): Refusal | undefined {
    const { client, facts } = this.#held;
    const { engine } = client;
    const { queued, queuedMs } = this.#decision.rules;
    if (queued === 0) return this.#tries.full('this service has no queue');
    if (!engine.waiting.enter(this.#decision.service, this, queued)) {
      return this.#tries.full(`${queued} requests wait for room already`);
    }
    engine.counters.queuedTotal += 1;
    this.deadlineMs = engine.options.clock.monotonicMs() + queuedMs;
    if (!facts.body.done) client.pause();
    return undefined;
  }

  tryAgain(): boolean {
    const next = this.#tries.again();
    if ('wait' in next) return false;
    this.end();
    this.#held.goOn(next);
    return true;
  }

  /** Asks whether the key was used; goes on with what follows from the answer. */
  forKey(failure: Failure): void {
    const { client, facts } = this.#held;
    const { clock, policy } = client.engine.options;
    this.#undecided = failure;
    this.deadlineMs = clock.monotonicMs() + CLAIM_MS;
    policy.claimReplay?.(claimOf(client, facts, this.#decision.service), ({ granted, reason }) => {
      if (this.#undecided !== failure) return;
      this.end();
      this.#held.goOn(granted ? this.#tries.claimed(failure) : { refusal: this.#tries.unclaimed(failure, reason) });
    });
  }

  /** The refusal when it has lasted too long. */
  overdue(): Refusal {
    const failure = this.#undecided;
    this.end();
    return failure === undefined
      ? this.#tries.full(`it waited for ${this.#decision.rules.queuedMs} ms for room`)
      : this.#tries.unclaimed(failure, `nobody could say within ${CLAIM_MS} ms whether its key was used before`);
  }

  /** It is over, whatever it was. */
  end(): void {
    this.#undecided = undefined;
    this.deadlineMs = Infinity;
    this.#held.client.engine.waiting.leave(this.#decision.service, this);
  }
}
