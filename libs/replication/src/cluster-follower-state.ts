// What does the follower of a Redis Cluster remember? Each shard as it was last whole, and the changes that are under way.
import type { Endpoint } from './address.ts';
import type { OffsetSighting } from './failover-state.ts';

/** The phases in their order. */
export const shardPhases = ['pfail', 'fail', 'promoted', 'agreed', 'reconfigured', 'first-write'] as const;
/** One of `shardPhases`. */
export type ShardPhase = (typeof shardPhases)[number];

/** A shard as it was last seen whole. */
export interface KnownShard {
  readonly id: string;
  readonly primary: Endpoint;
  readonly epoch: number;
  readonly firstSlot: number;
  readonly name: string;
  readonly replicas: readonly { readonly id: string; readonly at: Endpoint; readonly offset: number | null }[];
  /** Where the primary was in its stream when it was last looked at. */
  readonly offset: OffsetSighting | null;
  readonly lastAckAtMs: number | null;
  /** False for one that was remembered from an earlier run and not seen whole since. */
  readonly isFresh: boolean;
}

/** A change under way, or the first sign of one. */
export interface ShardAttempt {
  readonly startedAtMs: number;
  readonly shard: KnownShard;
  readonly cause: string;
  /** Nobody missed the primary before it was replaced. */
  readonly requested: boolean;
  readonly reachedAtMs: Readonly<Partial<Record<ShardPhase, number>>>;
  readonly evidence: readonly string[];
  readonly probeFailed: boolean;
  readonly writesUnavailableMs: number | null;
  readonly target: {
    readonly id: string;
    readonly to: Endpoint;
    readonly epoch: number;
    readonly sinceMs: number;
    /** How far its data goes in the stream of the old primary; null when it does not say. */
    readonly sharedOffset: number | null;
  } | null;
}

/** Everything the follower remembers; bounded by the number of shards. */
export interface ClusterFollowerState {
  readonly group: string;
  readonly shards: Readonly<Record<string, KnownShard>>;
  /** By the id of the primary that is replaced. */
  readonly attempts: Readonly<Record<string, ShardAttempt>>;
}

/** A follower that has seen nothing; `remembered` comes from an earlier run. */
export const clusterFollowerState = (group: string, remembered: readonly KnownShard[] = []): ClusterFollowerState => ({
  group,
  shards: Object.fromEntries(remembered.map((shard) => [shard.id, shard])),
  attempts: {},
});
