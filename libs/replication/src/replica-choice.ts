// Which replica should become primary when the primary is gone? The one that has most of its data; between equals the one whose
// copy was verified, that stands elsewhere, and that operators prefer, in this order.
//
// Sentinel's own order is priority, offset, run id: an older copy wins when its priority is lower. Here no preference outweighs
// data: a node that is behind is never chosen while a better one is reachable.
import { addressKey, sameAddress, type Address, type Endpoint } from './address.ts';
import { isSeen, type NodeObservation, type TopologyLimits } from './observation.ts';

/** The group after its primary is gone. Times are on one monotonic clock. */
export interface ChoiceInput {
  readonly nodes: readonly NodeObservation[];
  /** Who was primary, and the lineage of its stream; a null lineage means the one that most replicas have. */
  readonly lost: Address & { readonly lineage: string | null };
  readonly limits: Pick<TopologyLimits, 'staleAfterMs'>;
  readonly nowMs: number;
  /** Where a node stands (machine, rack, zone), by `host:port`; the host when it is not said. */
  readonly domains?: Readonly<Record<string, string>>;
  /** Nodes whose data was compared with the primary's and found equal, by `host:port`. */
  readonly verified?: ReadonlySet<string>;
  /** Nodes that an operation works on. */
  readonly isHeld?: (node: Address) => boolean;
}

/** One node and why it is in its place. */
export interface Candidate extends Endpoint {
  readonly offset: number;
  /** Bytes that the best candidate has and this one has not. */
  readonly behindBytes: number;
  readonly verified: boolean;
  /** Whether it stands elsewhere than the lost primary. */
  readonly elsewhere: boolean;
  readonly priority: number;
}

/** The choice with its reasons. */
export interface ReplicaChoice {
  /** Null when no node is fit. */
  readonly chosen: Candidate | null;
  /** All that are fit, the best first. */
  readonly candidates: readonly Candidate[];
  /** All others, and why not. */
  readonly refused: readonly (Endpoint & { readonly reason: string })[];
}

/** Where no priority is known: the default of Redis. */
const usualPriority = 100;

/** Chooses. Never throws; the order of the nodes does not matter. */
export const chooseReplica = (input: ChoiceInput): ReplicaChoice => {
  const lineage = input.lost.lineage ?? commonLineage(input);
  const refused: (Endpoint & { readonly reason: string })[] = [];
  const fit: { readonly node: NodeObservation; readonly offset: number }[] = [];
  for (const node of input.nodes) {
    if (sameAddress(node, input.lost)) continue;
    const reason = unfit(node, lineage, input);
    const offset = node.info?.offset ?? null;
    if (reason === null && offset !== null) fit.push({ node, offset });
    else refused.push({ ...endpoint(node), reason: reason ?? 'it has no copy of the data yet' });
  }
  const furthest = Math.max(...fit.map(({ offset }) => offset));
  const lostDomain = domainOf(input, input.lost);
  const candidates = fit
    .map(({ node, offset }): Candidate & { readonly runId: string } => ({
      ...endpoint(node),
      offset,
      behindBytes: furthest - offset,
      verified: input.verified?.has(addressKey(node)) === true,
      elsewhere: domainOf(input, node) !== lostDomain,
      priority: node.info?.priority ?? usualPriority,
      runId: node.info?.runId ?? '',
    }))
    .sort(
      (a, b) =>
        b.offset - a.offset ||
        Number(b.verified) - Number(a.verified) ||
        Number(b.elsewhere) - Number(a.elsewhere) ||
        a.priority - b.priority ||
        compare(a.runId, b.runId) ||
        compare(addressKey(a), addressKey(b)),
    )
    .map(({ runId: _runId, ...candidate }) => candidate);
  return { chosen: candidates[0] ?? null, candidates, refused };
};

/** Why a node cannot become primary; null when it can. */
const unfit = (node: NodeObservation, lineage: string | null, input: ChoiceInput): string | null => {
  const { info } = node;
  if (!isSeen(node, input.nowMs, input.limits.staleAfterMs) || info === null) return 'it does not answer';
  if (input.isHeld?.(node) === true) return 'an operation works on it';
  if (info.role === 'primary') return 'it calls itself primary: whether its data is newer has to be looked at first';
  if (info.role === null) return 'it does not say its role';
  if (info.loading) return 'it is loading its data set';
  if (info.syncing) return 'it is in the middle of copying the data set: what it has is not whole';
  if (info.offset === null) return 'it has no copy of the data yet';
  if (info.priority === 0) return 'its replica-priority is 0: it is told never to become primary';
  if (info.lineage === null || info.lineage !== lineage)
    return 'its data is of another stream than that of the lost primary';
  return null;
};

/** The lineage that most of the replicas have; of two equally common ones none. */
const commonLineage = ({ nodes, nowMs, limits, lost }: ChoiceInput): string | null => {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const lineage = node.info?.lineage ?? null;
    const isVote = isSeen(node, nowMs, limits.staleAfterMs) && node.info?.role === 'replica' && lineage !== null;
    if (isVote && !sameAddress(node, lost)) counts.set(lineage, (counts.get(lineage) ?? 0) + 1);
  }
  const [first, second] = [...counts].sort((a, b) => b[1] - a[1]);
  return first === undefined || first[1] === second?.[1] ? null : first[0];
};

const domainOf = ({ domains }: ChoiceInput, at: Address): string => domains?.[addressKey(at)] ?? at.host;

const compare = (a: string, b: string): number => {
  if (a === b) return 0;
  return a < b ? -1 : 1;
};

const endpoint = ({ name, host, port }: Endpoint): Endpoint => ({ name, host, port });
