// Where does the body of a request end, and can it be sent a second time? Fed with what the client sends.
import type { Refusal } from '@switchyard/protocol';
import { ChunkedBody } from '../http1/chunked.ts';
import type { FieldSection } from '../http1/head.ts';
import { createReplayBuffer } from '../replay-buffer.ts';
import type { ReplayBuffer } from '../replay-buffer.ts';

const NOTHING = Buffer.alloc(0);

/** One request's body on its way. */
export class RequestBody {
  done: boolean;
  /** it cannot be read: where the next request would begin is unknown */
  broken = false;
  receivedBytes = 0;
  /** of the latest bytes: what goes on to the instance */
  part: Buffer = NOTHING;
  #left: number;
  readonly #chunks: ChunkedBody | undefined;
  readonly #replay: ReplayBuffer | undefined;

  constructor(fields: FieldSection, replayBytes: number) {
    this.#left = Math.max(0, fields.contentLength);
    this.done = !fields.chunked && this.#left === 0;
    this.#chunks = fields.chunked ? new ChunkedBody() : undefined;
    this.#replay = this.done ? undefined : createReplayBuffer(replayBytes);
  }

  /** Takes bytes from `start`; returns the offset behind what belongs to the body. `part` is what goes on of it. */
  feed(bytes: Buffer, start: number): number {
    this.part = NOTHING;
    if (this.done) return start;
    const taken =
      this.#chunks === undefined ? this.#feedLength(bytes, start) : this.#feedChunks(this.#chunks, bytes, start);
    this.receivedBytes += taken - start;
    if (this.part.length > 0) this.#replay?.keep(this.part);
    return taken;
  }

  #feedLength(bytes: Buffer, start: number): number {
    const taken = Math.min(bytes.length, start + this.#left);
    this.#left -= taken - start;
    this.done = this.#left === 0;
    this.part = start === 0 && taken === bytes.length ? bytes : bytes.subarray(start, taken);
    return taken;
  }

  #feedChunks(chunks: ChunkedBody, bytes: Buffer, start: number): number {
    const taken = chunks.feed(bytes, start);
    this.done = chunks.done;
    this.broken = chunks.fault !== undefined;
    const verbatim = bytes.subarray(start, chunks.verbatim);
    this.part = chunks.done ? Buffer.concat([verbatim, Buffer.from(chunks.ending, 'latin1')]) : verbatim;
    return taken;
  }

  /** Everything taken so far, or undefined when it was too much to be kept. */
  get kept(): Buffer | undefined {
    return this.#replay === undefined ? NOTHING : this.#replay.kept;
  }

  /** What was kept, for sending it again. */
  get keptParts(): readonly Buffer[] {
    const { kept } = this;
    return kept === undefined || kept.length === 0 ? [] : [kept];
  }

  /** Why no more of it is taken; undefined while all is well. `limitBytes`: 0 for no limit. */
  problem(limitBytes: number): Refusal | undefined {
    if (this.broken) {
      return { code: 'malformed_request', detail: 'The body of the request cannot be read: its chunks are malformed.' };
    }
    if (limitBytes === 0 || this.receivedBytes <= limitBytes) return undefined;
    return { code: 'too_large', detail: `The body is larger than the ${limitBytes} bytes that are allowed.` };
  }

  /** No further attempt will come. */
  settle(): void {
    this.#replay?.release();
  }
}
