// Who is primary? The majority of the Sentinels says so; without one, the nodes; never a file or an ordinal.
import { addressKey, sameAddress, type Address } from './address.ts';
import {
  isSeen,
  type GroupObservation,
  type NodeObservation,
  type SentinelObservation,
  type TopologyLimits,
} from './observation.ts';

/** Whom the group names, and how many Sentinels stand behind it. */
export interface PrimaryVerdict {
  /** Named as primary; whether it answers as one is another question. */
  readonly named: Address | null;
  /** Who named it. A primary named by the nodes alone is good for reading the state, not for a failover's record. */
  readonly by: 'sentinels' | 'nodes' | null;
  /** Config epoch since when it is primary, by as many Sentinels as make a majority. */
  readonly epoch: number | null;
  readonly quorum: QuorumFacts;
}

/** The true quorum: what SENTINEL CKQUORUM counts, minus the tilted and the unreachable. */
export interface QuorumFacts {
  /** To agree on a failure and to elect who mends it. */
  readonly needed: number;
  readonly sentinels: number;
  readonly reachable: number;
  readonly agreeing: number;
  readonly ok: boolean;
}

/** Weighs the latest answers. Pure: the same observation at the same time gives the same verdict. */
export const primaryVerdict = (group: GroupObservation, nowMs: number, limits: TopologyLimits): PrimaryVerdict => {
  const seen = (one: NodeObservation | SentinelObservation): boolean => isSeen(one, nowMs, limits.staleAfterMs);
  const nodes = group.nodes.filter(seen);
  if (group.kind === 'single') return singleVerdict(nodes);

  const reachable = group.sentinels.filter((one) => seen(one) && one.view !== null);
  const camps = campsOf(reachable);
  const majority = Math.floor(group.sentinels.length / 2) + 1;
  const largest = camps[0];
  const bySentinels = largest !== undefined && largest.sentinels.length >= majority ? largest.at : null;
  const named = bySentinels ?? namedByNodes(nodes, camps);
  const camp = camps.find(({ at }) => sameAddress(at, named)) ?? (named === null ? largest : undefined);
  const needed = Math.max(majority, ...reachable.map((one) => one.view?.quorum ?? 0));
  const agreeing = camp?.sentinels.filter((one) => one.tilted !== true).length ?? 0;
  return {
    named,
    by: bySentinels === null ? named && 'nodes' : 'sentinels',
    epoch: named === null || camp === undefined ? null : sharedEpoch(camp, majority),
    quorum: {
      needed,
      sentinels: group.sentinels.length,
      reachable: reachable.length,
      agreeing,
      ok: agreeing >= needed,
    },
  };
};

const singleVerdict = (nodes: readonly NodeObservation[]): PrimaryVerdict => {
  const primary = nodes.find((node) => node.info?.role === 'primary');
  const named = primary === undefined ? null : { host: primary.host, port: primary.port };
  // Nothing to agree on: there is no other node to turn to.
  const quorum = { needed: 0, sentinels: 0, reachable: 0, agreeing: 0, ok: true };
  return { named, by: named && 'nodes', epoch: null, quorum };
};

/** Sentinels that name the same primary. */
interface Camp {
  readonly at: Address;
  readonly sentinels: readonly SentinelObservation[];
}

/** Largest first; of two equal ones the later epoch first. */
const campsOf = (sentinels: readonly SentinelObservation[]): readonly Camp[] => {
  const camps = new Map<string, Camp>();
  for (const sentinel of sentinels) {
    if (sentinel.view === null) continue;
    const { primary } = sentinel.view;
    const camp = camps.get(addressKey(primary));
    camps.set(addressKey(primary), { at: primary, sentinels: [...(camp?.sentinels ?? []), sentinel] });
  }
  return [...camps.values()].sort(
    (a, b) => b.sentinels.length - a.sentinels.length || (epochsOf(b)[0] ?? -1) - (epochsOf(a)[0] ?? -1),
  );
};

/** Highest first. */
const epochsOf = (camp: Camp): readonly number[] =>
  camp.sentinels.flatMap(({ view }) => view?.epoch ?? []).sort((a, b) => b - a);

/**
 * The latest epoch that `majority` of the camp have reached. Not the highest: the Sentinel that leads a failover raises its
 * epoch when the replica is promoted, and names the old primary for a second longer.
 */
const sharedEpoch = (camp: Camp, majority: number): number | null => {
  const epochs = epochsOf(camp);
  return epochs[Math.min(majority, epochs.length) - 1] ?? null;
};

/** The primary that most replicas follow; between equals the Sentinels that are left decide, otherwise nobody. */
const namedByNodes = (nodes: readonly NodeObservation[], camps: readonly Camp[]): Address | null => {
  const candidates = nodes
    .filter((node) => node.info?.role === 'primary')
    .map((node) => ({
      at: { host: node.host, port: node.port },
      followers: nodes.filter((other) => sameAddress(other.info?.follows ?? null, node)).length,
      votes: camps.find(({ at }) => sameAddress(at, node))?.sentinels.length ?? 0,
    }))
    .sort((a, b) => b.followers - a.followers || b.votes - a.votes);
  const [best, next] = candidates;
  if (best === undefined) return null;
  const tied = next !== undefined && next.followers === best.followers && next.votes === best.votes;
  return tied ? null : best.at;
};
