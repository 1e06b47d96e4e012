// May this group be switched over now, to whom, and what would it cost? Checks that change nothing; each says what helps.
import { addressKey, sameAddress } from './address.ts';
import { actingSentinel, must, should } from './switchover-check.ts';
import type { CheckContext, PreflightFacts, SentinelReading, SwitchoverCheck } from './switchover-check.ts';
import { sentinelChecks } from './switchover-preflight-sentinels.ts';
import { targetChecks } from './switchover-preflight-target.ts';
import type { SwitchoverWay } from './switchover-plan.ts';
import type { SwitchoverReading } from './switchover-reading.ts';

/** What came out. */
export interface Preflight {
  readonly way: SwitchoverWay;
  readonly from: SwitchoverReading | null;
  readonly target: SwitchoverReading | null;
  /** Why this one. */
  readonly because: string;
  readonly acting: SentinelReading | null;
  readonly checks: readonly SwitchoverCheck[];
  /** Failed checks that forbid it. */
  readonly blockers: readonly SwitchoverCheck[];
  readonly predictedGapMs: number;
}

/** Makes all checks. Pure: the same facts give the same answer. */
export const preflight = (facts: PreflightFacts): Preflight => {
  const from = facts.nodes.find((node) => sameAddress(node, facts.primary)) ?? null;
  const { target, because } = targetOf(facts, from);
  const others = facts.nodes.filter((node) => !sameAddress(node, from) && !sameAddress(node, target));
  const context: CheckContext = { facts, from, target, others };
  const checks = [...groupChecks(context), ...sentinelChecks(context), ...targetChecks(context)];
  const acting = actingSentinel(facts);
  const gapMs = predictedGapMs(facts, target, from);
  return {
    way: wayOf(facts, acting),
    from,
    target,
    because,
    acting,
    checks: [...checks, should('predicted_gap', true, `writes would be held for about ${String(gapMs)} ms`, '')],
    // What a check could not find out forbids nothing by itself: the steps find out.
    blockers: checks.filter(({ ok, blocking }) => ok === false && blocking),
    predictedGapMs: gapMs,
  };
};

/** Valkey 9 coordinates by itself; older ones and Redis need the recipe. */
export const wayOf = (facts: Pick<PreflightFacts, 'kind'>, acting: SentinelReading | null): SwitchoverWay => {
  if (facts.kind !== 'sentinel') return 'direct';
  return (acting?.valkeyMajor ?? 0) >= 9 ? 'coordinated' : 'sentinel';
};

const targetOf = (
  { nodes, to }: PreflightFacts,
  from: SwitchoverReading | null,
): { readonly target: SwitchoverReading | null; readonly because: string } => {
  if (to !== null) {
    const asked = nodes.find((node) => node.name === to || addressKey(node) === to) ?? null;
    return { target: asked, because: 'it was asked for' };
  }
  const fit = nodes.filter(
    (node) =>
      !sameAddress(node, from) &&
      node.info?.role === 'replica' &&
      node.info.link === 'up' &&
      node.info.priority !== 0 &&
      sameAddress(node.info.follows, from),
  );
  const best = fit.toSorted(
    (a, b) =>
      (a.info?.priority ?? 100) - (b.info?.priority ?? 100) ||
      (b.info?.offset ?? -1) - (a.info?.offset ?? -1) ||
      (a.name < b.name ? -1 : 1),
  )[0];
  if (best === undefined) return { target: null, because: 'no replica is fit' };
  const { priority, offset } = best.info ?? { priority: null, offset: null };
  return {
    target: best,
    because: `of ${String(fit.length)} fit replicas it has the best priority (${String(priority)}) and offset (${String(offset)})`,
  };
};

/** Sentinel takes three turns of its timer (100 ms each, at random) to promote; the rest is what replicas have to catch up. */
const promotionMs = 250;
const catchUpBytesPerMs = 50_000;

const predictedGapMs = (
  facts: PreflightFacts,
  target: SwitchoverReading | null,
  from: SwitchoverReading | null,
): number => {
  const lag = Math.max(0, (from?.info?.offset ?? 0) - (target?.info?.offset ?? 0));
  return (facts.kind === 'sentinel' ? promotionMs : promotionMs / 2) + 50 + Math.round(lag / catchUpBytesPerMs);
};

