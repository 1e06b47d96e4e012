// Where are the parts of a message head? Offsets into the received bytes, in arrays that are used again for each message.
//
// Strict where implementations differ, because a difference is how a second request is smuggled past us (RFC 9112 11.2):
// lines end in CRLF, never in a bare LF; no white space before the colon; no folded lines; no control characters; one
// Content-Length of digits; one Transfer-Encoding that is exactly "chunked"; never both. What node:http refuses is refused.
import { COLON, CR, isToken, isValue, LF, SPACE, spells, TAB } from './bytes.ts';
import { Field, fieldKind } from './field-kind.ts';

/** Why a head is not taken. `too-large` and `too-many-fields` are 431, `target-too-long` is 414, `version` is 505, everything else 400. */
export type HeadFault =
  | 'too-large'
  | 'target-too-long'
  | 'too-many-fields'
  | 'version'
  | 'start-line'
  | 'method'
  | 'target'
  | 'status'
  | 'line-ending'
  | 'field-name'
  | 'field-value'
  | 'folded-line'
  | 'content-length'
  | 'transfer-encoding'
  | 'length-and-encoding'
  | 'connection';

/** Fields of a message; a browser sends about 20. */
export const MAX_FIELDS = 128;

/** Flags of the Connection field. */
export const Connection = Object.freeze({ close: 1, keepAlive: 2, upgrade: 4, listed: 8 });

/** The field section of a message, shared by requests and answers. Valid while its bytes are. */
export class FieldSection {
  count = 0;
  readonly nameStart = new Int32Array(MAX_FIELDS);
  readonly nameEnd = new Int32Array(MAX_FIELDS);
  readonly valueStart = new Int32Array(MAX_FIELDS);
  readonly valueEnd = new Int32Array(MAX_FIELDS);
  readonly kind = new Uint8Array(MAX_FIELDS);
  /** -1 when there is none */
  contentLength = -1;
  chunked = false;
  /** bits of `Connection` */
  connection = 0;
  /** bit per kind that occurs, for kinds below 31 */
  kinds = 0;
  hosts = 0;
  /** of `Keep-Alive: timeout=`; -1 when there is none */
  keepAliveSeconds = -1;
  /**
   * Credentials, or a challenge, of a scheme that authenticates the connection and not the message: NTLM, Negotiate (RFC 4559 6).
   * Whoever comes next on that connection would be taken for the same user.
   */
  connectionAuth = false;

  clear(): void {
    this.count = 0;
    this.contentLength = -1;
    this.chunked = false;
    this.connection = 0;
    this.kinds = 0;
    this.hosts = 0;
    this.keepAliveSeconds = -1;
    this.connectionAuth = false;
  }

  has(kind: number): boolean {
    return (this.kinds & (1 << kind)) !== 0;
  }

  /** Index of the first field of this kind, or -1. */
  indexOf(kind: number): number {
    if (!this.has(kind)) return -1;
    for (let i = 0; i < this.count; i += 1) if (this.kind[i] === kind) return i;
    return -1;
  }

  /** The value of field `index` as text. */
  value(bytes: Buffer, index: number): string {
    return bytes.toString('latin1', this.valueStart[index], this.valueEnd[index]);
  }

  /** The name of field `index` as it was spelled. */
  name(bytes: Buffer, index: number): string {
    return bytes.toString('latin1', this.nameStart[index], this.nameEnd[index]);
  }

