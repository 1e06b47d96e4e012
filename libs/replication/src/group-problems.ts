// What is wrong with the group, and what helps? One line for each thing, with a code that stays.
import type { RedisNodeView } from '@switchyard/protocol';
import { sameAddress } from './address.ts';
import { silence } from './fitness.ts';
import { endpointOf, isSeen } from './observation.ts';
import type { GroupObservation, NodeObservation, SentinelObservation, TopologyLimits } from './observation.ts';
import type { PrimaryVerdict } from './primary-verdict.ts';

/** A problem; `advice` is true for what works now and will hurt later: it does not make the group degraded. */
export interface GroupProblem {
  readonly code: string;
  readonly detail: string;
  readonly next: string;
  readonly advice: boolean;
}

/** What problems are found in. */
export interface ProblemContext {
  readonly group: GroupObservation;
  readonly verdict: PrimaryVerdict;
  readonly nodes: readonly RedisNodeView[];
  readonly primary: NodeObservation | null;
  readonly limits: TopologyLimits;
  readonly nowMs: number;
}

/** More lines than this help nobody. */
const mostProblems = 64;

/** All problems, the gravest first. */
export const problemsOf = (context: ProblemContext): readonly GroupProblem[] =>
  [
    ...primaryProblems(context),
    ...quorumProblems(context),
    ...context.nodes.flatMap((node) => nodeProblems(node, context)),
    ...(context.group.kind === 'sentinel' ? redundancyProblems(context) : []),
    ...context.group.nodes.flatMap((node) => settingProblems(node, context)),
  ].slice(0, mostProblems);

const wrong = (code: string, detail: string, next: string): GroupProblem => ({ code, detail, next, advice: false });
const advice = (code: string, detail: string, next: string): GroupProblem => ({ code, detail, next, advice: true });

const primaryProblems = ({ group, verdict, nodes, primary }: ProblemContext): readonly GroupProblem[] => {
  if (primary !== null) return [];
  if (verdict.named === null) {
    const said = group.kind === 'single' ? 'the node does not answer as a primary' : 'no majority names a primary';
    return [
      wrong(
        'no_primary',
        `writes are not possible: ${said}`,
        'start the nodes and Sentinels that are listed as unreachable; Sentinel then chooses by itself',
      ),
    ];
  }
  const { name } = endpointOf(group.nodes, verdict.named);
  const node = nodes.find((one) => sameAddress(one, verdict.named));
  const why = node === undefined ? 'it was not reached yet' : (node.reason ?? `it says ${node.role}`);
  return [
    wrong(
      'no_primary',
      `writes are not possible: ${name} is named primary, but ${why}`,
      verdict.quorum.ok
        ? 'wait for the failover that Sentinel starts; GET /v1/redis/groups/{group}/history shows it'
        : `start ${name} again, or enough Sentinels for a quorum`,
    ),
  ];
};

const quorumProblems = ({ group, verdict, limits, nowMs }: ProblemContext): readonly GroupProblem[] => {
  if (group.kind === 'single') return [];
  const { quorum, named } = verdict;
  const lost = quorum.ok
    ? []
    : [
        wrong(
          'quorum_lost',
          `a failure of the primary would not be mended: ${String(quorum.agreeing)} of ${String(quorum.sentinels)} Sentinels ` +
            `are reachable, not tilted and agree; ${String(quorum.needed)} are needed`,
          'start or wake the Sentinels that are listed; a tilted one recovers within 30 s when its machine keeps up. ' +
            'If the primary fails before that: POST /v1/redis/groups/{group}/failover',
        ),
      ];
  return [...lost, ...group.sentinels.flatMap((one) => sentinelProblems(one, { group, named, limits, nowMs }))];
};

