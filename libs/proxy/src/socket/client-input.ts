// What has a client said that nobody has read yet? The head of the request under way stands in `bytes` and stays where it is; what
// comes behind it waits in line.

const NOTHING = Buffer.alloc(0);
/** So many pieces are joined: a byte with a buffer of its own costs a hundred times its size. */
const MOST_PIECES = 32;

/** The unread bytes of one client. */
export class ClientInput {
  /** the bytes in which the present head stands */
  bytes: Buffer = NOTHING;
  /** offset up to which `bytes` has been read */
  at = 0;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;

  /** How many bytes nobody has read. */
  get unread(): number {
    return this.bytes.length - this.at + this.#waitingBytes;
  }

  /** In how many buffers what waits stands: each has a cost of its own. */
  get pieces(): number {
    return this.#waiting.length;
  }

  /** Nothing is under way: what comes belongs to the head that is being read. */
  append(chunk: Buffer): void {
    this.bytes = this.at < this.bytes.length ? Buffer.concat([this.bytes.subarray(this.at), chunk]) : chunk;
    this.at = 0;
  }

  /** A request is under way: what comes waits behind it. */
  wait(chunk: Buffer): void {
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waiting.length > MOST_PIECES) this.#waiting = [Buffer.concat(this.#waiting)];
  }

  /** The request under way is over: what waited is read next. */
  turn(): void {
    if (this.#waiting.length > 0) {
      this.bytes = this.rest();
      this.#waiting = [];
      this.#waitingBytes = 0;
    } else this.bytes = this.at < this.bytes.length ? this.bytes.subarray(this.at) : NOTHING;
    this.at = 0;
  }

  /** Everything that is unread. */
  rest(): Buffer {
    return Buffer.concat([this.bytes.subarray(this.at), ...this.#waiting]);
  }
}
