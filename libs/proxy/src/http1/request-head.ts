// What does a client ask? The request line and its fields (RFC 9112 3), as offsets; text only where routing needs it.
import { CR, isTarget, isToken, LF, SPACE, spells } from './bytes.ts';
import { FieldSection, headEnd } from './head.ts';
import type { HeadFault } from './head.ts';

export type ParsedHead = 'incomplete' | 'complete' | HeadFault;

const commonMethods = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const;

/** A request head. One object serves a connection for all its requests. */
export class RequestHead {
  readonly fields = new FieldSection();
  method = '';
  targetStart = 0;
  targetEnd = 0;
  /** 1 for HTTP/1.1, 0 for HTTP/1.0 */
  minor = 1;
  /** offset behind the head */
  end = 0;

  /**
   * Parses the head that begins at `start`; `from` is how far an earlier try has looked. Refuses with a fault as soon as it
   * is certain; `too-large` when `limit` bytes hold no complete head.
   */
  parse(bytes: Buffer, start: number, { from, limit }: { readonly from: number; readonly limit: number }): ParsedHead {
    let at = start;
    // RFC 9112 2.2: an empty line before the request line is ignored; more than one is somebody playing
    if (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
    const end = headEnd(bytes, at, from);
    if (end === 0) {
      const early = this.#earlyFault(bytes, at);
      if (early !== undefined) return early;
      return bytes.length - at > limit ? 'too-large' : 'incomplete';
    }
    if (end - at > limit) return 'too-large';
    this.end = end;
    this.fields.clear();

    const methodStart = at;
    while (isToken[bytes[at] as number] === 1) at += 1;
    if (at === methodStart || bytes[at] !== SPACE || at - methodStart > 32) return 'method';
    this.method = methodAt(bytes, methodStart, at);
    at += 1;
    this.targetStart = at;
    while (isTarget[bytes[at] as number] === 1) at += 1;
    if (at === this.targetStart || bytes[at] !== SPACE) return 'target';
    this.targetEnd = at;
    at += 1;
    if (!spells(bytes, at, 'http/1.') || bytes[at] !== 0x48) return isVersion(bytes, at) ? 'version' : 'start-line';
    const minor = (bytes[at + 7] as number) - 0x30;
    if (bytes[at + 8] !== CR || bytes[at + 9] !== LF) return 'start-line';
    if (minor !== 0 && minor !== 1) return 'version';
    this.minor = minor;
    return this.fields.parse(bytes, at + 10, end) ?? 'complete';
  }

  /** Faults of a head that is still incomplete and can never become right: told at once, not when its time is over. */
  #earlyFault(bytes: Buffer, start: number): HeadFault | undefined {
    if (start >= bytes.length) return undefined;
    if (isToken[bytes[start] as number] !== 1 && bytes[start] !== CR) return 'method';
    const lf = bytes.indexOf(LF, start);
    return lf > start && bytes[lf - 1] !== CR ? 'line-ending' : undefined;
  }
}

function methodAt(bytes: Buffer, start: number, end: number): string {
  for (const method of commonMethods) {
    if (method.length !== end - start) continue;
    let same = true;
    for (let i = 0; same && i < method.length; i += 1) same = bytes[start + i] === method.charCodeAt(i);
    if (same) return method;
  }
  return bytes.latin1Slice(start, end);
}

/** `HTTP/<digit>.<digit>` of another version, such as 2.0 or 0.9. */
function isVersion(bytes: Buffer, at: number): boolean {
  return /^HTTP\/\d\.\d\r\n/.test(bytes.latin1Slice(at, at + 10));
}
