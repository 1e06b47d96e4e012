// Where is a client sent in redirect mode? To the chosen instance, with the path and query it asked for.
import type { HeaderList } from './header-list.ts';

/** The address to go to. `path` begins with "/", `query` has its "?" or is empty. */
export function redirectLocation(origin: string, path: string, query: string): string {
  return `${origin}${path === '*' ? '/' : path}${query}`;
}

/** True when following the redirect would bring the client back to where it came from. */
export function leadsBack(origin: string, authority: string): boolean {
  const url = URL.parse(origin);
  const asked = URL.parse(`http://${authority}`);
  return url !== null && asked !== null && url.hostname === asked.hostname && portOf(url) === portOf(asked);
}

/** Header of the answer. Never cached: the next request may have to go elsewhere (a 308 would be kept for ever). */
export function redirectHeaders(location: string, instance: string | undefined): HeaderList {
  const headers = ['Location', location, 'Cache-Control', 'no-store', 'Content-Length', '0'];
  if (instance !== undefined) headers.push('Switchyard-Instance', instance);
  return headers;
}

function portOf(url: URL): string {
  return url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
}
