// Which path does the instance see? The client's, without the prefix that the route takes away.
import type { RequestTarget } from './request-target.ts';

/** Begins with "/", or is "*". Without a prefix to take away, byte for byte what came (unless it had dot segments). */
export function forwardedPath(target: RequestTarget, decision: { readonly stripPrefix: string }): string {
  if (decision.stripPrefix === '' || target.forwardPath === '*') return target.forwardPath;
  const rest = target.path.slice(decision.stripPrefix.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
