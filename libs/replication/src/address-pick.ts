// Which address should a client get? For load balancers: the primary, or the replica that lags least; or why there is none.
import { ok, refuse, type RedisGroupView, type RedisNodeView, type Result } from '@switchyard/protocol';

/** The primary that answers as one; refused with the group's problems. */
export const pickPrimary = (
  view: Pick<RedisGroupView, 'name' | 'nodes' | 'primary' | 'problems'>,
): Result<RedisNodeView> => {
  const primary = view.nodes.find((node) => node.name === view.primary?.name);
  if (primary !== undefined) return ok(primary);
  return refuse('no_primary', `Group ${view.name} has no primary that takes writes`, {
    why: view.problems.map(({ code, detail }) => `${code}: ${detail}`),
  });
};

/**
 * The replica that lags least among those that are fit to become primary. With `maxLagBytes`, one whose lag is not known is
 * not taken: nobody can promise it. Refused with a reason for each node.
 */
export const pickReplica = (
  view: Pick<RedisGroupView, 'name' | 'nodes'>,
  maxLagBytes: number | null,
): Result<RedisNodeView> => {
  const fit = view.nodes
    .filter((node) => reasonAgainst(node, maxLagBytes) === null)
    .sort((a, b) => (a.lagBytes ?? Number.MAX_SAFE_INTEGER) - (b.lagBytes ?? Number.MAX_SAFE_INTEGER));
  const best = fit[0];
  if (best !== undefined) return ok(best);
  const wanted = maxLagBytes === null ? '' : ` within ${String(maxLagBytes)} bytes`;
  return refuse('no_replica', `Group ${view.name} has no replica that is fit for reading${wanted}`, {
    why: view.nodes.map((node) => `${node.name}: ${reasonAgainst(node, maxLagBytes) ?? 'fit'}`),
  });
};

const reasonAgainst = (node: RedisNodeView, maxLagBytes: number | null): string | null => {
  if (node.role !== 'replica') return node.role === 'primary' ? 'it is no replica' : (node.reason ?? 'not reachable');
  if (!node.eligible) return node.reason ?? 'not fit';
  if (maxLagBytes === null) return null;
  if (node.lagBytes === null) return 'its lag is not known';
  return node.lagBytes > maxLagBytes ? `it lags ${String(node.lagBytes)} bytes` : null;
};
