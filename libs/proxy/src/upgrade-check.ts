// Which protocol switches are passed on? Those of an ordinary GET without a body, to anything but HTTP/2: h2c would carry
// requests past every check of this dispatcher. Whatever is not passed on is answered as if Upgrade was not there.
import type { IncomingMessage } from 'node:http';
import { tokensOf, valueOf, valuesOf } from './header-list.ts';

/** True when the request may open a tunnel. */
export function isPassableUpgrade(req: IncomingMessage): boolean {
  const headers = req.rawHeaders;
  const protocols = tokensOf(headers, 'upgrade');
  return (
    req.method === 'GET' &&
    req.httpVersion === '1.1' &&
    protocols.length > 0 &&
    valuesOf(headers, 'upgrade').length === 1 &&
    !protocols.some((protocol) => protocol === 'h2c' || protocol.startsWith('http/') || protocol === 'h2') &&
    tokensOf(headers, 'connection').includes('upgrade') &&
    valueOf(headers, 'transfer-encoding') === undefined &&
    (valueOf(headers, 'content-length') ?? '0') === '0'
  );
}