const sentinelProblems = (
  sentinel: SentinelObservation,
  context: Pick<ProblemContext, 'group' | 'limits' | 'nowMs'> & Pick<PrimaryVerdict, 'named'>,
): readonly GroupProblem[] => {
  const { group, named, limits, nowMs } = context;
  const { name, view } = sentinel;
  if (!isSeen(sentinel, nowMs, limits.staleAfterMs)) {
    const detail = `Sentinel ${name} is unreachable: ${silence(sentinel)}`;
    return [wrong('sentinel_unreachable', detail, 'start it, or check its address')];
  }
  if (view === null) {
    const next = `tell it: SENTINEL MONITOR ${group.name} <host> <port> <quorum>`;
    return [wrong('sentinel_unaware', `Sentinel ${name} does not know the group ${group.name}`, next)];
  }
  const found: GroupProblem[] = [];
  if (sentinel.tilted === true) {
    const detail = `Sentinel ${name} is tilted: it noticed a pause or a clock jump and does not act, though CKQUORUM counts it`;
    found.push(wrong('sentinel_tilted', detail, 'wait 30 s; if it comes back, its machine is overloaded or paused'));
  }
  if (named !== null && !sameAddress(view.primary, named)) {
    const other = endpointOf(group.nodes, view.primary).name;
    const detail = `Sentinel ${name} names ${other}, the others ${endpointOf(group.nodes, named).name}`;
    found.push(wrong('sentinel_disagrees', detail, 'wait: it learns the later epoch from the others within seconds'));
  }
  if (sentinel.ghosts > 0) {
    const detail = `Sentinel ${name} lists ${String(sentinel.ghosts)} replicas without a port, left by a backup stream`;
    found.push(advice('ghost_replica', detail, 'harmless; SENTINEL RESET removes them in a quiet minute'));
  }
  if ((view.failoverTimeoutMs ?? 0) > limits.longestFailoverTimeoutMs) {
    const detail = `Sentinel ${name} has failover-timeout ${String(view.failoverTimeoutMs)} ms: after a failed attempt it waits twice that`;
    found.push(advice('long_failover_timeout', detail, `SENTINEL SET ${group.name} failover-timeout 15000`));
  }
  return found;
};

const nodeProblems = (node: RedisNodeView, { group, primary, verdict }: ProblemContext): readonly GroupProblem[] => {
  const why = node.reason ?? 'no reason known';
  // The named primary that does not answer is `no_primary`, said once.
  if (node.state === 'unreachable') {
    return sameAddress(node, verdict.named) || group.kind === 'single'
      ? []
      : [wrong('node_unreachable', `${node.name} is unreachable: ${why}`, 'start it; it joins as a replica by itself')];
  }
  if (node.state === 'stray-primary') {
    const now = primary === null ? 'another node' : primary.name;
    const detail = `${node.name} calls itself primary, but ${now} is: what it accepts now will be lost`;
    return [wrong('stray_primary', detail, 'Sentinel turns it into a replica about 10 s after it came back')];
  }
  if (node.state === 'loading') {
    return [wrong('node_loading', `${node.name} is loading its data set`, 'wait until it has finished')];
  }
  if (node.role !== 'replica' || primary === null) return [];
  if (node.state === 'link-down') {
    const detail = `${node.name} is cut off from its primary`;
    return [wrong('replica_link_down', detail, 'check the network between them and the logs of both')];
  }
  if (node.state === 'syncing') {
    return [wrong('replica_syncing', `${node.name} is copying the data set`, 'wait until its link is up')];
  }
  return node.eligible || isCascading(node, group)
    ? []
    : [wrong('replica_not_fit', `${node.name} could not become primary: ${why}`, 'see its reason')];
};

/** A replica of a replica that is told never to become primary: nothing is wrong with it. */
const isCascading = (node: RedisNodeView, { nodes }: GroupObservation): boolean => {
  const { info } = nodes.find((one) => sameAddress(one, node)) ?? {};
  const source = nodes.find((one) => sameAddress(one, info?.follows ?? null));
  return info?.priority === 0 && info.link === 'up' && source?.info?.role === 'replica' && source.info.link === 'up';
};

const redundancyProblems = ({ nodes, primary }: ProblemContext): readonly GroupProblem[] => {
  const fit = nodes.some((node) => node.role === 'replica' && node.eligible);
  if (primary === null || fit) return [];
  const detail = `no replica could take over from ${primary.name}: the next failure stops all writes`;
  return [wrong('no_replica', detail, 'start a replica, or mend the ones that are listed')];
};

const settingProblems = (node: NodeObservation, { nowMs, limits }: ProblemContext): readonly GroupProblem[] => {
  if (!isSeen(node, nowMs, limits.staleAfterMs) || node.info === null) return [];
  const { persistence, maxMemoryBytes, evictionPolicy } = node.info;
  const found: GroupProblem[] = [];
  if (persistence?.lastSaveOk === false || persistence?.lastAofWriteOk === false) {
    const detail = `the last ${persistence.lastSaveOk ? 'AOF write' : 'RDB save'} of ${node.name} failed`;
    found.push(wrong('save_failed', detail, 'read its log: most often the disk is full'));
  }
  if (persistence?.aof === false && node.savePoints === '') {
    const detail = `${node.name} writes nothing to disk: restarted as primary, it would empty all replicas`;
    found.push(advice('no_persistence', detail, `CONFIG SET appendonly yes on ${node.name}`));
  }
  if (evictionPolicy !== null && evictionPolicy !== 'noeviction' && (maxMemoryBytes ?? 0) > 0) {
    const detail = `${node.name} evicts keys (${evictionPolicy}) once it holds ${String(maxMemoryBytes)} bytes: registrations and jobs may vanish`;
    found.push(advice('evicting_policy', detail, `CONFIG SET maxmemory-policy noeviction on ${node.name}`));
  }
  return found;
};
