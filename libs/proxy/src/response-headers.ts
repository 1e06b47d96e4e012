// Which header does the client get? The instance's, without what ends at this hop, plus who answered. Pure.
import { valueOf, type HeaderList } from './header-list.ts';
import { endsHere, listedByConnection } from './hop-by-hop.ts';

/** What the header is made from besides the instance's own list. */
export interface ResponseHeaderFacts {
  readonly status: number;
  /** The client can take a chunked body: it spoke 1.1 and a body follows. */
  readonly chunkable: boolean;
  readonly requestId: string;
  /** Id for Switchyard-Instance; undefined when it is not to be told. */
  readonly instance?: string | undefined;
}

/** The header to send to the client. Framing is left to the server side, except for a known Content-Length. */
export function responseHeaders(headers: HeaderList, facts: ResponseHeaderFacts): string[] {
  const sent: string[] = [];
  const listed = listedByConnection(headers);
  const isChunked = valueOf(headers, 'transfer-encoding') !== undefined;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const spelled = headers[at] as string;
    const name = spelled.toLowerCase();
    if (endsHere(name, listed) || name === 'switchyard-instance') continue;
    // RFC 9110 8.6: no Content-Length in a 204; beside Transfer-Encoding it has no meaning.
    if (name === 'content-length' && (facts.status === 204 || isChunked)) continue;
    if (name === 'trailer' && !(isChunked && facts.chunkable)) continue;
    sent.push(spelled, headers[at + 1] as string);
  }
  if (valueOf(headers, 'x-request-id') === undefined) sent.push('X-Request-Id', facts.requestId);
  if (facts.instance !== undefined) sent.push('Switchyard-Instance', facts.instance);
  return sent;
}

/** The header of an interim answer (1xx, RFC 9110 15.2) as it goes on. */
export function interimHeaders(headers: HeaderList): string[] {
  const sent: string[] = [];
  const listed = listedByConnection(headers);
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const spelled = headers[at] as string;
    const name = spelled.toLowerCase();
    if (!endsHere(name, listed) && name !== 'content-length' && name !== 'trailer') {
      sent.push(spelled, headers[at + 1] as string);
    }
  }
  return sent;
}
