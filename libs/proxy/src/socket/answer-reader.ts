// When is the head of an answer complete? Gathers its bytes, and takes the interim answers in front of it out (RFC 9110 15.2).
// They share the limit of the head: nobody could say how many are to be passed on to a client that does not read.
import { AnswerHead } from '../http1/answer-head.ts';
import type { ParsedHead } from '../http1/request-head.ts';

const NOTHING = Buffer.alloc(0);

/** Reads the heads of answers, one after the other. */
export class AnswerReader {
  readonly head = new AnswerHead();
  /** the bytes in which the complete head stands */
  bytes: Buffer = NOTHING;
  #early: Buffer | undefined;
  #interimBytes = 0;

  /** Makes it ready for the next answer. */
  clear(): void {
    this.bytes = NOTHING;
    this.#early = undefined;
    this.#interimBytes = 0;
  }

  /** Takes bytes of the instance; `interim` is called for each interim answer while `head` holds it. */
  read(
    bytes: Buffer,
    { limit, interim }: { readonly limit: number; readonly interim: (bytes: Buffer) => void },
  ): ParsedHead {
    const all = this.#early === undefined ? bytes : Buffer.concat([this.#early, bytes]);
    const { head } = this;
    let at = 0;
    let from = this.#early?.length ?? 0;
    this.#early = undefined;
    while (at < all.length) {
      const outcome = head.parse(all, at, { from, limit: limit - this.#interimBytes });
      if (outcome === 'incomplete') {
        // `bytes` is good until the call is over
        this.#early = all === bytes ? Buffer.from(all.subarray(at)) : all.subarray(at);
        return outcome;
      }
      if (outcome !== 'complete') return outcome;
      if (head.status >= 200 || head.status === 101) {
        this.bytes = all;
        return outcome;
      }
      this.#interimBytes += head.end - at;
      interim(all);
      at = head.end;
      from = 0;
    }
    return 'incomplete';
  }
}
