// May a failed attempt be made again elsewhere? A table by how far the request got, so that nothing is done twice that
// must be done once (RFC 9110 9.2.2; the phases are those of HAProxy's retry-on and nginx's proxy_next_upstream).
//
//   the request ...                        any method       idempotent, body kept
//   was not sent (no connection)           again            again           when the body so far is kept
//   was sent, no byte of an answer came    no               again
//   was sent, an answer has begun          no               no

/** How far an attempt got. */
export type AttemptPhase = 'unsent' | 'sent' | 'answering';

/** A failed attempt and what is left. */
export interface RetryQuestion {
  readonly phase: AttemptPhase;
  readonly method: string;
  /** Everything of the body that was taken from the client can be sent once more. */
  readonly replayable: boolean;
  /**
   * A kept connection that the instance closed just when it was used again: not its failure. Does not use up an attempt,
   * and the same instance may be tried again, once.
   */
  readonly stale: boolean;
  readonly attemptsMade: number;
  readonly attemptsAllowed: number;
  readonly elapsedMs: number;
  readonly totalMs: number;
}

/** `sameAllowed`: the instance need not be excluded. */
export type RetryVerdict =
  { readonly again: true; readonly sameAllowed: boolean } | { readonly again: false; readonly because: string };

// TRACE is idempotent too, and refused before.
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

const elsewhere: RetryVerdict = Object.freeze({ again: true, sameAllowed: false });
const anywhere: RetryVerdict = Object.freeze({ again: true, sameAllowed: true });

/** The verdict, with its reason when it is no. */
export function retryVerdict(question: RetryQuestion): RetryVerdict {
  if (question.phase === 'answering') return no('its answer had begun');
  if (question.phase === 'sent' && !idempotent.has(question.method)) {
    return no(`${question.method} may have been carried out already`);
  }
  if (!question.replayable) return no('its body was too long to be kept');
  if (question.elapsedMs >= question.totalMs) return no(`${question.totalMs} ms had gone by`);
  if (question.stale) return anywhere;
  if (question.attemptsMade >= question.attemptsAllowed) return no(`${question.attemptsMade} attempts were made`);
  return elsewhere;
}

function no(because: string): RetryVerdict {
  return { again: false, because };
}