const groupChecks = ({ facts, from, target, others }: CheckContext): readonly SwitchoverCheck[] => {
  const { group, underWay, maintenance, flapping, lastFailoverAgoMs, digestAgoMs } = facts;
  const minutes = (ms: number): string => `${String(Math.round(ms / 60_000))} minutes ago`;
  const put = `PUT /v1/redis/groups/${group} with "manage": "manage"`;
  return [
    must('group_managed', facts.managed, facts.managed ? 'the group is managed' : 'the group is only observed', put),
    must(
      'kind_supported',
      facts.kind !== 'cluster',
      `the group is of kind ${facts.kind}`,
      'switch a shard over instead: name it by its shard',
    ),
    must(
      'primary_confirmed',
      from !== null && from.info?.role === 'primary' && !from.info.loading,
      from === null ? 'nobody is confirmed as primary' : `${from.name} is primary`,
      'wait until the group has a primary: GET /v1/redis/groups/{group} tells what is wrong',
    ),
    must(
      'primary_not_forking',
      from === null ? null : !from.saving && !from.rewriting,
      forkDetail(from),
      'wait until the save or rewrite has ended: INFO persistence',
    ),
    must(
      'no_backup_running',
      from === null ? null : from.streams === 0 && (target?.streams ?? 0) === 0,
      from !== null && from.streams + (target?.streams ?? 0) > 0
        ? 'a backup copies the data set of the primary or the target'
        : 'no backup copies from them',
      'wait until the backup has ended, or let it read from another replica',
    ),
    must(
      'no_rollback_running',
      !isRollback(maintenance),
      isRollback(maintenance) ? String(maintenance) : 'no rollback was announced',
      'wait for its end: GET /v1/operations at the backup-worker',
    ),
    must(
      'no_handover_under_way',
      from === null ? null : !from.handingOver,
      from?.handingOver === true ? `${from.name} is handing over (FAILOVER)` : 'no FAILOVER is under way',
      'wait, or end it: FAILOVER ABORT',
    ),
    must(
      'pause_permitted',
      from?.mayPause ?? null,
      permission(from?.mayPause ?? null),
      'allow the manager: ACL SETUSER <user> +client|pause +client|unpause',
    ),
    must(
      'others_in_sync',
      others.every((node) => node.info === null || node.info.link === 'up' || node.info.role === 'primary'),
      outOfSync(others),
      'wait until they are in sync, or remove them',
    ),
    must(
      'gate_free',
      underWay === null,
      underWay === null ? 'nothing else is under way' : `${underWay} is under way`,
      'wait for its end: GET /v1/redis/operations',
    ),
    must(
      'not_in_maintenance',
      maintenance === null,
      maintenance ?? 'no maintenance',
      `end it: DELETE /v1/redis/groups/${group}/maintenance`,
    ),
    must(
      'not_flapping',
      flapping === null,
      flapping ?? 'no flapping',
      `look why, then POST /v1/redis/groups/${group}/acknowledge`,
    ),
    should(
      'calm',
      lastFailoverAgoMs === null || lastFailoverAgoMs > 60_000,
      lastFailoverAgoMs === null ? 'no failover is known' : `the last one was ${minutes(lastFailoverAgoMs)}`,
      'let clients settle first',
    ),
    should(
      'digest_checked',
      digestAgoMs === null ? null : digestAgoMs < 86_400_000,
      digestAgoMs === null ? 'the data of the replicas was not compared' : `compared ${minutes(digestAgoMs)}`,
      `compare it: POST /v1/redis/groups/${group}/check`,
    ),
    should(
      'clients',
      from === null || from.clients === null ? null : from.clients < 5_000,
      `${String(from?.clients ?? 'unknown')} clients will have to reconnect`,
      'expect a burst of connections',
    ),
  ];
};

/** The backup-worker announces it as maintenance, and gives its operation as the reason. */
const isRollback = (maintenance: string | null): boolean => maintenance !== null && /\brollback\b/.test(maintenance);

const forkDetail = (from: SwitchoverReading | null): string => {
  if (from?.saving === true) return `${from.name} is writing a snapshot`;
  return from?.rewriting === true ? `${from.name} is rewriting its append-only file` : 'the primary is not forking';
};

const permission = (may: boolean | null): string => {
  if (may === null) return 'whether writers may be paused could not be asked';
  return may ? 'writers may be paused' : 'our user may not pause writers';
};

const outOfSync = (others: readonly SwitchoverReading[]): string => {
  const names = others.filter(({ info }) => info !== null && info.link !== 'up').map(({ name }) => name);
  return names.length === 0 ? 'the other replicas are in sync' : `not in sync: ${names.join(', ')}`;
};
