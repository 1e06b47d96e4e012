// What does a Redis Cluster look like now? As topology.ts for a group with Sentinels: the view of the API, with its shards.
import type { RedisNodeView, RedisShardView } from '@switchyard/protocol';
import { clusterProblems } from './cluster-problems.ts';
import type { ClusterNodeObservation, ClusterObservation } from './cluster-observation.ts';
import { shardOfSlot, shardsOf, type ClusterNodeFacts, type ClusterShard } from './cluster-shard.ts';
import { countSlots, slotText } from './cluster-slot.ts';
import { mergeCluster, type ClusterMember, type ClusterTopology } from './cluster-topology.ts';
import { silence } from './fitness.ts';
import { defaultLimits, isSeen, type TopologyLimits } from './observation.ts';
import type { GroupFacts } from './topology.ts';

/** The whole picture: what the API shows, and what is behind it. */
export interface ClusterFacts {
  readonly topology: ClusterTopology;
  readonly shards: readonly ClusterShard[];
  readonly nodes: readonly ClusterNodeFacts[];
  readonly view: GroupFacts;
}

const names = new Intl.Collator('en', { numeric: true });
/** cluster-replica-validity-factor and repl-ping-replica-period as Redis has them unless told otherwise. */
const validityTimes = 10;
const replicaPingMs = 10_000;
const usualNodeTimeoutMs = 15_000;

/** Describes the cluster. Never throws; what is not known is null, and why is in `problems` and in each node's `reason`. */
export const describeCluster = (
  cluster: ClusterObservation,
  options: { readonly nowMs: number; readonly limits?: TopologyLimits },
): ClusterFacts => {
  const { nowMs, limits = defaultLimits } = options;
  const topology = mergeCluster(cluster, { nowMs, limits });
  const shards = shardsOf(topology);
  const nodes = topology.members
    .map((member) => ({ member, view: nodeView(member, { shards, topology, nowMs, limits }) }))
    .sort((a, b) => names.compare(a.view.name, b.view.name));
  const outside = topology.strangers.map((node) => strangerView(node, nowMs, limits));
  const problems = clusterProblems({ cluster, topology, shards, nodes, strangers: outside });
  const home = cluster.homeSlot === null ? undefined : shardOfSlot(shards, cluster.homeSlot);
  const isDown =
    shards.length === 0 ||
    (cluster.homeSlot !== null && home?.serves !== true) ||
    wholeIsDown(cluster, shards, topology);
  const serving = problems.some(({ advice }) => !advice) ? 'degraded' : 'ok';
  const { quorum } = topology;
  return {
    topology,
    shards,
    nodes,
    view: {
      name: cluster.name,
      kind: 'cluster',
      state: isDown ? 'down' : serving,
      primary: home?.serves ? endpoint(home.primary) : null,
      epoch: topology.currentEpoch,
      quorum: {
        needed: quorum.needed,
        sentinels: quorum.primaries,
        reachable: quorum.reachable,
        agreeing: quorum.agreeing,
        ok: quorum.primaries > 0 && quorum.agreeing >= quorum.needed,
      },
      nodes: [...nodes.map(({ view }) => view), ...outside],
      shards: shards.map((shard) => shardView(shard, nodes)),
      problems: problems.map(({ code, detail, next }) => ({ code, detail, next })),
    },
  };
};

const endpoint = ({ name, host, port }: ClusterMember): { name: string; host: string; port: number } => ({
  name,
  host,
  port,
});

/** With cluster-require-full-coverage every shard answers CLUSTERDOWN as long as one is missing. */
const wholeIsDown = (
  cluster: ClusterObservation,
  shards: readonly ClusterShard[],
  { uncovered }: ClusterTopology,
): boolean => {
  const strict = cluster.nodes.some(({ settings }) => settings?.requireFullCoverage === true);
  const isBroken = uncovered.length > 0 || shards.some(({ primary }) => primary.failedBy.length > 0);
  return shards.every(({ serves }) => !serves) || (strict && isBroken);
};

interface NodeContext {
  readonly shards: readonly ClusterShard[];
  readonly topology: ClusterTopology;
  readonly nowMs: number;
  readonly limits: TopologyLimits;
}

const nodeView = (member: ClusterMember, context: NodeContext): RedisNodeView => {
  const { observation, seen } = member;
  const info = seen ? (observation?.info ?? null) : null;
  const shard = context.shards.find((one) => one.primary === member || one.replicas.includes(member));
  const state = stateOf(member, shard);
  const lagBytes = lagOf(member, shard);
  const fitness = fitnessOf(member, { ...context, shard, state, lagBytes });
  return {
    ...endpoint(member),
    role: info?.role ?? 'unknown',
    state,
    offset: info?.offset ?? null,
    lagBytes,
    link: info?.role === 'replica' ? (info.link ?? 'down') : null,
    persistence: persistenceOf(observation),
    version: observation?.info?.version ?? null,
    ...fitness,
    seenAgoMs: ageOf(observation, context.nowMs),
  };
};

const stateOf = (member: ClusterMember, shard: ClusterShard | undefined): RedisNodeView['state'] => {
  const info = member.observation?.info ?? null;
  if (!member.seen || info === null) return 'unreachable';
  if (info.loading) return 'loading';
  if (info.role === 'primary') {
    // an empty primary is one that has not been given slots, or one that has not noticed that it was replaced
    if (member.slots.length === 0) return 'stray-primary';
    return shard?.replicas.some(({ seen, observation }) => seen && observation?.info?.link === 'up')
      ? 'ok'
      : 'wait-primary';
  }
  if (info.link === 'up') return 'ok';
  return info.syncing ? 'syncing' : 'link-down';
};

