// What was seen of a Redis Cluster, and when? Each node's INFO as of any group, and what it says about the cluster.
import type { ClusterLine, ClusterState } from './cluster-parser.ts';
import type { NodeObservation } from './observation.ts';

/** Settings of a node that decide how the cluster behaves; null = not known (not asked yet, or not allowed to ask). */
export interface ClusterSettings {
  readonly nodeTimeoutMs: number | null;
  readonly requireFullCoverage: boolean | null;
  readonly allowReplicaMigration: boolean | null;
}

/** The latest look at a node of a cluster. */
export interface ClusterNodeObservation extends NodeObservation {
  /** Its answers about the cluster, as old as its INFO; null before the first, or when cluster support is off. */
  readonly cluster: { readonly lines: readonly ClusterLine[]; readonly state: ClusterState | null } | null;
  readonly settings: ClusterSettings | null;
}

/** Everything that is known about a cluster now. */
export interface ClusterObservation {
  readonly name: string;
  readonly nodes: readonly ClusterNodeObservation[];
  /** The slot of the keys that the view's `primary` is about; null when no slot is special. */
  readonly homeSlot: number | null;
}
