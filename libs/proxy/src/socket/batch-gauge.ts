// May requests to this instance share a connection? Requests that arrive in one turn of the event loop can go out in one write,
// and their answers come back in one read: half of a proxy's work is system calls. The price is that an answer waits for the
// one before it, so it is done only while the instance is known to answer quickly, evenly and briefly.
//
//   OFF --256 quick, brief answers in a row--> ON --one that is slow, long or broken--> OFF for 1 s, for longer each time, unless
//                                                                                       it was ON for long before

/** Answers above this size get a connection of their own. */
export const BRIEF_BYTES = 16 * 1024;
/** Requests at one instance at once from which sharing pays. */
const WORTH_FROM = 4;
const QUICK_IN_A_ROW = 256;
const FIRST_REST_MS = 1_000;
const LONGEST_REST_MS = 64_000;
/** One slow answer in so many rests is nothing. */
const FORGIVEN_AFTER_RESTS = 10;
const BASE_LIMIT_MS = 10;
const LIMIT_TIMES = 4;
const SMOOTHING = 0.05;

/** What one instance's answers have been like. Times in ms. */
export class BatchGauge {
  #quick = 0;
  #usualMs = 1;
  #restUntilMs = 0;
  #restMs = FIRST_REST_MS;
  #onSinceMs = 0;

  /** An answer that takes longer is slow; nobody waits longer than this behind another one. */
  get limitMs(): number {
    return BASE_LIMIT_MS + LIMIT_TIMES * this.#usualMs;
  }

  /** True when a request may share a connection now. */
  isOn(inFlight: number): boolean {
    return this.#quick >= QUICK_IN_A_ROW && inFlight >= WORTH_FROM;
  }

  /** `bytes`: size of the body, -1 when it was not said beforehand. */
  answered(tookMs: number, bytes: number, nowMs: number): void {
    if (bytes < 0 || bytes > BRIEF_BYTES || tookMs > this.limitMs) {
      this.turnOff(nowMs);
      // what is slow now may be the usual from now on
      this.#usualMs += (Math.min(tookMs, 1_000) - this.#usualMs) * SMOOTHING;
      return;
    }
    this.#usualMs += (tookMs - this.#usualMs) * SMOOTHING;
    if (nowMs < this.#restUntilMs) return;
    this.#quick += 1;
    if (this.#quick === QUICK_IN_A_ROW) this.#onSinceMs = nowMs;
  }

  /** Something happened that must not be shared: a slow or long answer, a closed connection, bytes that do not belong. */
  turnOff(nowMs: number): void {
    const wasOn = this.#quick >= QUICK_IN_A_ROW;
    this.#quick = 0;
    if (!wasOn) return;
    const wasLong = nowMs - this.#onSinceMs >= FORGIVEN_AFTER_RESTS * this.#restMs;
    this.#restMs = wasLong ? FIRST_REST_MS : Math.min(LONGEST_REST_MS, 2 * this.#restMs);
    this.#restUntilMs = nowMs + this.#restMs;
  }
}
