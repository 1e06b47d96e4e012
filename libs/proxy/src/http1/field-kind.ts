// Which of the fields that a proxy must understand is this? By length first, then by its letters: no strings are made.
import { spells } from './bytes.ts';

/** The fields that mean something to us, as small numbers. */
export const Field = Object.freeze({
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  /** ends at this hop whatever Connection says (RFC 9110 7.6.1) */
  hopByHop: 5,
  upgrade: 6,
  te: 7,
  trailer: 8,
  expect: 9,
  via: 10,
  requestId: 11,
  /** speaks about the client: X-Forwarded-*, Forwarded and their like */
  client: 12,
  /** spelled with "_" where one of the above has "-": many servers read both as one */
  twin: 13,
  idempotencyKey: 14,
  instance: 15,
  date: 16,
  keepAlive: 17,
});
export type FieldKind = (typeof Field)[keyof typeof Field];

const known: readonly (readonly [string, FieldKind])[] = [
  ['host', Field.host],
  ['content-length', Field.contentLength],
  ['transfer-encoding', Field.transferEncoding],
  ['connection', Field.connection],
  ['keep-alive', Field.keepAlive],
  // CGI hands it on as HTTP_PROXY, which programs obey (httpoxy, CVE-2016-5385)
  ['proxy', Field.hopByHop],
  ['proxy-connection', Field.hopByHop],
  ['proxy-authenticate', Field.hopByHop],
  ['proxy-authorization', Field.hopByHop],
  ['proxy-authentication-info', Field.hopByHop],
  ['http2-settings', Field.hopByHop],
  ['upgrade', Field.upgrade],
  ['te', Field.te],
  ['trailer', Field.trailer],
  ['expect', Field.expect],
  ['via', Field.via],
  ['x-request-id', Field.requestId],
  ['forwarded', Field.client],
  ['x-forwarded-for', Field.client],
  ['x-forwarded-host', Field.client],
  ['x-forwarded-proto', Field.client],
  ['x-forwarded-prefix', Field.client],
  ['x-forwarded-port', Field.client],
  ['x-forwarded-server', Field.client],
  ['x-forwarded-by', Field.client],
  ['x-forwarded-ssl', Field.client],
  ['x-forwarded-scheme', Field.client],
  ['x-real-ip', Field.client],
  ['x-client-ip', Field.client],
  ['x-original-forwarded-for', Field.client],
  ['idempotency-key', Field.idempotencyKey],
  ['switchyard-instance', Field.instance],
  ['date', Field.date],
];

const longest = Math.max(...known.map(([name]) => name.length));
const byLength: readonly (readonly (readonly [string, FieldKind])[])[] = Array.from(
  { length: longest + 1 },
  (_, length) => known.filter(([name]) => name.length === length),
);
const twins = new Set(known.filter(([name]) => name.includes('-')).map(([name]) => name));

/** Kind of the field whose name stands from `start` to `end`. */
export function fieldKind(bytes: Buffer, start: number, end: number): FieldKind {
  const candidates = byLength[end - start];
  if (candidates === undefined || candidates.length === 0) return Field.other;
  for (const [name, kind] of candidates) if (spells(bytes, start, name)) return kind;
  for (let at = start; at < end; at += 1) {
    if (bytes[at] !== 0x5f) continue;
    const dashed = bytes.toString('latin1', start, end).toLowerCase().replaceAll('_', '-');
    return twins.has(dashed) ? Field.twin : Field.other;
  }
  return Field.other;
}