  /**
   * Takes the lines from `at` up to the empty one, whose CRLF ends at `end`. Returns the fault, or undefined.
   * The caller has found the end; every line ends before it.
   */
  parse(bytes: Buffer, at: number, end: number): HeadFault | undefined {
    const last = end - 2;
    let position = at;
    while (position < last) {
      const first = bytes[position] as number;
      if (first === SPACE || first === TAB) return 'folded-line';
      const nameStart = position;
      while (isToken[bytes[position] as number] === 1) position += 1;
      if (bytes[position] !== COLON || position === nameStart) return this.#lineFault(bytes, position);
      const nameEnd = position;
      position += 1;
      while (bytes[position] === SPACE || bytes[position] === TAB) position += 1;
      const valueStart = position;
      while (isValue[bytes[position] as number] === 1) position += 1;
      if (bytes[position] !== CR || bytes[position + 1] !== LF) {
        return bytes[position] === LF || bytes[position] === CR ? 'line-ending' : 'field-value';
      }
      let valueEnd = position;
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === TAB)) valueEnd -= 1;
      position += 2;
      if (this.count === MAX_FIELDS) return 'too-many-fields';
      const index = this.count;
      this.nameStart[index] = nameStart;
      this.nameEnd[index] = nameEnd;
      this.valueStart[index] = valueStart;
      this.valueEnd[index] = valueEnd;
      this.count = index + 1;
      const kind = fieldKind(bytes, nameStart, nameEnd);
      this.kind[index] = kind;
      if (kind === Field.other) {
        const length = nameEnd - nameStart;
        if (length === 13 || length === 16) this.connectionAuth ||= bindsConnection(bytes, index, this);
        continue;
      }
      const fault = this.#note(bytes, kind, index);
      if (fault !== undefined) return fault;
    }
    return this.chunked && this.contentLength >= 0 ? 'length-and-encoding' : undefined;
  }

  #lineFault(bytes: Buffer, position: number): HeadFault {
    const byte = bytes[position];
    return byte === LF || byte === CR ? 'line-ending' : 'field-name';
  }

  #note(bytes: Buffer, kind: number, index: number): HeadFault | undefined {
    const seen = this.has(kind);
    this.kinds |= 1 << kind;
    const start = this.valueStart[index] as number;
    const end = this.valueEnd[index] as number;
    switch (kind) {
      case Field.host:
        this.hosts += 1;
        return undefined;
      case Field.contentLength:
        if (seen) return 'content-length';
        this.contentLength = decimal(bytes, start, end);
        return this.contentLength < 0 ? 'content-length' : undefined;
      case Field.transferEncoding:
        if (seen || end - start !== 7 || !spells(bytes, start, 'chunked')) return 'transfer-encoding';
        // a tab behind it is optional white space, and an unknown coding to node:http
        for (let at = end; bytes[at] !== CR; at += 1) if (bytes[at] === TAB) return 'transfer-encoding';
        this.chunked = true;
        return undefined;
      case Field.connection:
        this.#noteConnection(bytes, start, end);
        return undefined;
      case Field.keepAlive:
        this.keepAliveSeconds = Number(/\btimeout=(\d{1,6})/i.exec(bytes.toString('latin1', start, end))?.[1] ?? -1);
        return undefined;
      default:
        return undefined;
    }
  }

  #noteConnection(bytes: Buffer, start: number, end: number): void {
    // the two values that nearly every message has
    if (end - start === 10 && spells(bytes, start, 'keep-alive')) this.connection |= Connection.keepAlive;
    else if (end - start === 5 && spells(bytes, start, 'close')) this.connection |= Connection.close;
    else {
      for (const token of bytes.toString('latin1', start, end).toLowerCase().split(',')) {
        const name = token.trim();
        if (name === 'close') this.connection |= Connection.close;
        else if (name === 'keep-alive') this.connection |= Connection.keepAlive;
        else if (name === 'upgrade') this.connection |= Connection.upgrade;
        else if (name !== '') this.connection |= Connection.listed;
      }
    }
  }
}

/** Whether this field is Authorization or WWW-Authenticate with a scheme that binds the connection. */
function bindsConnection(bytes: Buffer, index: number, fields: FieldSection): boolean {
  const [name, start] = [fields.nameStart[index] as number, fields.valueStart[index] as number];
  if ((fields.nameEnd[index] as number) - name === 13) {
    return spells(bytes, name, 'authorization') && (spells(bytes, start, 'ntlm') || spells(bytes, start, 'negotiate'));
  }
  if (!spells(bytes, name, 'www-authenticate')) return false;
  return /(?:^|,)[ \t]*(?:ntlm|negotiate)(?![!-+.-~-])/i.test(fields.value(bytes, index));
}

/** A number of at most 15 digits, -1 for anything else: no sign, no space, no list, nothing above 2^53. */
function decimal(bytes: Buffer, start: number, end: number): number {
  if (end <= start || end - start > 15) return -1;
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] as number) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/**
 * End of the head that begins at `start`: the offset behind its empty line, 0 while that has not come, or -1 when the
 * head cannot become one because a line in it ends in a bare LF.
 */
export function headEnd(bytes: Buffer, start: number, from: number): number {
  const found = bytes.indexOf('\r\n\r\n', Math.max(start, from - 3), 'latin1');
  return found < 0 ? 0 : found + 4;
}
