// Which node is copied? The replica that is most in step, and for every other node the reason it was not.
import { ok, refuse, type RedisNodeView, type Result } from '@switchyard/protocol';

/** What is known about a node that might be copied. */
export type SourceCandidate = Pick<
  RedisNodeView,
  'name' | 'host' | 'port' | 'role' | 'state' | 'offset' | 'lagBytes' | 'link'
>;

/** What makes a node acceptable. */
export interface SourceRules {
  /** A replica that is further behind its primary is not copied. */
  readonly maxLagBytes: number;
  /**
   * Whether the primary may be copied when no replica is fit. Only where no Sentinel watches it: Sentinel would take the copying
   * connection for a replica, never forget it, and count it as down.
   */
  readonly primaryAllowed: boolean;
}

/** The node to copy, and why none of the others. */
export interface SourceChoice<C extends SourceCandidate = SourceCandidate> {
  readonly source: C;
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

/** Chooses the replica with the smallest lag, by name when equal. Refuses with `no_replica`, `why` naming each node and its reason. */
export function chooseSource<C extends SourceCandidate>(
  candidates: readonly C[],
  rules: SourceRules,
): Result<SourceChoice<C>> {
  const judged = candidates.map((candidate) => ({ candidate, reason: unfitness(candidate, rules) }));
  const fit = judged.filter((one) => one.reason === undefined).map((one) => one.candidate);
  const source = fit.toSorted(byFitness)[0];
  const refused = judged.flatMap(({ candidate, reason }) => {
    if (candidate === source) return [];
    return [
      { name: candidate.name, reason: reason ?? `${source?.name ?? 'another node'} is at least as much in step` },
    ];
  });
  if (source !== undefined) return ok({ source, refused });
  return refuse('no_replica', 'No node can be copied without risk.', {
    why:
      refused.length === 0 ? ['The group has no known node.'] : refused.map(({ name, reason }) => `${name}: ${reason}`),
    next: 'Start a replica or mend its link (GET /v1/redis/groups/{group} shows each), then try again.',
  });
}

/** Why a node is not fit; undefined when it is. */
export function unfitness(candidate: SourceCandidate, rules: SourceRules): string | undefined {
  const trouble = stateTrouble[candidate.state];
  if (trouble !== undefined) return trouble;
  if (candidate.role === 'primary')
    return rules.primaryAllowed ? undefined : 'it is the primary: copying it would leave a ghost replica in Sentinel';
  if (candidate.role !== 'replica') return 'its role is unknown';
  if (candidate.link !== 'up') return 'its link to the primary is down, so its data may be old';
  if (candidate.lagBytes === null) return 'its lag is unknown: the primary did not say how far it is';
  if (candidate.lagBytes > rules.maxLagBytes)
    return `it is ${candidate.lagBytes} bytes behind, more than the ${rules.maxLagBytes} allowed`;
  return undefined;
}

const stateTrouble: Readonly<Record<SourceCandidate['state'], string | undefined>> = {
  ok: undefined,
  loading: 'it is loading its data',
  syncing: 'it is copying its data from the primary',
  'link-down': 'its link to the primary is down, so its data may be old',
  unreachable: 'it cannot be reached',
  'stray-primary': 'it believes to be the primary, and the Sentinels name another',
  'wait-primary': undefined,
  locked: 'it was restarted and has not been let in yet',
  diverged: 'it has writes that its group has not',
  fenced: 'it was taken out of service as a former primary',
  maintenance: undefined,
  rebuilding: 'it is being rebuilt',
};

// A primary, where it may be copied at all, comes after every fit replica: the copy costs its clients memory and time.
function byFitness(a: SourceCandidate, b: SourceCandidate): number {
  if (a.role !== b.role) return a.role === 'primary' ? 1 : -1;
  const byLag = (a.lagBytes ?? 0) - (b.lagBytes ?? 0);
  if (byLag !== 0) return byLag;
  return a.name < b.name ? -1 : 1;
}
