// Which header fields end at this hop? RFC 9110 7.6.1: Connection, what it lists, and the fields that are always about
// one connection. Applied to requests and answers alike, before anything of our own is added.
import { tokensOf, type HeaderList } from './header-list.ts';

const alwaysHopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

// A sender may not list these (RFC 9110 7.6.1: a field "intended for all recipients"); obeying would break framing.
const neverHopByHop: ReadonlySet<string> = new Set(['host', 'content-length', 'cache-control']);

const nothing: ReadonlySet<string> = new Set();

/** Names, in lower case, that Connection declares to end at this hop. */
export function listedByConnection(headers: HeaderList): ReadonlySet<string> {
  const listed = tokensOf(headers, 'connection').filter(
    (name) => name !== 'close' && name !== 'keep-alive' && !neverHopByHop.has(name),
  );
  return listed.length === 0 ? nothing : new Set(listed);
}

/** True when the field (in lower case) must not go further. */
export function endsHere(name: string, listed: ReadonlySet<string>): boolean {
  return alwaysHopByHop.has(name) || listed.has(name);
}

// RFC 9110 6.5.1: fields that say how to read, route or judge the message itself mean nothing after it.
const neverTrailers: ReadonlySet<string> = new Set([
  ...alwaysHopByHop,
  'content-length',
  'content-encoding',
  'content-type',
  'content-range',
  'trailer',
  'host',
  'authorization',
  'cookie',
  'set-cookie',
  'cache-control',
  'expect',
  'max-forwards',
  'forwarded',
  'via',
  'location',
]);

/** The trailer fields that may go further, as pairs. */
export function forwardableTrailers(trailers: HeaderList): [string, string][] {
  const kept: [string, string][] = [];
  for (let at = 0; at + 1 < trailers.length; at += 2) {
    const name = trailers[at] as string;
    if (!neverTrailers.has(name.toLowerCase())) kept.push([name, trailers[at + 1] as string]);
  }
  return kept;
}
