// What does the instance read? The client's head, in runs of untouched lines, without what ends at this hop or is only ours
// to say, and with our own fields (RFC 9110 7.6). The rules are those of request-headers.ts; here they work on offsets.
import { clientFields, forwardedFields } from '../forwarded.ts';
import type { Claims } from '../forwarded.ts';
import { Connection } from '../http1/head.ts';
import type { FieldSection } from '../http1/head.ts';
import { Field } from '../http1/field-kind.ts';
import type { RequestHead } from '../http1/request-head.ts';

/** What the head is made from besides the client's own. */
export interface RequestTextFacts {
  readonly bytes: Buffer;
  readonly head: RequestHead;
  /** path and query for the request line */
  readonly path: string;
  readonly authority: string;
  /** X-Forwarded-* and Forwarded, ready */
  readonly forwarded: string;
  readonly via: string;
  readonly requestId: string;
  /** id of the instance that is meant */
  readonly instance: string;
  readonly upgrade: boolean;
  readonly expectsContinue: boolean;
}

const verbatim = new Uint8Array(32);
for (const kind of [Field.other, Field.contentLength, Field.transferEncoding, Field.idempotencyKey, Field.date])
  verbatim[kind] = 1;

const neverListed: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding', 'cache-control']);

/** Names (lower case) that Connection declares to end at this hop; undefined when there are none. */
export function listedNames(bytes: Buffer, fields: FieldSection): ReadonlySet<string> | undefined {
  if ((fields.connection & Connection.listed) === 0) return undefined;
  const names = new Set<string>();
  for (let i = 0; i < fields.count; i += 1) {
    if (fields.kind[i] !== Field.connection) continue;
    for (const token of fields.value(bytes, i).toLowerCase().split(',')) {
      const name = token.trim();
      if (name !== '' && !neverListed.has(name)) names.add(name);
    }
  }
  return names;
}

/** The lines of all fields that `keep` lets through, as they stood, in as few pieces as possible. */
export function linesKept(
  bytes: Buffer,
  fields: FieldSection,
  { end, keep }: { readonly end: number; readonly keep: (index: number) => boolean },
): string {
  let text = '';
  let run = -1;
  for (let i = 0; i < fields.count; i += 1) {
    if (keep(i)) {
      if (run < 0) run = fields.nameStart[i] as number;
    } else if (run >= 0) {
      text += bytes.toString('latin1', run, fields.nameStart[i]);
      run = -1;
    }
  }
  return run >= 0 ? text + bytes.toString('latin1', run, end - 2) : text;
}

/** The head as it goes to the instance. */
export function requestText(facts: RequestTextFacts): string {
  const { bytes, head, upgrade, expectsContinue } = facts;
  const { fields } = head;
  const listed = listedNames(bytes, fields);
  const length = writtenAnew(bytes, fields);
  const keep = (i: number): boolean => {
    const kind = fields.kind[i] as number;
    if (verbatim[kind] !== 1) {
      const passed = (kind === Field.trailer && fields.chunked) || (kind === Field.expect && expectsContinue);
      if (!passed) return false;
    } else if (kind === Field.contentLength && length !== '') return false;
    return listed === undefined || !listed.has(fields.name(bytes, i).toLowerCase());
  };
  let text = `${head.method} ${facts.path} HTTP/1.1\r\nHost: ${facts.authority}\r\n`;
  text += linesKept(bytes, fields, { end: head.end, keep });
  text += facts.forwarded;
  text += `Via: ${viaBefore(bytes, fields)}1.${head.minor} ${facts.via}\r\nX-Request-Id: ${facts.requestId}\r\n`;
  text += `Switchyard-Instance: ${facts.instance}\r\n`;
  text += length;
  if (fields.contentLength < 0 && !fields.chunked && wantsLength(head.method)) text += 'Content-Length: 0\r\n';
  if (upgrade) {
    const value = fields.value(bytes, fields.indexOf(Field.upgrade));
    text += `Connection: Upgrade\r\nUpgrade: ${value}\r\n`;
  } else if (fields.has(Field.te) && /\btrailers\b/i.test(fields.value(bytes, fields.indexOf(Field.te)))) {
    text += 'TE: trailers\r\nConnection: keep-alive, TE\r\n';
  }
  return `${text}\r\n`;
}

/** A Content-Length with leading zeros, which some take for an octal number, as it should have been; else empty. */
export function writtenAnew(bytes: Buffer, fields: FieldSection): string {
  if (fields.contentLength < 0) return '';
  const at = fields.indexOf(Field.contentLength);
  const start = fields.valueStart[at] as number;
  const hasZeros = bytes[start] === 0x30 && (fields.valueEnd[at] as number) - start > 1;
  return hasZeros ? `Content-Length: ${fields.contentLength}\r\n` : '';
}

const wantsLength = (method: string): boolean => method === 'POST' || method === 'PUT' || method === 'PATCH';

function viaBefore(bytes: Buffer, fields: FieldSection): string {
  if (!fields.has(Field.via)) return '';
  let text = '';
  for (let i = 0; i < fields.count; i += 1) if (fields.kind[i] === Field.via) text += `${fields.value(bytes, i)}, `;
  return text;
}

/** All values of the client's claims about itself, for peers whose word counts. */
export function claimsOf(bytes: Buffer, fields: FieldSection): Claims {
  const values = new Map<string, string[]>();
  for (let i = 0; i < fields.count; i += 1) {
    if (fields.kind[i] !== Field.client) continue;
    const name = fields.name(bytes, i).toLowerCase();
    if (!clientFields.has(name)) continue;
    const list = values.get(name) ?? [];
    list.push(fields.value(bytes, i));
    values.set(name, list);
  }
  const of = (name: string): readonly string[] => values.get(name) ?? [];
  return {
    for: of('x-forwarded-for'),
    host: of('x-forwarded-host'),
    proto: of('x-forwarded-proto'),
    prefix: of('x-forwarded-prefix'),
    forwarded: of('forwarded'),
  };
}

/** X-Forwarded-* and Forwarded as lines. */
export function forwardedText(hop: Parameters<typeof forwardedFields>[0], claims: Claims): string {
  const fields = forwardedFields(hop, claims);
  let text = '';
  for (let at = 0; at + 1 < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return text;
}
