// May a failed attempt be made again elsewhere? A table by how far the request got, so that nothing is done twice that
// must be done once (RFC 9110 9.2.2; the phases are those of HAProxy's retry-on and nginx's proxy_next_upstream).
//
//   the request ...                        any method       idempotent, body kept
//   was not sent (no connection)           again            again           when the body so far is kept
//   was sent, no byte of an answer came    by its key       again           by its key: when it carries an Idempotency-Key that
//   was sent, an answer has begun          no               no                          was not used for a replay before
//
// A request that has reached two instances goes to no third one: it may be what kills them.

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
   * and when there is no other instance the same one is tried again, on a new connection.
   */
  readonly stale: boolean;
  /** It carries an Idempotency-Key, and somebody keeps count of those. */
  readonly keyed: boolean;
  /** Instances that it was sent to, this one included. */
  readonly reached: number;
  readonly attemptsMade: number;
  readonly attemptsAllowed: number;
  readonly elapsedMs: number;
  readonly totalMs: number;
}

/** `sameAllowed`: at the same instance when there is no other. `byKey`: once its key has been claimed. */
export type RetryVerdict =
  | { readonly again: true; readonly sameAllowed: boolean; readonly byKey: boolean }
  | { readonly again: false; readonly because: string };

// TRACE is idempotent too, and refused before.
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

const elsewhere: RetryVerdict = Object.freeze({ again: true, sameAllowed: false, byKey: false });
const elsewhereByKey: RetryVerdict = Object.freeze({ again: true, sameAllowed: false, byKey: true });
const anew: RetryVerdict = Object.freeze({ again: true, sameAllowed: true, byKey: false });
const mostReached = 2;

/** Sent twice, it does no more than sent once (RFC 9110 9.2.2). */
export function isIdempotent(method: string): boolean {
  return idempotent.has(method);
}

/** The verdict, with its reason when it is no. */
export function retryVerdict(question: RetryQuestion): RetryVerdict {
  if (question.phase === 'answering') return no('its answer had begun');
  const inDoubt = question.phase === 'sent' && !idempotent.has(question.method);
  if (inDoubt && !question.keyed) return no(`${question.method} may have been carried out already`);
  if (!question.replayable) return no('its body was too long to be kept');
  if (question.elapsedMs >= question.totalMs) return no(`${question.totalMs} ms had gone by`);
  if (question.reached >= mostReached) return no(`it reached ${question.reached} instances already`);
  if (question.stale && !inDoubt) return anew;
  if (question.attemptsMade >= question.attemptsAllowed) return no(`${question.attemptsMade} attempts were made`);
  return inDoubt ? elsewhereByKey : elsewhere;
}

function no(because: string): RetryVerdict {
  return { again: false, because };
}
