// Where does a chunked body end? Follows the chunks as they pass (RFC 9112 7.1), so that they can go on as they came.
//
//   size --CRLF--> data --CRLF--> size ... size 0 --CRLF--> trailer lines --empty line--> done
import { CR, hexValue, LF } from './bytes.ts';
import { afterExtensionByte, Extension } from './chunk-extension.ts';
import { mayBeTrailer } from './trailers.ts';

export type ChunkFault = 'chunk-size' | 'chunk-extension' | 'chunk-ending' | 'trailer';

const State = Object.freeze({ size: 0, extension: 1, sizeLf: 2, data: 3, dataCr: 4, dataLf: 5, trailer: 6, done: 7 });

/** Digits of a chunk size: 2^52 bytes are enough for anybody. */
const MAX_SIZE_DIGITS = 13;
/** Extensions are allowed and nobody uses them; a flood of them is an attack (CVE-2023-39326 in Go's net/http). */
const MAX_EXTENSION_BYTES = 16 * 1024;
const MAX_TRAILER_BYTES = 16 * 1024;

/** The state of one chunked body. `clear` makes it ready for the next. */
export class ChunkedBody {
  fault: ChunkFault | undefined;
  /** bytes of content so far, without the framing */
  contentBytes = 0;
  /** offset up to which the latest bytes go on as they came; what is taken behind it were trailers */
  verbatim = 0;
  #state: number = State.size;
  #digits = 0;
  #left = 0;
  #extension: number = Extension.start;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #line: number[] = [];
  #trailers = '';
  #content: Buffer[] | undefined;

  /** `content`: the data without its framing is kept for `takeContent`. */
  constructor(options: { readonly content?: boolean } = {}) {
    this.#content = options.content ? [] : undefined;
  }

  /** The data since the last call. */
  takeContent(): Buffer[] {
    const content = this.#content ?? [];
    this.#content = [];
    return content;
  }

  get done(): boolean {
    return this.#state === State.done;
  }

  clear(): void {
    this.fault = undefined;
    this.contentBytes = 0;
    this.#state = State.size;
    this.#digits = 0;
    this.#left = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
    this.#line = [];
    this.#trailers = '';
  }

  /** What goes on behind the verbatim bytes once it is done: the trailers that may go further, and the empty line. */
  get ending(): string {
    return this.#trailers;
  }

  /**
   * Follows the body through `bytes` from `start`. Returns the offset behind what belongs to it: `bytes.length` unless it is
   * done or has a fault. Everything before the returned offset has been checked.
   */
  feed(bytes: Buffer, start: number): number {
    let at = start;
    const end = bytes.length;
    this.verbatim = start;
    while (at < end && this.#state !== State.done && this.fault === undefined) {
      if (this.#state === State.data) {
        const taken = Math.min(this.#left, end - at);
        this.#left -= taken;
        this.contentBytes += taken;
        this.#content?.push(bytes.subarray(at, at + taken));
        at += taken;
        this.verbatim = at;
        if (this.#left === 0) this.#state = State.dataCr;
        continue;
      }
      const inTrailer = this.#state === State.trailer;
      this.#byte(bytes[at] as number);
      at += 1;
      if (!inTrailer) this.verbatim = at;
    }
    return at;
  }

  #byte(byte: number): void {
    switch (this.#state) {
      case State.size:
        return this.#sizeByte(byte);
      case State.extension:
        this.#extensionBytes += 1;
        this.#extension = afterExtensionByte(this.#extension, byte);
        if (this.#extension === Extension.over) this.#state = State.sizeLf;
        else if (this.#extension === Extension.fault || this.#extensionBytes > MAX_EXTENSION_BYTES) {
          this.fault = 'chunk-extension';
        }
        return;
      case State.sizeLf:
        if (byte !== LF) this.fault = 'chunk-size';
        else if (this.#left > 0) this.#state = State.data;
        else this.#state = State.trailer;
        this.#digits = 0;
        return;
      case State.dataCr:
        if (byte === CR) this.#state = State.dataLf;
        else this.fault = 'chunk-ending';
        return;
      case State.dataLf:
        if (byte === LF) this.#state = State.size;
        else this.fault = 'chunk-ending';
        return;
      default:
        return this.#trailerByte(byte);
    }
  }

  #sizeByte(byte: number): void {
    const digit = hexValue[byte] as number;
    if (digit < 16) {
      this.#left = this.#digits === 0 ? digit : this.#left * 16 + digit;
      this.#digits += 1;
      if (this.#digits > MAX_SIZE_DIGITS) this.fault = 'chunk-size';
    } else if (this.#digits === 0) this.fault = 'chunk-size';
    else if (byte === CR) this.#state = State.sizeLf;
    else if (byte === 0x3b) {
      this.#state = State.extension;
      this.#extension = Extension.start;
    } else this.fault = 'chunk-size';
  }

  /** Lines of at most the allowed size, each checked as a field; the empty one ends the body. */
  #trailerByte(byte: number): void {
    this.#trailerBytes += 1;
    if (this.#trailerBytes > MAX_TRAILER_BYTES) this.fault = 'trailer';
    else if (byte !== LF) this.#line.push(byte);
    else if (this.#line.at(-1) !== CR) this.fault = 'trailer';
    else if (this.#line.length === 1) {
      this.#state = State.done;
      this.#trailers += '\r\n';
    } else {
      this.#trailerLine(String.fromCodePoint(...this.#line.slice(0, -1)));
      this.#line = [];
    }
  }

  #trailerLine(line: string): void {
    const match = fieldLine.exec(line);
    if (match === null) {
      this.fault = 'trailer';
      return;
    }
    const [, name = '', value = ''] = match;
    if (mayBeTrailer(name)) this.#trailers += `${name}: ${value}\r\n`;
  }
}

/** A line `name: value` of a trailer section. */
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;
