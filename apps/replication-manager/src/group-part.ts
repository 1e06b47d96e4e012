// What is a part of a group's manager? Something that looks at the group with each look, may act on it, and adds what it found to
// the view. Each part is a file or a few of its own; group.ts puts them together.
import type { RedisFailover, RedisGroupInput, RedisGroupView } from '@switchyard/protocol';
import type {
  Endpoint,
  Findings,
  FollowerState,
  GroupObservation,
  PrimaryVerdict,
  SentinelEvent,
} from '@switchyard/replication';
import type { RedisNodeAdmin, RedisSettings, SentinelMember } from '@switchyard/redis';
import type { Clock, Health, Logger, Metrics } from '@switchyard/runtime';
import type { History } from './history.ts';
import type { Observer } from './observer.ts';
import type { OperationGate } from './switchover/operation-gate.ts';
import type { RedisOperations } from './redis-operations.ts';

/** Which group, and what is wanted of it. */
export interface GroupDefinition {
  readonly name: string;
  /** As it was given, with all defaults. */
  readonly input: RedisGroupInput;
  /** How to connect. */
  readonly settings: RedisSettings;
  /** Of a Redis Cluster: the slot whose shard is meant when none is named. */
  readonly homeSlot?: number;
  /** Names for people, by `host:port`. */
  readonly names: ReadonlyMap<string, string>;
}

/** Everything that was seen in one look. */
export interface GroupLook {
  readonly observation: GroupObservation;
  readonly verdict: PrimaryVerdict;
  /** With the findings of all parts as they were before this look. */
  readonly view: RedisGroupView;
  /** The failover that is followed, if any, and who is known as primary. */
  readonly follower: FollowerState;
  /** Monotonic. */
  readonly nowMs: number;
}

/** A part. No method may throw or wait: what takes time is begun, and its outcome is looked at next time. */
export interface GroupPart {
  readonly name: string;
  start?(signal: AbortSignal): Promise<void>;
  stop?(): Promise<void>;
  /** After each look: four times a second, twenty times while a failover is under way. */
  look?(look: GroupLook): void;
  /** A message of a Sentinel, each of them from each Sentinel; `first` when no other one has said the same just before. */
  hear?(heard: { readonly sentinel: string; readonly event: SentinelEvent; readonly first: boolean }): void;
  /** A failover or switchover came to its end and has been recorded. */
  finished?(entry: RedisFailover): void;
  /** Merged into the view whenever it is asked for. */
  findings?(): Findings;
}

/** What parts work with. */
export interface GroupTools {
  readonly definition: GroupDefinition;
  readonly observer: Observer;
  readonly history: History;
  readonly gate: OperationGate;
  /** Of all groups: work that takes long is told there. */
  readonly operations: RedisOperations;
  /** A directory of this group's own on the manager's disk; created at the start. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  /** Whether the group may be changed at all. */
  readonly manages: boolean;
  /** A connection of one's own to a node, with deadlines of one's own: the observer's are for questions that are short. Close it. */
  connect(at: Endpoint, options?: { readonly deadlineMs?: number; readonly name?: string }): RedisNodeAdmin;
  /** The observer's connections to the Sentinels. */
  sentinels(): readonly SentinelMember[];
  /** Looks at once, instead of when the next look is due. */
  wake(): void;
}
