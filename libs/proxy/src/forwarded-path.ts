// Which path does the instance see? The client's, without the prefix that the route takes away, or the one that the route
// puts in its place.
import type { ForwardDecision } from './engine.ts';
import type { RequestTarget } from './request-target.ts';

/** Begins with "/", or is "*". Without a prefix to take away, byte for byte what came (unless it had dot segments). */
export function forwardedPath(
  target: RequestTarget,
  decision: Pick<ForwardDecision, 'stripPrefix' | 'replacePath'>,
): string {
  if (decision.replacePath !== undefined) return decision.replacePath;
  if (decision.stripPrefix === '' || target.forwardPath === '*') return target.forwardPath;
  const rest = target.path.slice(decision.stripPrefix.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
