// What is the instance told about the client? X-Forwarded-*, and the same as Forwarded (RFC 7239). What the client
// itself claims is thrown away unless its address is trusted; then our hop is added behind.
import { plainAddress } from './trusted-peers.ts';

/** The facts of this hop. */
export interface Hop {
  /** Address of the connected peer. */
  readonly peer: string;
  /** True when the peer is a proxy whose word is believed. */
  readonly trusted: boolean;
  readonly scheme: 'http' | 'https';
  /** The authority the client asked for; may be empty (HTTP/1.0). */
  readonly authority: string;
  /** The path prefix that was taken away before forwarding, or empty. */
  readonly strippedPrefix: string;
}

/** What the peer claimed: the values of the fields, empty when absent. */
export interface Claims {
  readonly for: readonly string[];
  readonly host: readonly string[];
  readonly proto: readonly string[];
  readonly prefix: readonly string[];
  readonly forwarded: readonly string[];
}

/** Fields that speak about the client: never passed on as they came. Names in lower case. */
export const clientFields: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-prefix',
  'x-forwarded-port',
  'x-forwarded-server',
  'x-forwarded-by',
  'x-forwarded-ssl',
  'x-forwarded-scheme',
  'x-real-ip',
  'x-client-ip',
  'x-original-forwarded-for',
]);

/** The fields to send, as a flat list. */
export function forwardedFields(hop: Hop, claims: Claims): string[] {
  const peer = plainAddress(hop.peer);
  const believed = (values: readonly string[]): string => (hop.trusted ? values.join(', ') : '');
  const chain = (values: readonly string[], own: string): string => {
    const before = believed(values);
    return before === '' ? own : `${before}, ${own}`;
  };
  const host = believed(claims.host) || hop.authority;
  const prefix = `${believed(claims.prefix)}${hop.strippedPrefix}`;
  const fields = ['X-Forwarded-For', chain(claims.for, peer)];
  fields.push('X-Forwarded-Proto', believed(claims.proto) || hop.scheme);
  if (host !== '') fields.push('X-Forwarded-Host', host);
  if (prefix !== '') fields.push('X-Forwarded-Prefix', prefix);
  fields.push('Forwarded', chain(claims.forwarded, forwardedElement(peer, hop)));
  return fields;
}

function forwardedElement(peer: string, { authority, scheme }: Hop): string {
  const node = peer.includes(':') ? `"[${peer}]"` : peer === '' ? 'unknown' : peer;
  const host = authority === '' ? '' : `;host=${quoted(authority)}`;
  return `for=${node}${host};proto=${scheme}`;
}

// RFC 7239 4: a value that is no token (a port's colon, brackets) has to be quoted.
function quoted(value: string): string {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`;
}
