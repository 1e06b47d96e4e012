// Can the Sentinels carry a switchover, and would they mend what goes wrong? The part of the preflight about them.
import { sameAddress } from './address.ts';
import { unbeatable } from './switchover-pick.ts';
import { actingSentinel, must, should, type CheckContext, type SwitchoverCheck } from './switchover-check.ts';

const longestTimeoutMs = 60_000;

/** Empty for groups without Sentinels. */
export const sentinelChecks = (context: CheckContext): readonly SwitchoverCheck[] => {
  const { facts, target } = context;
  if (facts.kind !== 'sentinel') return [];
  const { sentinels, named } = facts;
  const names = (of: typeof sentinels): string => of.map(({ name }) => name).join(', ');
  const reachable = sentinels.filter((one) => one.reachable);
  const tilted = reachable.filter((one) => one.tilted === true);
  const others = reachable.filter((one) => !sameAddress(one.names, named));
  const busy = reachable.filter(({ flags }) => flags.includes('failover_in_progress') || flags.includes('o_down'));
  const slow = reachable.filter((one) => (one.failoverTimeoutMs ?? 0) > longestTimeoutMs);
  const acting = actingSentinel(facts);
  const rivals = acting === null || target === null ? [] : unbeatable(acting.replicas, target);
  const reported = acting?.replicas.find((one) => sameAddress(one, target));
  const blockedMs = 2 * Math.max(0, ...reachable.map((one) => one.failoverTimeoutMs ?? 0));
  return [
    must(
      'quorum',
      facts.quorumOk,
      facts.quorumOk ? 'the Sentinels are a quorum' : 'the Sentinels are no quorum',
      'start or wake the missing ones',
    ),
    must(
      'sentinels_not_tilted',
      tilted.length === 0,
      tilted.length === 0 ? 'none is tilted' : `tilted: ${names(tilted)}`,
      'wait 30 s; a machine that is overloaded tilts again',
    ),
    must(
      'sentinels_agree',
      others.length === 0 && named !== null,
      others.length === 0 ? 'all name the same primary' : `another primary is named by ${names(others)}`,
      'wait until they have heard of each other',
    ),
    must(
      'no_failover_under_way',
      busy.length === 0 && !facts.failoverUnderWay,
      busy.length === 0 ? 'no failover is under way' : `a failover is under way at ${names(busy)}`,
      'wait for its end',
    ),
    must(
      'acting_sentinel',
      acting !== null,
      acting === null ? 'no Sentinel can act' : `${acting.name} would act`,
      'start one, or wait until it is not tilted any more',
    ),
    must(
      'target_known_to_sentinel',
      target === null || acting === null ? null : reported !== undefined,
      reported === undefined ? 'the acting Sentinel does not list the target' : 'the acting Sentinel lists the target',
      'wait 10 s: it learns replicas from the primary',
    ),
    must(
      'target_can_be_preferred',
      target === null ? null : rivals.length === 0 && target.info?.priority !== 0,
      rivals.length === 0
        ? 'the target can be preferred'
        : `priority 1 is taken by ${rivals.map(({ host, port }) => `${host}:${String(port)}`).join(', ')}`,
      'CONFIG SET replica-priority 100 on it',
    ),
    should(
      'failover_timeout_sane',
      slow.length === 0,
      slow.length === 0
        ? 'failover-timeout is short enough'
        : `failover-timeout is above ${String(longestTimeoutMs)} ms at ${names(slow)}`,
      `SENTINEL SET ${facts.group} failover-timeout 15000`,
    ),
    should(
      'retry_not_blocked',
      facts.lastFailoverAgoMs === null || facts.lastFailoverAgoMs > blockedMs,
      `after a failed attempt Sentinel waits ${String(blockedMs)} ms`,
      'should the new primary fail within that time, mending may take longer',
    ),
    should(
      'sentinels_reachable',
      reachable.length === sentinels.length,
      `${String(reachable.length)} of ${String(sentinels.length)} Sentinels answer`,
      'start the others',
    ),
  ];
};
