// Which shard of a Redis Cluster is meant, and which of its nodes should a client get?
import {
  ok,
  refuse,
  type RedisGroupView,
  type RedisNodeView,
  type RedisShardView,
  type Result,
} from '@switchyard/protocol';
import { clusterSlots, hasSlot, slotOfKey } from './cluster-slot.ts';

/** By name of the shard or of a node of it, by slot, or by key. */
export interface ShardChoice {
  readonly shard?: string | undefined;
  readonly slot?: number | undefined;
  readonly key?: string | undefined;
}

type View = Pick<RedisGroupView, 'name' | 'nodes' | 'shards'>;

/**
 * The shard that is meant; without any choice that of `homeSlot`. Refused with `invalid_input` when nothing or too much is
 * chosen, with `not_found` when there is no such shard, with `no_primary` when nobody owns the slot.
 */
export const pickShard = (view: View, choice: ShardChoice, homeSlot: number | null): Result<RedisShardView> => {
  const shards = view.shards ?? [];
  const given = [choice.shard, choice.slot, choice.key].filter((one) => one !== undefined);
  const how = `say which shard: shard= (${shards.map(({ name }) => name).join(', ')}, or a node of it), slot= or key=`;
  if (given.length > 1) return refuse('invalid_input', 'one of shard, slot and key is enough', { next: how });
  if (choice.shard !== undefined) {
    const wanted = choice.shard;
    const found = shards.find(
      ({ name, primary, replicas }) => name === wanted || [primary, ...replicas].some((node) => node.name === wanted),
    );
    return found === undefined
      ? refuse('not_found', `group ${view.name} has no shard ${wanted}`, { next: how })
      : ok(found);
  }
  const slot = choice.slot ?? (choice.key === undefined ? homeSlot : slotOfKey(choice.key));
  if (slot === null) {
    return refuse('invalid_input', `group ${view.name} is a Redis Cluster: each shard has its own primary`, {
      next: how,
    });
  }
  if (slot < 0 || slot >= clusterSlots) return refuse('invalid_input', 'a slot is 0 to 16383', { next: how });
  const owner = shards.find(({ slots }) => hasSlot(slots, slot));
  return owner === undefined ? refuse('no_primary', `nobody owns the slot ${String(slot)} now`) : ok(owner);
};

/** The primary of the shard that answers as one. */
export const pickShardPrimary = (view: View, shard: RedisShardView): Result<RedisNodeView> => {
  const node = view.nodes.find(({ name }) => name === shard.primary.name);
  if (shard.state !== 'down' && node !== undefined) return ok(node);
  return refuse('no_primary', `Shard ${shard.name} of group ${view.name} has no primary that takes writes`, {
    why: node === undefined ? [] : [`${node.name}: ${node.reason ?? 'the others have found it failed'}`],
  });
};

/** The replica of the shard that lags least among those that are fit; as `pickReplica`. */
export const pickShardReplica = (
  view: View,
  shard: RedisShardView,
  maxLagBytes: number | null,
): Result<RedisNodeView> => {
  const names = new Set(shard.replicas.map(({ name }) => name));
  const nodes = view.nodes.filter(({ name }) => names.has(name));
  const against = (node: RedisNodeView): string | null => {
    if (node.role !== 'replica' || !node.eligible) return node.reason ?? 'not fit';
    if (maxLagBytes === null) return null;
    if (node.lagBytes === null) return 'its lag is not known';
    return node.lagBytes > maxLagBytes ? `it lags ${String(node.lagBytes)} bytes` : null;
  };
  const [best] = nodes
    .filter((node) => against(node) === null)
    .toSorted((a, b) => (a.lagBytes ?? Number.MAX_SAFE_INTEGER) - (b.lagBytes ?? Number.MAX_SAFE_INTEGER));
  if (best !== undefined) return ok(best);
  return refuse('no_replica', `Shard ${shard.name} of group ${view.name} has no replica that is fit for reading`, {
    why: nodes.map((node) => `${node.name}: ${against(node) ?? 'fit'}`),
  });
};
