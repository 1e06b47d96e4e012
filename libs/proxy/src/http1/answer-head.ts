// What does an instance answer? The status line and its fields (RFC 9112 4), as offsets, and how its body is delimited.
import { CR, isHttp1, isValue, LF, SPACE } from './bytes.ts';
import { Connection, FieldSection, headEnd } from './head.ts';
import type { ParsedHead } from './request-head.ts';

/** How the body of an answer ends (RFC 9112 6.3). */
export type BodyEnd = 'none' | 'length' | 'chunked' | 'close';

/** The head of an answer. One object serves a connection for all its answers. */
export class AnswerHead {
  readonly fields = new FieldSection();
  status = 0;
  minor = 1;
  reasonStart = 0;
  reasonEnd = 0;
  /** offset behind the head */
  end = 0;

  /** Parses the head that begins at `start`; `from` is how far an earlier try has looked. */
  parse(bytes: Buffer, start: number, { from, limit }: { readonly from: number; readonly limit: number }): ParsedHead {
    const end = headEnd(bytes, start, from);
    if (end === 0) return earlyFault(bytes, start) ?? (bytes.length - start > limit ? 'too-large' : 'incomplete');
    if (end - start > limit) return 'too-large';
    this.end = end;
    this.fields.clear();
    let at = start;
    if (!isHttp1(bytes, at)) return 'start-line';
    const minor = (bytes[at + 7] as number) - 0x30;
    if (minor !== 0 && minor !== 1) return 'version';
    this.minor = minor;
    if (bytes[at + 8] !== SPACE) return 'start-line';
    this.status = statusAt(bytes, at + 9);
    if (this.status < 100) return 'status';
    at += 12;
    if (bytes[at] === SPACE) at += 1;
    else if (bytes[at] !== CR) return 'status';
    this.reasonStart = at;
    while (isValue[bytes[at] as number] === 1) at += 1;
    this.reasonEnd = at;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return 'line-ending';
    return this.fields.parse(bytes, at + 2, end) ?? 'complete';
  }

  /** How the body ends, for the answer to a request with this method. */
  bodyEnd(method: string): BodyEnd {
    if (method === 'HEAD' || this.status === 204 || this.status === 304 || this.status < 200) return 'none';
    if (this.fields.chunked) return 'chunked';
    if (this.fields.contentLength >= 0) return this.fields.contentLength === 0 ? 'none' : 'length';
    return 'close';
  }

  /** Size of the body for the answer to a request with this method; -1 when the head does not say it. */
  bodyBytes(method: string): number {
    const end = this.bodyEnd(method);
    return end === 'none' ? 0 : end === 'length' ? this.fields.contentLength : -1;
  }

  /** True when the connection can carry another request after this answer. */
  reusable(): boolean {
    const { connection, chunked } = this.fields;
    // RFC 9112 6.1: chunks in HTTP/1.0 mean that the framing is in doubt
    if ((connection & Connection.close) !== 0 || (chunked && this.minor === 0)) return false;
    return this.minor === 1 || (connection & Connection.keepAlive) !== 0;
  }
}

/** What can never become the head of an answer is told at once: other protocols, and lines that end in a bare LF. */
function earlyFault(bytes: Buffer, start: number): 'start-line' | 'line-ending' | undefined {
  for (let i = 0; i < beginning.length && start + i < bytes.length; i += 1) {
    if (bytes[start + i] !== beginning[i]) return 'start-line';
  }
  const lf = bytes.indexOf(LF, start);
  return lf >= 0 && bytes[lf - 1] !== CR ? 'line-ending' : undefined;
}

const beginning = Buffer.from('HTTP/1.', 'latin1');

function statusAt(bytes: Buffer, at: number): number {
  const [a, b, c] = [(bytes[at] as number) - 0x30, (bytes[at + 1] as number) - 0x30, (bytes[at + 2] as number) - 0x30];
  if (a < 1 || a > 9 || b < 0 || b > 9 || c < 0 || c > 9) return -1;
  return a * 100 + b * 10 + c;
}
