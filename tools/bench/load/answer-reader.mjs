// Where does an answer end? The least of HTTP/1.1 that a load generator has to know, for one answer at a time.

const headEnd = '\r\n\r\n';

/** Reads one answer after the other from a connection. `feed` and `end` give true when an answer is complete. */
export class AnswerReader {
  status = 0;
  /** The connection is not to be used again. */
  closes = false;
  #rest = undefined;
  #left = -1;
  #chunks = undefined;

  /** The bytes of one read. */
  feed(bytes) {
    if (this.#left === -1) return this.#readHead(bytes);
    return this.#readBody(bytes);
  }

  /** The other side has ended the connection: true when that is how the body was to end. */
  end() {
    const complete = this.#left === Infinity;
    this.reset();
    return complete;
  }

  /** Ready for the next answer. */
  reset() {
    this.#rest = undefined;
    this.#left = -1;
    this.#chunks = undefined;
  }

  #readHead(bytes) {
    const all = this.#rest === undefined ? bytes : Buffer.concat([this.#rest, bytes]);
    const end = all.indexOf(headEnd);
    if (end === -1) {
      this.#rest = all;
      return false;
    }
    const head = all.latin1Slice(0, end);
    const rest = all.subarray(end + headEnd.length);
    this.#rest = undefined;
    this.status = Number(head.slice(9, 12));
    if (this.status < 200) return rest.length > 0 && this.#readHead(rest);
    this.closes = /\r\nconnection: *close/i.test(head);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    if (length !== null) this.#left = Number(length[1]);
    else if (this.status === 204 || this.status === 304) this.#left = 0;
    else if (/\r\ntransfer-encoding: *chunked/i.test(head)) this.#chunks = Buffer.alloc(0);
    else this.#left = Infinity;
    if (this.#chunks !== undefined) this.#left = 0;
    return this.#readBody(rest);
  }

  #readBody(bytes) {
    if (this.#chunks !== undefined) return this.#readChunks(bytes);
    this.#left -= bytes.length;
    if (this.#left > 0) return false;
    this.reset();
    return true;
  }

  /** Few answers are chunked here, so this may copy. */
  #readChunks(bytes) {
    let all = Buffer.concat([this.#chunks, bytes]);
    for (;;) {
      const line = all.indexOf('\r\n');
      if (line === -1) break;
      const size = Number.parseInt(all.latin1Slice(0, line), 16);
      if (size === 0) {
        // no trailers here: the origins send none
        if (all.length < line + 4) break;
        this.reset();
        return true;
      }
      if (all.length < line + 2 + size + 2) break;
      all = all.subarray(line + 2 + size + 2);
    }
    this.#chunks = all;
    return false;
  }
}
