// What does the failover follower need of an observation? The majority's word, and what each node said about itself.
import type { Address, Endpoint } from './address.ts';
import type { NodeInfo } from './info-parser.ts';
import { defaultLimits, isSeen, type GroupObservation, type TopologyLimits } from './observation.ts';
import { primaryVerdict } from './primary-verdict.ts';

/** A node at one moment. Without `seen` only name and address count. */
export interface NodeSighting
  extends
    Endpoint,
    Pick<NodeInfo, 'role' | 'offset' | 'lineage' | 'previousLineage' | 'sharedOffset' | 'follows' | 'link'> {
  readonly seen: boolean;
  /** When it gave the facts below. */
  readonly seenAtMs: number | null;
  /** How the last question failed, for people. */
  readonly failure: string | null;
}

/** The group at one moment. */
export interface Sighting {
  /** Named by the majority of the Sentinels; null without a majority, whatever the nodes say. */
  readonly named: Address | null;
  readonly epoch: number | null;
  readonly nodes: readonly NodeSighting[];
}

/** Takes from the observation what counts at `nowMs`. */
export const sightingOf = (
  group: GroupObservation,
  nowMs: number,
  limits: TopologyLimits = defaultLimits,
): Sighting => {
  const verdict = primaryVerdict(group, nowMs, limits);
  const certain = verdict.by === 'sentinels';
  return {
    named: certain ? verdict.named : null,
    epoch: certain ? verdict.epoch : null,
    nodes: group.nodes.map((node) => ({
      name: node.name,
      host: node.host,
      port: node.port,
      seen: isSeen(node, nowMs, limits.staleAfterMs) && node.info !== null,
      seenAtMs: node.answeredAtMs,
      failure: node.failure?.detail ?? null,
      role: node.info?.role ?? null,
      offset: node.info?.offset ?? null,
      lineage: node.info?.lineage ?? null,
      previousLineage: node.info?.previousLineage ?? null,
      sharedOffset: node.info?.sharedOffset ?? null,
      follows: node.info?.follows ?? null,
      link: node.info?.link ?? null,
    })),
  };
};
