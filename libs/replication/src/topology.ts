// What does the group look like now? Observations become the view that the API shows: roles, lag, fitness, quorum, problems.
import type { RedisGroupView, RedisNodeView } from '@switchyard/protocol';
import { sameAddress, type Address } from './address.ts';
import { fitnessOf, type NodeContext } from './fitness.ts';
import { problemsOf } from './group-problems.ts';
import { defaultLimits, endpointOf, isSeen } from './observation.ts';
import type { GroupObservation, NodeObservation, TopologyLimits } from './observation.ts';
import { primaryVerdict, type PrimaryVerdict } from './primary-verdict.ts';

/** The group's view without the wall clock, which the caller adds. */
export type GroupFacts = Omit<RedisGroupView, 'observedAt'>;

/** When it was looked at, and what else is known. */
export interface TopologyOptions {
  /** On the clock of the observation. */
  readonly nowMs: number;
  readonly limits?: TopologyLimits;
  /** The replica that Sentinel is promoting: it may call itself primary before the majority says so. */
  readonly promoting?: Address | null;
}

/** r2 before r10. */
const names = new Intl.Collator('en', { numeric: true });

/** Describes the group. Never throws; what is not known is null, and why is in `problems` and in each node's `reason`. */
export const describeGroup = (group: GroupObservation, options: TopologyOptions): GroupFacts => {
  const { nowMs, promoting = null, limits = defaultLimits } = options;
  const verdict = primaryVerdict(group, nowMs, limits);
  const primary = confirmedPrimary(group, verdict, { nowMs, limits });
  const nodes = group.nodes
    .map((node) => nodeView(node, { group, verdict, primary, promoting, limits, nowMs }))
    .sort((a, b) => names.compare(a.name, b.name));
  const problems = problemsOf({ group, verdict, nodes, primary, limits, nowMs });
  const degraded = problems.some(({ advice }) => !advice);
  const serving = degraded ? 'degraded' : 'ok';
  return {
    name: group.name,
    kind: group.kind,
    state: primary === null ? 'down' : serving,
    primary: primary === null ? null : endpointOf(group.nodes, primary),
    epoch: verdict.epoch,
    quorum: verdict.quorum,
    nodes,
    problems: problems.map(({ code, detail, next }) => ({ code, detail, next })),
  };
};

/** The named primary, when it answers as one: what clients may be sent to. */
export const confirmedPrimary = (
  group: GroupObservation,
  verdict: PrimaryVerdict,
  { nowMs, limits }: { readonly nowMs: number; readonly limits: TopologyLimits },
): NodeObservation | null =>
  group.nodes.find(
    (node) =>
      sameAddress(node, verdict.named) &&
      isSeen(node, nowMs, limits.staleAfterMs) &&
      node.info?.role === 'primary' &&
      !node.info.loading,
  ) ?? null;

const nodeView = (node: NodeObservation, context: NodeContext): RedisNodeView => {
  const { nowMs, limits, primary } = context;
  const seen = isSeen(node, nowMs, limits.staleAfterMs);
  // What an unreachable node said last is no statement about now.
  const info = seen ? node.info : null;
  const state = stateOf(node, { ...context, seen });
  const lagBytes = lagOf(node, primary, seen);
  const fitness = fitnessOf(node, { ...context, state, lagBytes });
  return {
    name: node.name,
    host: node.host,
    port: node.port,
    role: info?.role ?? 'unknown',
    state,
    offset: info?.offset ?? null,
    lagBytes,
    link: info?.role === 'replica' ? (info.link ?? 'down') : null,
    persistence: persistenceOf(node),
    version: node.info?.version ?? null,
    eligible: fitness.eligible,
    reason: fitness.reason,
    seenAgoMs: node.answeredAtMs === null ? null : Math.max(0, Math.round(nowMs - node.answeredAtMs)),
    ...(node.config === undefined ? {} : { settings: node.config === null ? null : { ...node.config } }),
  };
};

const stateOf = (node: NodeObservation, context: NodeContext & { readonly seen: boolean }): RedisNodeView['state'] => {
  const { info } = node;
  if (!context.seen || info === null) return 'unreachable';
  if (info.loading) return 'loading';
  if (info.role === 'primary') return isStray(node, context) ? 'stray-primary' : 'ok';
  if (info.link === 'up') return 'ok';
  return info.syncing ? 'syncing' : 'link-down';
};

/** It says primary, but clients are sent to another one. While nobody is confirmed it may be the one being promoted. */
const isStray = (node: NodeObservation, { primary, promoting }: NodeContext): boolean =>
  primary !== null && !sameAddress(node, primary) && !sameAddress(node, promoting);

/** Bytes that the primary has and this replica has not; null when they cannot be compared. */
const lagOf = (node: NodeObservation, primary: NodeObservation | null, seen: boolean): number | null => {
  const ahead = primary?.info?.offset ?? null;
  const here = node.info?.offset ?? null;
  if (!seen || primary === null || ahead === null || here === null) return null;
  if (sameAddress(node, primary)) return 0;
  // Offsets of two lineages count different streams.
  if (node.info?.role !== 'replica' || node.info.lineage !== primary.info?.lineage) return null;
  return Math.max(0, ahead - here);
};

const persistenceOf = ({ info, savePoints }: NodeObservation): RedisNodeView['persistence'] => {
  const persistence = info?.persistence ?? null;
  return persistence === null
    ? null
    : {
        aof: persistence.aof,
        rdb: savePoints === null ? null : savePoints !== '',
        lastSaveOk: persistence.lastSaveOk && persistence.lastAofWriteOk,
      };
};