const lagOf = (member: ClusterMember, shard: ClusterShard | undefined): number | null => {
  const primary = shard?.primary;
  const here = member.observation?.info ?? null;
  const there = primary?.observation?.info ?? null;
  if (!member.seen || primary?.seen !== true || here === null || there === null) return null;
  if (member === primary) return 0;
  if (here.offset === null || there.offset === null || here.lineage !== there.lineage) return null;
  return Math.max(0, there.offset - here.offset);
};

const fitnessOf = (
  member: ClusterMember,
  context: NodeContext & {
    readonly shard: ClusterShard | undefined;
    readonly state: RedisNodeView['state'];
    readonly lagBytes: number | null;
  },
): { readonly eligible: boolean; readonly reason: string | null } => {
  const { state, shard, lagBytes, limits } = context;
  const no = (reason: string) => ({ eligible: false, reason });
  const info = member.observation?.info ?? null;
  if (state === 'unreachable' || info === null) {
    return no(member.observation === null ? 'it was not reached yet' : silence(member.observation));
  }
  if (state === 'loading') return no('it is loading its data set');
  if (state === 'stray-primary') return no('it calls itself primary, but owns no slots');
  if (info.role === 'primary') {
    const alone = state === 'wait-primary' ? ', and no replica of it is in step' : '';
    return { eligible: true, reason: `is primary of slots ${slotText(member.slots)}${alone}` };
  }
  if (shard === undefined) return no('it follows no primary that owns slots');
  if (info.priority === 0) return no('its replica-priority is 0: it is told never to become primary');
  if (info.offset === null) return no('it has no copy of the data yet');
  if (info.link !== 'up') return shard.primary.seen ? no(linkReason(state)) : orphan(member);
  if (lagBytes !== null && lagBytes > limits.maxLagBytes) {
    return no(`it lags ${String(lagBytes)} bytes, more than ${String(limits.maxLagBytes)}`);
  }
  return { eligible: true, reason: null };
};

const linkReason = (state: RedisNodeView['state']): string =>
  state === 'syncing' ? 'it is copying the data set from the primary' : 'its link to the primary is down';

/** A replica whose primary is gone may be elected as long as its copy is not too old. */
const orphan = ({ observation }: ClusterMember): { readonly eligible: boolean; readonly reason: string | null } => {
  const timeoutMs = observation?.settings?.nodeTimeoutMs ?? usualNodeTimeoutMs;
  const downMs = 1_000 * (observation?.info?.linkDownSeconds ?? 0);
  return downMs <= validityTimes * timeoutMs + replicaPingMs
    ? { eligible: true, reason: null }
    : {
        eligible: false,
        reason: `its link is down for ${String(downMs)} ms: the cluster elects no copy that is so old`,
      };
};

const persistenceOf = (observation: ClusterNodeObservation | null): RedisNodeView['persistence'] => {
  const persistence = observation?.info?.persistence ?? null;
  const savePoints = observation?.savePoints ?? null;
  return persistence === null
    ? null
    : {
        aof: persistence.aof,
        rdb: savePoints === null ? null : savePoints !== '',
        lastSaveOk: persistence.lastSaveOk && persistence.lastAofWriteOk,
      };
};

const ageOf = (observation: ClusterNodeObservation | null, nowMs: number): number | null => {
  const atMs = observation?.answeredAtMs ?? null;
  return atMs === null ? null : Math.max(0, Math.round(nowMs - atMs));
};

/** A node that is watched and does not belong to the cluster. */
const strangerView = (node: ClusterNodeObservation, nowMs: number, limits: TopologyLimits): RedisNodeView => {
  const seen = isSeen(node, nowMs, limits.staleAfterMs) && node.info !== null;
  const isElsewhere = (node.cluster?.lines.length ?? 0) > 1;
  const outside = isElsewhere ? 'it belongs to another cluster' : 'it is not in the cluster';
  const reason = seen && node.info?.mode !== 'cluster' ? 'its cluster support is off' : outside;
  return {
    name: node.name,
    host: node.host,
    port: node.port,
    role: seen ? (node.info?.role ?? 'unknown') : 'unknown',
    state: seen ? 'stray-primary' : 'unreachable',
    offset: seen ? (node.info?.offset ?? null) : null,
    lagBytes: null,
    link: null,
    persistence: persistenceOf(node),
    version: node.info?.version ?? null,
    eligible: false,
    reason: seen ? reason : silence(node),
    seenAgoMs: ageOf(node, nowMs),
  };
};

const shardView = (shard: ClusterShard, nodes: readonly ClusterNodeFacts[]): RedisShardView => {
  const { primary, replicas } = shard;
  const viewOf = (member: ClusterMember) => nodes.find((node) => node.member === member)?.view;
  const fit = replicas.some((member) => viewOf(member)?.eligible);
  return {
    name: shard.name,
    slots: [...primary.slots],
    slotCount: countSlots(primary.slots),
    state: shard.serves ? (fit ? 'ok' : 'degraded') : 'down',
    primary: endpoint(primary),
    epoch: primary.epoch,
    offset: viewOf(primary)?.offset ?? null,
    replicas: replicas
      .map((member) => ({
        ...endpoint(member),
        offset: viewOf(member)?.offset ?? null,
        lagBytes: viewOf(member)?.lagBytes ?? null,
        eligible: viewOf(member)?.eligible ?? false,
        elsewhere: member.host !== primary.host,
      }))
      .sort((a, b) => names.compare(a.name, b.name)),
  };
};
