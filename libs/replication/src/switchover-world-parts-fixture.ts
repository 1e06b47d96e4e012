// What is the model world of switchovers made of?
import type { Endpoint } from './address.ts';
import type { SwitchoverCommand, SwitchoverLook } from './switchover-plan.ts';

/** A source of numbers in [0, 1). */
export type Random = () => number;

/** One tick. */
export const tickMs = 20;
export interface WorldNode {
  readonly at: Endpoint;
  alive: boolean;
  frozenUntilMs: number;
  frozenSinceMs: number;
  role: 'primary' | 'replica';
  follows: Endpoint | null;
  /** Ids of writes, in order: the data and the stream at once. */
  log: number[];
  lineage: string;
  previousLineage: string | null;
  sharedLength: number;
  pausedUntilMs: number;
  config: Map<string, string>;
  inbox: (() => void)[];
  fullSyncs: number;
}

export interface WorldSentinel {
  readonly at: Endpoint;
  alive: boolean;
  frozenUntilMs: number;
  names: WorldNode;
  epoch: number;
  failover: { stage: 'start' | 'wait' | 'reconf'; sinceMs: number; chosen: WorldNode | null; ours: boolean } | null;
  failoverTimeoutMs: number;
  infoPeriodMs: number;
  infoAtMs: number;
  seen: Map<string, { priority: number; offset: number }>;
  inbox: (() => void)[];
}

/** What went wrong, in words; empty = all invariants held. */
export interface World {
  nowMs: number;
  readonly nodes: readonly WorldNode[];
  readonly sentinels: readonly WorldSentinel[];
  readonly acked: Map<number, { readonly node: WorldNode; readonly atMs: number }>;
  readonly violations: string[];
  /** Something happened that can lose writes without us: a primary that died or froze, a failover by Sentinel alone. */
  excused: boolean;
  /** Writers go on while a promotion is pending: what is on its way to the replicas at that moment can be lost. */
  uncertain: boolean;
  /** The node that rose because we asked for it, while it may be named. */
  ourHeir: { readonly node: WorldNode; readonly old: WorldNode; readonly atMs: number } | null;
  tick(): void;
  look(): SwitchoverLook;
  deliver(command: SwitchoverCommand, answer: (outcome: 'ok' | 'refused', detail: string) => void): void;
  named(): WorldNode | null;
  beginFailover(sentinel: WorldSentinel, ours: boolean): boolean;
  /** Everybody who lives is awake, and agrees who is primary. */
  isCalm(): boolean;
}
