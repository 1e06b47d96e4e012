// Which header does the instance get? The client's, without what ends at this hop and what only we may say, plus our
// own fields. Pure: a list in, a list out.
import { clientFields, forwardedFields, type Claims, type Hop } from './forwarded.ts';
import { tokensOf, valueOf, valuesOf, type HeaderList } from './header-list.ts';
import { endsHere, listedByConnection } from './hop-by-hop.ts';
import type { BodyFraming } from './request-check.ts';

/** What the header is made from besides the client's own list. */
export interface RequestHeaderFacts {
  readonly method: string;
  readonly framing: BodyFraming;
  readonly hop: Hop;
  readonly requestId: string;
  /** Our pseudonym in Via. */
  readonly via: string;
  /** "1.0" or "1.1": what the client spoke. */
  readonly httpVersion: string;
  /** The protocol to upgrade to, such as "websocket"; undefined for an ordinary request. */
  readonly upgrade?: string | undefined;
}

// Written by us in every request, so never passed on as they came.
const ownFields: ReadonlySet<string> = new Set(['host', 'content-length', 'via', 'x-request-id', 'expect', 'trailer']);

const methodsWithBody: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** The header to send to the instance. */
export function requestHeaders(headers: HeaderList, facts: RequestHeaderFacts): string[] {
  const sent = ['Host', facts.hop.authority];
  copyEndToEnd(headers, sent);
  sent.push(...forwardedFields(facts.hop, claimsOf(headers)));
  sent.push('Via', [...valuesOf(headers, 'via'), `${facts.httpVersion} ${facts.via}`].join(', '));
  sent.push('X-Request-Id', facts.requestId);
  pushFraming(headers, facts, sent);
  // The one part of TE that we can keep: our own client takes trailers.
  const te = facts.upgrade === undefined && tokensOf(headers, 'te').includes('trailers');
  if (te) sent.push('TE', 'trailers', 'Connection', 'keep-alive, TE');
  if (facts.upgrade !== undefined) sent.push('Connection', 'Upgrade', 'Upgrade', facts.upgrade);
  return sent;
}

/** The client's own id when it is fit to be repeated in logs and answers, else a new one. */
export function requestIdOf(headers: HeaderList, newId: () => string): string {
  const given = valueOf(headers, 'x-request-id');
  return given !== undefined && /^[A-Za-z0-9._:-]{1,128}$/.test(given) ? given : newId();
}

/** How often this request already went through a dispatcher of this name. */
export function timesSeen(headers: HeaderList, via: string): number {
  const entry = ` ${via.toLowerCase()}`;
  return tokensOf(headers, 'via').filter((token) => token.endsWith(entry)).length;
}

function copyEndToEnd(headers: HeaderList, sent: string[]): void {
  const listed = listedByConnection(headers);
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const spelled = headers[at] as string;
    const name = spelled.toLowerCase();
    if (endsHere(name, listed) || ownFields.has(name) || clientFields.has(name) || isTwin(name)) continue;
    sent.push(spelled, headers[at + 1] as string);
  }
}

// Many servers (CGI, WSGI) read X_Forwarded_For and X-Forwarded-For as one: a twin would bring the forged value in.
function isTwin(name: string): boolean {
  if (!name.includes('_')) return false;
  const dashed = name.replaceAll('_', '-');
  return clientFields.has(dashed) || ownFields.has(dashed) || endsHere(dashed, new Set());
}

function claimsOf(headers: HeaderList): Claims {
  return {
    for: valuesOf(headers, 'x-forwarded-for'),
    host: valuesOf(headers, 'x-forwarded-host'),
    proto: valuesOf(headers, 'x-forwarded-proto'),
    prefix: valuesOf(headers, 'x-forwarded-prefix'),
    forwarded: valuesOf(headers, 'forwarded'),
  };
}

// The framing is always spelled out, for every method: leaving it to a client library is how DELETE with a chunked body
// became Content-Length: 0 and a smuggled second request (CVE-2026-29057).
function pushFraming(headers: HeaderList, { framing, method }: RequestHeaderFacts, sent: string[]): void {
  if (framing.kind === 'length') sent.push('Content-Length', String(framing.bytes));
  else if (framing.kind === 'none' && methodsWithBody.has(method)) sent.push('Content-Length', '0');
  else if (framing.kind === 'chunked') {
    sent.push('Transfer-Encoding', 'chunked');
    for (const trailer of valuesOf(headers, 'trailer')) sent.push('Trailer', trailer);
  }
  if (framing.kind !== 'none' && tokensOf(headers, 'expect').includes('100-continue')) {
    sent.push('Expect', '100-continue');
  }
}
