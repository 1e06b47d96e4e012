// What does the request line point at? RFC 9112 3.2: origin-form, absolute-form, "*". The path is normalised for
// matching (RFC 3986 6.2.2), so that `/%61dmin` and `/x/../admin` cannot slip past a route for `/admin`.
import { isIPv6 } from 'node:net';

/** A request-target taken apart. */
export interface RequestTarget {
  /** Authority of an absolute-form target; undefined for the other forms. */
  readonly authority: string | undefined;
  /** The path to match routes against; begins with "/". */
  readonly path: string;
  /** What goes on to the instance, without the query. The path as it came, unless it had dot segments. */
  readonly forwardPath: string;
  /** With its "?", or empty. */
  readonly query: string;
}

const absoluteForm = /^https?:\/\/([^/?#]*)/i;

/** Takes a request-target apart; the text says what is wrong with it when it has none of the allowed forms. */
export function parseRequestTarget(target: string, method: string): RequestTarget | string {
  if (target === '*') {
    return method === 'OPTIONS'
      ? { authority: undefined, path: '/', forwardPath: '*', query: '' }
      : 'the request-target "*" is for OPTIONS only';
  }
  if (target.startsWith('/')) return takeApart(target, undefined);
  const absolute = absoluteForm.exec(target);
  if (absolute === null) return 'the request-target is neither a path nor an http(s) URI';
  const authority = absolute[1] ?? '';
  if (!isAuthority(authority)) return 'the authority of the request-target is not a host';
  const rest = target.slice(absolute[0].length);
  return takeApart(rest.startsWith('/') ? rest : `/${rest}`, authority);
}

/** True for `host`, `host:port` and `[v6]:port`: no user, no spaces, nothing that could be read in two ways. */
export function isAuthority(text: string): boolean {
  const match = /^(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[([0-9A-Fa-f:.]+)\])(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return false;
  const [, address, port] = match;
  return (address === undefined || isIPv6(address)) && (port === undefined || Number(port) <= 65_535);
}

/** The host of an authority: lower case, without port and without the dot of the root. */
export function hostOf(authority: string): string {
  const host = authority.startsWith('[')
    ? authority.slice(0, authority.indexOf(']') + 1)
    : (authority.split(':', 1)[0] as string);
  return (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase();
}

function takeApart(target: string, authority: string | undefined): RequestTarget {
  const hash = target.indexOf('#');
  const clean = hash < 0 ? target : target.slice(0, hash);
  const mark = clean.indexOf('?');
  const raw = mark < 0 ? clean : clean.slice(0, mark);
  const query = mark < 0 ? '' : clean.slice(mark);
  if (!raw.includes('%') && !raw.includes('/.')) return { authority, path: raw, forwardPath: raw, query };
  const path = normalisedPath(raw);
  const decoded = decodeUnreserved(raw);
  return { authority, path, forwardPath: path === decoded ? raw : path, query };
}

/** A path as it is matched: the same for all spellings that mean the same (RFC 3986 6.2.2). */
export function normalisedPath(path: string): string {
  const decoded = decodeUnreserved(path);
  return decoded.includes('/.') ? removeDotSegments(decoded) : decoded;
}

// RFC 3986 6.2.2.2: an escape of an unreserved character means the character itself.
function decodeUnreserved(path: string): string {
  return path.replace(/%([0-9A-Fa-f]{2})/g, (escape, digits: string) => {
    const character = String.fromCodePoint(Number.parseInt(digits, 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase();
  });
}

// RFC 3986 5.2.4; segments above the root vanish.
function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if (isLast && (segment === '.' || segment === '..')) kept.push('');
  }
  return `/${kept.join('/')}`;
}
