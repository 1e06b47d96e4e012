// What does a client ask? The request line and its fields (RFC 9112 3), as offsets; text only where routing needs it.
import { METHODS } from 'node:http';
import { CR, isHttp1, isTarget, isToken, LF, SPACE, spells } from './bytes.ts';
import { FieldSection, headEnd } from './head.ts';
import type { HeadFault } from './head.ts';

export type ParsedHead = 'incomplete' | 'complete' | HeadFault;

const registered: ReadonlySet<string> = new Set(METHODS);
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
   * is certain; `too-large` or `target-too-long` when `limit` bytes hold no complete head.
   */
  parse(bytes: Buffer, start: number, { from, limit }: { readonly from: number; readonly limit: number }): ParsedHead {
    let at = start;
    // whoever refuses this request must not take its predecessor for it
    this.method = '';
    this.fields.clear();
    // RFC 9112 2.2: an empty line before the request line is ignored; more than one is somebody playing
    if (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
    const end = headEnd(bytes, at, from);
    if (end === 0) {
      const early = this.#earlyFault(bytes, at);
      if (early !== undefined) return early;
      return bytes.length - at > limit ? tooLarge(bytes, at, limit) : 'incomplete';
    }
    if (end - at > limit) return tooLarge(bytes, at, limit);
    this.end = end;

    const methodStart = at;
    while (isToken[bytes[at] as number] === 1) at += 1;
    if (at === methodStart || bytes[at] !== SPACE || at - methodStart > 32) return 'method';
    const method = methodAt(bytes, methodStart, at);
    if (method === undefined) return 'method';
    this.method = method;
    at += 1;
    this.targetStart = at;
    while (isTarget[bytes[at] as number] === 1) at += 1;
    if (at === this.targetStart || bytes[at] !== SPACE) return 'target';
    this.targetEnd = at;
    if (!isTargetForm(bytes, this.targetStart, at, method)) return 'target';
    at += 1;
    if (!isHttp1(bytes, at)) return isVersion(bytes, at) ? 'version' : 'start-line';
    const minor = (bytes[at + 7] as number) - 0x30;
    if (bytes[at + 8] !== CR || bytes[at + 9] !== LF) return bytes[at + 8] === LF ? 'line-ending' : 'start-line';
    if (minor !== 0 && minor !== 1) return 'version';
    this.minor = minor;
    return this.fields.parse(bytes, at + 10, end) ?? 'complete';
  }

  /** Faults of a head that is still incomplete and can never become right: told at once, not when its time is over. */
  #earlyFault(bytes: Buffer, start: number): HeadFault | undefined {
    if (start >= bytes.length) return undefined;
    // a lone CR may become the empty line that is allowed
    if (bytes[start] === CR) return start + 1 < bytes.length ? 'method' : undefined;
    if (isToken[bytes[start] as number] !== 1) return 'method';
    const lf = bytes.indexOf(LF, start);
    return lf > start && bytes[lf - 1] !== CR ? 'line-ending' : undefined;
  }
}

/** Which part of it is too long (RFC 9110 15.5.15)? */
function tooLarge(bytes: Buffer, start: number, limit: number): HeadFault {
  const lf = bytes.indexOf(LF, start);
  return lf < 0 || lf - start > limit ? 'target-too-long' : 'too-large';
}

/** A method that is registered with IANA; one that nobody knows is as likely the rest of another message. */
function methodAt(bytes: Buffer, start: number, end: number): string | undefined {
  for (const method of commonMethods) {
    if (method.length !== end - start) continue;
    let same = true;
    for (let i = 0; same && i < method.length; i += 1) same = bytes[start + i] === method.charCodeAt(i);
    if (same) return method;
  }
  const method = bytes.toString('latin1', start, end);
  return registered.has(method) ? method : undefined;
}

/** origin-form, absolute-form of http, or `*` (RFC 9112 3.2); authority-form only for CONNECT. */
function isTargetForm(bytes: Buffer, start: number, end: number, method: string): boolean {
  const first = bytes[start];
  if (first === 0x2f || method === 'CONNECT') return true;
  if (first === 0x2a) return end - start === 1;
  const length = end - start;
  return (length > 7 && spells(bytes, start, 'http://')) || (length > 8 && spells(bytes, start, 'https://'));
}

/** `HTTP/<digit>.<digit>` of another version, such as 2.0 or 0.9. */
function isVersion(bytes: Buffer, at: number): boolean {
  return /^HTTP\/\d\.\d\r\n/.test(bytes.toString('latin1', at, at + 10));
}
