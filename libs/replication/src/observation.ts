// What was seen of a group, and when? The raw material of topology and of the failover follower.
import type { Address, Endpoint } from './address.ts';
import type { NodeSettings, NodeVitals } from './health-policy-facts.ts';
import type { NodeInfo } from './info-parser.ts';
import type { SentinelPeer, SentinelReplica, SentinelView } from './sentinel-parser.ts';

/**
 * How a question failed. `gone`: the connection was refused or closed, nobody is there. `silent`: no answer within the
 * deadline (frozen, overloaded, cut off). `refused`: it answered with an error (password, ACL).
 */
export interface Failure {
  readonly kind: 'gone' | 'silent' | 'refused';
  readonly detail: string;
}

/** The latest look at a node. Times are milliseconds of one monotonic clock. */
export interface NodeObservation extends Endpoint {
  /** The last answer to INFO, however old. */
  readonly info: NodeInfo | null;
  /** CONFIG GET save: empty = no RDB snapshots; null = not known (not asked yet, or not allowed to ask). */
  readonly savePoints: string | null;
  /** Memory, disk and forks, as of the last answer. */
  readonly vitals?: NodeVitals | null;
  /** CONFIG GET of what is watched; null when we may not ask. */
  readonly config?: NodeSettings | null;
  readonly answeredAtMs: number | null;
  /** Of the last question; null when it was answered. */
  readonly failure: Failure | null;
}

/** The latest look at a Sentinel. */
export interface SentinelObservation extends Endpoint {
  readonly view: SentinelView | null;
  readonly tilted: boolean | null;
  readonly replicas: readonly SentinelReplica[];
  /** Replicas without a port that this Sentinel believes in. */
  readonly ghosts: number;
  readonly peers: readonly SentinelPeer[];
  readonly answeredAtMs: number | null;
  readonly failure: Failure | null;
}

/** Everything that is known about a group now. `single` is one node without Sentinels; `cluster` is told by cluster-view.ts. */
export interface GroupObservation {
  readonly name: string;
  readonly kind: 'sentinel' | 'single' | 'cluster';
  readonly nodes: readonly NodeObservation[];
  /** All that are configured or were named by another one: the majority is counted among them. */
  readonly sentinels: readonly SentinelObservation[];
}

/** Where patience ends. */
export interface TopologyLimits {
  /** An answer older than this counts as none. */
  readonly staleAfterMs: number;
  /** A replica that lags more is not fit to become primary. */
  readonly maxLagBytes: number;
  /** A Sentinel with a longer failover-timeout would wait twice as long after a failed attempt. */
  readonly longestFailoverTimeoutMs: number;
}

/** The limits unless given. */
export const defaultLimits: TopologyLimits = Object.freeze({
  staleAfterMs: 1_200,
  maxLagBytes: 1_048_576,
  longestFailoverTimeoutMs: 60_000,
});

/** Whether its last answer still counts: recent, and the connection has not gone since. */
export const isSeen = (
  one: { readonly answeredAtMs: number | null; readonly failure: Failure | null },
  nowMs: number,
  staleAfterMs: number,
): boolean =>
  one.answeredAtMs !== null &&
  nowMs - one.answeredAtMs <= staleAfterMs &&
  (one.failure === null || one.failure.kind === 'silent');

/** An address among the endpoints, or under `host:port` when it is not among them. */
export const endpointOf = (endpoints: readonly Endpoint[], at: Address): Endpoint => {
  const known = endpoints.find((one) => one.host === at.host && one.port === at.port);
  return { name: known?.name ?? `${at.host}:${String(at.port)}`, host: at.host, port: at.port };
};
