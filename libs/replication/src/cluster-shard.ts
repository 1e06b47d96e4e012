// Which shards does a Redis Cluster have? One for each primary that owns slots, with the replicas that follow it.
import type { RedisNodeView } from '@switchyard/protocol';
import { hasSlot } from './cluster-slot.ts';
import type { ClusterMember, ClusterTopology } from './cluster-topology.ts';

/** A primary with its slots, and the replicas of it. */
export interface ClusterShard {
  readonly name: string;
  readonly primary: ClusterMember;
  readonly replicas: readonly ClusterMember[];
  /** The primary answers as one, and the others have not found it failed. */
  readonly serves: boolean;
}

/** A node as the view shows it. */
export interface ClusterNodeFacts {
  readonly view: RedisNodeView;
  readonly member: ClusterMember;
}

/** The shard that owns the slot, if any does. */
export const shardOfSlot = (shards: readonly ClusterShard[], slot: number): ClusterShard | undefined =>
  shards.find(({ primary }) => hasSlot(primary.slots, slot));

/** The shards in the order of their slots. */
export const shardsOf = ({ members }: ClusterTopology): readonly ClusterShard[] =>
  members
    .filter(({ slots }) => slots.length > 0)
    .toSorted((a, b) => (a.slots[0]?.from ?? 0) - (b.slots[0]?.from ?? 0))
    .map((primary) => ({
      name: `${String(primary.slots[0]?.from ?? 0)}-${String(primary.slots.at(-1)?.to ?? 0)}`,
      primary,
      replicas: members.filter(({ follows, slots }) => follows === primary.id && slots.length === 0),
      serves: primary.seen && primary.failedBy.length === 0 && isPrimaryNow(primary),
    }));

const isPrimaryNow = ({ role, observation }: ClusterMember): boolean =>
  role === 'primary' && observation?.info?.role === 'primary' && !observation.info.loading;
