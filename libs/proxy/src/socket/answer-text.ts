// What does the client read? The instance's head, in runs of untouched lines, without what ends at this hop, plus who
// answered; and the framing that this client understands.
import type { AnswerHead, BodyEnd } from '../http1/answer-head.ts';
import { Field } from '../http1/field-kind.ts';
import { linesKept, listedNames, writtenAnew } from './request-text.ts';

/**
 * How the body goes to the client: as it comes, in chunks of ours (it ends with the instance's connection), or plain with
 * the end of the connection as its end (for HTTP/1.0).
 */
export type BodyForm = 'none' | 'as-it-comes' | 'chunked-anew' | 'plain-until-close';

/** The form for a client of HTTP/1.<minor>. */
export function bodyForm(end: BodyEnd, minor: number): BodyForm {
  if (end === 'none') return 'none';
  if (end === 'length') return 'as-it-comes';
  if (end === 'chunked') return minor === 1 ? 'as-it-comes' : 'plain-until-close';
  return minor === 1 ? 'chunked-anew' : 'plain-until-close';
}

/** What the head is made from besides the instance's own. */
export interface AnswerTextFacts {
  readonly bytes: Buffer;
  readonly head: AnswerHead;
  readonly form: BodyForm;
  readonly requestId: string;
  readonly via: string;
  /** the Date line for an answer without one (RFC 9110 6.6.1) */
  readonly date: string;
  /** for Switchyard-Instance; undefined when it is not to be told */
  readonly instance: string | undefined;
  /** `close`, `keep-alive` (HTTP/1.0 has to be told), or undefined */
  readonly connection: 'close' | 'keep-alive' | 'Upgrade' | undefined;
}

const endsHere = new Uint8Array(32);
for (const kind of [
  Field.connection,
  Field.hopByHop,
  Field.keepAlive,
  Field.upgrade,
  Field.te,
  Field.instance,
  Field.via,
])
  endsHere[kind] = 1;

/** The head as it goes to the client. */
export function answerText(facts: AnswerTextFacts): string {
  const { bytes, head, form } = facts;
  const { fields } = head;
  const listed = listedNames(bytes, fields);
  const length = head.status === 204 ? '' : writtenAnew(bytes, fields);
  const chunkedOn = fields.chunked && form === 'as-it-comes';
  const keep = (i: number): boolean => {
    const kind = fields.kind[i] as number;
    if (endsHere[kind] === 1) return false;
    if (kind === Field.transferEncoding || kind === Field.trailer) return chunkedOn;
    // RFC 9110 8.6: no Content-Length in a 204
    if (kind === Field.contentLength && (head.status === 204 || length !== '')) return false;
    return listed === undefined || !listed.has(fields.name(bytes, i).toLowerCase());
  };
  let text = `HTTP/1.1 ${head.status} ${bytes.toString('latin1', head.reasonStart, head.reasonEnd)}\r\n`;
  text += linesKept(bytes, fields, { end: head.end, keep });
  text += length;
  if (!fields.has(Field.date)) text += facts.date;
  if (fields.has(Field.via)) text += `Via: ${viaOf(facts)}1.${head.minor} ${facts.via}\r\n`;
  else text += `Via: 1.${head.minor} ${facts.via}\r\n`;
  if (!fields.has(Field.requestId)) text += `X-Request-Id: ${facts.requestId}\r\n`;
  if (facts.instance !== undefined) text += `Switchyard-Instance: ${facts.instance}\r\n`;
  if (form === 'chunked-anew') text += 'Transfer-Encoding: chunked\r\n';
  if (facts.connection !== undefined) text += `Connection: ${facts.connection}\r\n`;
  if (facts.connection === 'Upgrade') text += `Upgrade: ${fields.value(bytes, fields.indexOf(Field.upgrade))}\r\n`;
  return `${text}\r\n`;
}

function viaOf({ bytes, head: { fields } }: AnswerTextFacts): string {
  let text = '';
  for (let i = 0; i < fields.count; i += 1) if (fields.kind[i] === Field.via) text += `${fields.value(bytes, i)}, `;
  return text;
}

const interimReasons: Readonly<Record<number, string>> = {
  102: 'Processing',
  103: 'Early Hints',
  104: 'Upload Resumption',
};

/** An interim answer (RFC 9110 15.2) as it goes on. */
export function interimText(bytes: Buffer, head: AnswerHead): string {
  const { fields } = head;
  const listed = listedNames(bytes, fields);
  const keep = (i: number): boolean => {
    const kind = fields.kind[i] as number;
    if (endsHere[kind] === 1 || kind === Field.transferEncoding || kind === Field.trailer) return false;
    return kind !== Field.contentLength && (listed === undefined || !listed.has(fields.name(bytes, i).toLowerCase()));
  };
  const reason = interimReasons[head.status] ?? 'Interim';
  return `HTTP/1.1 ${head.status} ${reason}\r\n${linesKept(bytes, fields, { end: head.end, keep })}\r\n`;
}
