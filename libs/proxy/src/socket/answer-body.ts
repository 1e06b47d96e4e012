// Where does the body of an answer end, and what of the received bytes goes to the client? Fed with what the instance sends.
import type { AnswerHead, BodyEnd } from '../http1/answer-head.ts';
import { ChunkedBody } from '../http1/chunked.ts';
import type { BodyForm } from './answer-text.ts';

export type BodyState = 'more' | 'complete' | 'broken';

const CHUNK_END = Buffer.from('\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** One answer's body on its way. */
export class AnswerBody {
  readonly end: BodyEnd;
  readonly form: BodyForm;
  state: BodyState;
  /** offset behind what belonged to the answer, after `feed` */
  taken = 0;
  #left: number;
  readonly #chunks: ChunkedBody | undefined;

  constructor(head: AnswerHead, end: BodyEnd, form: BodyForm) {
    this.end = end;
    this.form = form;
    this.state = end === 'none' ? 'complete' : 'more';
    this.#left = end === 'length' ? head.fields.contentLength : 0;
    this.#chunks = end === 'chunked' ? new ChunkedBody({ content: form === 'plain-until-close' }) : undefined;
  }

  /** Takes bytes from `start`; hands what goes to the client to `pass`, in order. */
  feed(bytes: Buffer, start: number, pass: (part: Buffer) => void): void {
    if (this.end === 'length') {
      const part = Math.min(this.#left, bytes.length - start);
      this.#left -= part;
      this.taken = start + part;
      if (part > 0) pass(start === 0 && part === bytes.length ? bytes : bytes.subarray(start, this.taken));
      if (this.#left === 0) this.state = 'complete';
    } else if (this.#chunks !== undefined) this.#feedChunks(this.#chunks, bytes, { start, pass });
    else {
      this.taken = bytes.length;
      if (start < bytes.length) this.#passPlain(bytes.subarray(start), pass);
    }
  }

  /** The instance has ended its side. What is left to say to the client goes to `pass`. */
  ended(pass: (part: Buffer) => void): void {
    if (this.state !== 'more') return;
    if (this.end !== 'close') {
      this.state = 'broken';
      return;
    }
    this.state = 'complete';
    if (this.form === 'chunked-anew') pass(LAST_CHUNK);
  }

  #feedChunks(
    chunks: ChunkedBody,
    bytes: Buffer,
    { start, pass }: { readonly start: number; readonly pass: (part: Buffer) => void },
  ): void {
    this.taken = chunks.feed(bytes, start);
    if (chunks.fault !== undefined) {
      this.state = 'broken';
      return;
    }
    if (this.form === 'plain-until-close') for (const part of chunks.takeContent()) pass(part);
    else {
      if (chunks.verbatim > start) pass(bytes.subarray(start, chunks.verbatim));
      if (chunks.done) pass(Buffer.from(chunks.ending, 'latin1'));
    }
    if (chunks.done) this.state = 'complete';
  }

  #passPlain(part: Buffer, pass: (part: Buffer) => void): void {
    if (this.form !== 'chunked-anew') {
      pass(part);
      return;
    }
    pass(Buffer.from(`${part.length.toString(16)}\r\n`, 'latin1'));
    pass(part);
    pass(CHUNK_END);
  }
}
