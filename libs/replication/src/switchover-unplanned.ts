// May the primary's role be moved without its consent, by whom, and what may be lost? For groups whose Sentinels cannot, or whose
// primary is there and yet of no use.
import { sameAddress } from './address.ts';
import { actingSentinel, type PreflightFacts, type SentinelReading } from './switchover-check.ts';
import { predictPick } from './switchover-pick.ts';
import type { SwitchoverReading } from './switchover-reading.ts';

/** What was asked for. */
export interface UnplannedRequest {
  readonly force: boolean;
  /** `<group>` or `<group>/<old primary>`, typed by somebody who has read what may be lost. */
  readonly confirm: string | null;
}

/** Who would do it, and with which node. */
export interface UnplannedPlan {
  /** `sentinel`: a Sentinel promotes; `assisted`: we do, because none can. */
  readonly way: 'sentinel' | 'assisted';
  readonly acting: SentinelReading | null;
  readonly old: SwitchoverReading | null;
  readonly target: SwitchoverReading;
  /** Others that have to follow it. */
  readonly others: readonly SwitchoverReading[];
  readonly mayLose: string;
}

/** The plan, or why not. */
export type UnplannedVerdict =
  | { readonly ok: true; readonly plan: UnplannedPlan }
  | { readonly ok: false; readonly reason: string; readonly why: readonly string[]; readonly next: string };

/** Decides. `lastOffset`: the last place in the old primary's stream that was seen. */
export const planUnplanned = (
  facts: PreflightFacts,
  request: UnplannedRequest,
  lastOffset: number | null,
): UnplannedVerdict => {
  const no = (reason: string, next: string, why: readonly string[] = []): UnplannedVerdict => ({
    ok: false,
    reason,
    why,
    next,
  });
  const { group } = facts;
  if (!facts.managed) {
    return no(
      `the group ${group} is only observed: nothing is changed there`,
      `PUT /v1/redis/groups/${group} with "manage": "manage"`,
    );
  }
  if (facts.underWay !== null)
    return no(`${facts.underWay} is under way`, 'wait for its end: GET /v1/redis/operations');
  const primary = facts.nodes.find((node) => sameAddress(node, facts.primary) && node.info?.role === 'primary');
  const old = facts.nodes.find((node) => sameAddress(node, facts.named ?? facts.primary)) ?? primary ?? null;
  if (primary !== undefined && !request.force) {
    return no(
      `${primary.name} is primary and answers: a failover would lose what is on its way to the replicas`,
      `switch over instead, which loses nothing: POST /v1/redis/groups/${group}/switchover; or send "force": true and "confirm": "${group}"`,
    );
  }
  const ranked = rankedReplicas(facts, old);
  const [target] = ranked;
  if (target === undefined) {
    const why = facts.nodes.map(
      ({ name, info }) => `${name}: ${info === null ? 'does not answer' : (info.role ?? 'no role')}`,
    );
    return no('no replica that answers could take over', 'start one of the nodes', why);
  }
  const acting = facts.kind === 'sentinel' ? actingSentinel(facts) : null;
  const chosen = acting === null ? null : predictPick(acting.replicas, acting.downAfterMs ?? 1_000).pick;
  const bySentinel = facts.nodes.find((node) => sameAddress(node, chosen)) ?? null;
  const isSentinel = acting !== null && bySentinel !== null;
  const heir = isSentinel ? bySentinel : target;
  const mayLose = lossOf({ heir, best: target, old: primary ?? null, lastOffset });
  // With a quorum and a dead primary a Sentinel would do the same by itself: nothing to confirm.
  const isAssisted = !isSentinel || !facts.quorumOk || primary !== undefined;
  const isConfirmed = request.confirm === group || (old !== null && request.confirm === `${group}/${old.name}`);
  if (isAssisted && !isConfirmed) {
    const by = isSentinel ? `Sentinel ${acting.name} would promote` : 'no Sentinel can act: we would promote';
    return no(
      `${by} ${heir.name}, and ${mayLose}`,
      `confirm it: send "confirm": "${group}"${primary === undefined ? '' : ' and "force": true'}`,
      [
        facts.quorumOk
          ? 'the Sentinels are a quorum'
          : 'the Sentinels are no quorum: nobody can tell whether the old primary still takes writes elsewhere',
      ],
    );
  }
  const others = facts.nodes.filter(
    (node) => !sameAddress(node, heir) && !sameAddress(node, old) && node.info?.role === 'replica',
  );
  return { ok: true, plan: { way: isSentinel ? 'sentinel' : 'assisted', acting, old, target: heir, others, mayLose } };
};

/** Those that answer and hold data of the same lineage, most data first; a priority of 0 never. */
const rankedReplicas = (facts: PreflightFacts, old: SwitchoverReading | null): readonly SwitchoverReading[] => {
  const replicas = facts.nodes.filter(
    ({ info }) =>
      info?.role === 'replica' && !info.loading && !info.syncing && info.offset !== null && info.priority !== 0,
  );
  const lineage = old?.info?.lineage ?? mostCommon(replicas.flatMap(({ info }) => info?.lineage ?? []));
  return replicas
    .filter(({ info }) => lineage === null || info?.lineage === lineage)
    .toSorted(
      (a, b) =>
        (b.info?.offset ?? -1) - (a.info?.offset ?? -1) ||
        (a.info?.priority ?? 100) - (b.info?.priority ?? 100) ||
        (a.name < b.name ? -1 : 1),
    );
};

const mostCommon = (values: readonly string[]): string | null => {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? null;
};

const lossOf = (known: {
  readonly heir: SwitchoverReading;
  readonly best: SwitchoverReading;
  readonly old: SwitchoverReading | null;
  readonly lastOffset: number | null;
}): string => {
  const { heir, best, old, lastOffset } = known;
  const has = heir.info?.offset ?? 0;
  const behindBest = (best.info?.offset ?? 0) - has;
  const behindOld = Math.max(old?.info?.offset ?? 0, lastOffset ?? 0) - has;
  const worse = behindBest > 0 ? `; ${best.name} has ${String(behindBest)} bytes more` : '';
  if (behindOld > 0)
    return `it lacks ${String(behindOld)} bytes of the old primary's stream, which would be lost${worse}`;
  return `it has all that was seen of the old primary; what was written after the last look may be lost${worse}`;
};
