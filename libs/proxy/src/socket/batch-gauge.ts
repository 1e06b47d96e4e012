// May requests to this instance share a connection? Requests that arrive in one turn of the event loop can go out in one write,
// and their answers come back in one read: half of a proxy's work is system calls. The price is that an answer waits for the
// one before it, so it is done only while the instance is known to answer quickly, evenly and briefly.
//
//   OFF --256 quick, brief answers in a row, and no debt--> ON --one that is slow, long or broken--> OFF
//
// Whoever had to wait behind that one is a debt of 500 answers: so one request of 500 is held up at most, however the instance
// behaves, and p99 is not touched. No clock is in it: an instance that gets many requests is believed again sooner.

/** Answers above this size get a connection of their own. */
export const BRIEF_BYTES = 16 * 1024;
/** Requests at one instance at once from which sharing pays. */
const WORTH_FROM = 4;
const QUICK_IN_A_ROW = 256;
const DEBT_OF_ONE = 500;
/** One that is only sent anew, without waiting. */
const DEBT_OF_A_REPETITION = 20;
/** A connection that closes under requests may do so every time. */
const DEBT_OF_A_BREAK = 50_000;
const MOST_DEBT = 1_000_000;
const BASE_LIMIT_MS = 10;
const LIMIT_TIMES = 4;
const SMOOTHING = 0.05;

/** What one instance's answers have been like. Times in ms. */
export class BatchGauge {
  #quick = 0;
  #debt = 0;
  #usualMs = 1;

  /** An answer that takes longer is slow; nobody waits longer than this behind another one. */
  get limitMs(): number {
    return BASE_LIMIT_MS + LIMIT_TIMES * this.#usualMs;
  }

  /** True when a request may share a connection now. */
  isOn(inFlight: number): boolean {
    return this.#quick >= QUICK_IN_A_ROW && this.#debt <= 0 && inFlight >= WORTH_FROM;
  }

  /** `bytes`: size of the body, -1 when it was not said beforehand or the connection closes behind it. */
  answered(tookMs: number, bytes: number): void {
    if (this.#debt > 0) this.#debt -= 1;
    if (bytes < 0 || bytes > BRIEF_BYTES || tookMs > this.limitMs) {
      this.#quick = 0;
      // what is slow now may be the usual from now on
      this.#usualMs += (Math.min(tookMs, 1_000) - this.#usualMs) * SMOOTHING;
      return;
    }
    this.#usualMs += (tookMs - this.#usualMs) * SMOOTHING;
    this.#quick += 1;
  }

  /** So many requests stood behind one that was slow, long or of unknown length. */
  heldUp(behind: number): void {
    this.#quick = 0;
    this.#debt = Math.min(MOST_DEBT, this.#debt + behind * DEBT_OF_ONE);
  }

  /** It said that it closes, with so many behind it: they are sent anew at once. */
  closed(behind: number): void {
    this.#quick = 0;
    this.#debt = Math.min(MOST_DEBT, this.#debt + behind * DEBT_OF_A_REPETITION);
  }

  /** The connection closed under requests, or said what does not belong there. */
  broke(): void {
    this.#quick = 0;
    this.#debt = Math.min(MOST_DEBT, this.#debt + DEBT_OF_A_BREAK);
  }
}
