// What is wrong with a Redis Cluster, and what helps? As group-problems.ts, for what only clusters have.
import type { RedisNodeView } from '@switchyard/protocol';
import type { ClusterNodeObservation, ClusterObservation } from './cluster-observation.ts';
import { clusterSlots, countSlots, slotText } from './cluster-slot.ts';
import type { ClusterNodeFacts, ClusterShard } from './cluster-shard.ts';
import type { ClusterTopology } from './cluster-topology.ts';
import type { GroupProblem } from './group-problems.ts';

/** What problems are found in. */
export interface ClusterProblemContext {
  readonly cluster: ClusterObservation;
  readonly topology: ClusterTopology;
  readonly shards: readonly ClusterShard[];
  readonly nodes: readonly ClusterNodeFacts[];
  readonly strangers: readonly RedisNodeView[];
}

const mostProblems = 64;
/** Below this a busy moment counts as a death; above it writes of a shard wait long for their new primary. */
const shortestNodeTimeoutMs = 500;
const longestNodeTimeoutMs = 30_000;

const wrong = (code: string, detail: string, next: string): GroupProblem => ({ code, detail, next, advice: false });
const advice = (code: string, detail: string, next: string): GroupProblem => ({ code, detail, next, advice: true });
const few = (names: readonly string[]): string =>
  names.length <= 6 ? names.join(', ') : `${names.slice(0, 6).join(', ')} and ${String(names.length - 6)} more`;

/** All problems, the gravest first. */
export const clusterProblems = (context: ClusterProblemContext): readonly GroupProblem[] =>
  [
    ...coverageProblems(context),
    ...quorumProblems(context),
    ...disagreementProblems(context),
    ...context.nodes.flatMap((node) => nodeProblems(node, context)),
    ...redundancyProblems(context),
    ...context.strangers.map(strangerProblem),
    ...context.cluster.nodes.flatMap(settingProblems),
    ...commonSettingProblems(context),
  ].slice(0, mostProblems);

const coverageProblems = ({ topology, shards }: ClusterProblemContext): readonly GroupProblem[] => {
  if (topology.members.length === 0) {
    return [wrong('no_cluster', 'no node answers as a node of a Redis Cluster', 'start the nodes, or check the seeds')];
  }
  const found: GroupProblem[] = [];
  if (topology.uncovered.length > 0) {
    const count = countSlots(topology.uncovered);
    const next =
      count === clusterSlots
        ? 'no slot was given to anybody: redis-cli --cluster create, or CLUSTER ADDSLOTSRANGE'
        : 'bring back the node that owned them; only if its data is lost for good, CLUSTER ADDSLOTSRANGE on a primary';
    found.push(
      wrong('slots_uncovered', `${String(count)} of 16384 slots have no owner: ${slotText(topology.uncovered)}`, next),
    );
  }
  for (const { primary, serves, replicas } of shards) {
    if (serves) continue;
    const why = primary.failedBy.length > 0 ? 'has failed' : 'does not answer as a primary';
    const heirs = replicas.filter(({ seen }) => seen).map(({ name }) => name);
    found.push(
      wrong(
        'shard_down',
        `slots ${slotText(primary.slots)} take no writes: ${primary.name} ${why}`,
        heirs.length > 0
          ? `wait for the election of ${few(heirs)}; if none comes, POST /v1/redis/groups/{group}/failover`
          : `start ${primary.name} again: no replica of it answers`,
      ),
    );
  }
  return found;
};

const quorumProblems = ({ topology }: ClusterProblemContext): readonly GroupProblem[] => {
  const { needed, primaries, agreeing } = topology.quorum;
  if (primaries === 0 || agreeing >= needed) {
    return primaries > 0 && primaries < 3
      ? [
          advice(
            'few_primaries',
            `${String(primaries)} primaries own slots: with fewer than 3 the loss of one leaves no majority to elect anybody`,
            'spread the slots over 3 primaries',
          ),
        ]
      : [];
  }
  return [
    wrong(
      'quorum_lost',
      `a failure would not be mended: ${String(agreeing)} of ${String(primaries)} primaries are reachable and agree; ` +
        `${String(needed)} are needed`,
      'start or wake the primaries that are listed as unreachable',
    ),
  ];
};

const disagreementProblems = ({ topology }: ClusterProblemContext): readonly GroupProblem[] => {
  const found: GroupProblem[] = [];
  const nameOf = (id: string): string => topology.members.find((one) => one.id === id)?.name ?? id.slice(0, 8);
  for (const { epoch, ids } of topology.collisions) {
    const next =
      'wait: the one with the lower id moves to a new epoch by itself; if it does not, CLUSTER BUMPEPOCH on it';
    found.push(wrong('epoch_collision', `${few(ids.map(nameOf))} share the config epoch ${String(epoch)}`, next));
  }
  if (topology.dissenting.length > 0) {
    const next =
      'wait: nodes tell each other within seconds; if it stays, the cluster bus between them is cut (port + 10000)';
    found.push(
      wrong('nodes_disagree', `${few(topology.dissenting)} would send clients to other owners of slots`, next),
    );
  }
  for (const { name, open } of topology.members) {
    if (open.length === 0) continue;
    const [first] = open;
    const way = first?.way === 'migrating' ? 'to' : 'from';
    const detail = `${name} has ${String(open.length)} open slots (${String(first?.slot)} ${way} ${nameOf(first?.peer ?? '')})`;
    found.push(
      advice(
        'slots_open',
        detail,
        'normal while slots move; otherwise CLUSTER SETSLOT <slot> STABLE, or redis-cli --cluster fix',
      ),
    );
  }
  if (topology.handshakes > 0) {
    const next = 'wait; if it stays, the address or the bus port of the new node cannot be reached';
    found.push(advice('node_handshake', `${String(topology.handshakes)} nodes are being met`, next));
  }
  return found;
};

const nodeProblems = (
  { view, member }: ClusterNodeFacts,
  { shards }: ClusterProblemContext,
): readonly GroupProblem[] => {
  const why = view.reason ?? 'no reason known';
  const { name } = view;
  if (!member.hasAddress) {
    const next = `DELETE /v1/redis/groups/{group}/nodes/${name}, if it will not come back and owns no slots any more`;
    return [wrong('node_without_address', `nobody knows where the node ${member.id.slice(0, 8)} is`, next)];
  }
  if (member.failedBy.length > 0) {
    const detail = `${name} has failed, say ${few(member.failedBy)}${view.state === 'unreachable' ? `: ${why}` : ''}`;
    return [wrong('node_failed', detail, 'start it; it comes back as the replica of whoever has its slots now')];
  }
  if (view.state === 'unreachable')
    return [wrong('node_unreachable', `${name} is unreachable: ${why}`, 'start it, or check its address')];
  const found: GroupProblem[] = [];
  if (member.suspectedBy.length > 0) {
    const next = 'wait: either a majority of the primaries agrees within cluster-node-timeout, or it answers again';
    found.push(wrong('node_suspected', `${few(member.suspectedBy)} miss ${name}`, next));
  }
  if (view.state === 'loading')
    found.push(wrong('node_loading', `${name} is loading its data set`, 'wait until it has finished'));
  if (view.state === 'stray-primary') {
    const next = 'give it slots, or make it a replica: POST /v1/redis/groups/{group}/nodes with replicaOf';
    found.push(advice('primary_without_slots', `${name} is a primary without slots`, next));
  }
  const hasPrimary = shards.some(({ replicas, primary }) => replicas.includes(member) && primary.seen);
  if (view.role !== 'replica' || !hasPrimary) return found;
  if (view.state === 'link-down') {
    found.push(
      wrong('replica_link_down', `${name} has lost its primary`, 'check the network between them and the logs of both'),
    );
  } else if (view.state === 'syncing') {
    found.push(wrong('replica_syncing', `${name} is copying the data set`, 'wait until its link is up'));
  } else if (!view.eligible) {
    found.push(wrong('replica_not_fit', `${name} could not become primary: ${why}`, 'see its reason'));
  }
  return found;
};

const redundancyProblems = ({ shards, nodes, topology }: ClusterProblemContext): readonly GroupProblem[] => {
  const found: GroupProblem[] = [];
  const hosts = new Set(topology.members.filter(({ hasAddress }) => hasAddress).map(({ host }) => host));
  for (const { primary, replicas } of shards) {
    const fit = replicas.filter((member) => nodes.find((node) => node.member === member)?.view.eligible);
    if (fit.length === 0) {
      const detail = `no replica could take over from ${primary.name} (slots ${slotText(primary.slots)})`;
      found.push(
        wrong('no_replica', detail, `add one: POST /v1/redis/groups/{group}/nodes with replicaOf ${primary.name}`),
      );
    } else if (hosts.size > 1 && replicas.every(({ host }) => host === primary.host)) {
      const detail = `every replica of ${primary.name} is on its own host ${primary.host}: both go when the host goes`;
      found.push(
        advice('replica_same_host', detail, 'add a replica on another host, or exchange it with that of another shard'),
      );
    }
  }
  if (hosts.size === 1 && shards.length > 0) {
    const detail = `single-host: all nodes are on ${[...hosts].join('')}, so the loss of that machine is the loss of all`;
    found.push(advice('single_host', detail, 'fine for development; spread the nodes over three machines for more'));
  }
  return found;
};

const strangerProblem = ({ name, reason, state }: RedisNodeView): GroupProblem =>
  state === 'unreachable'
    ? wrong('node_unreachable', `${name} is unreachable: ${reason ?? ''}`, 'start it, or take it out of the seeds')
    : wrong(
        'node_outside',
        `${name}: ${reason ?? 'it is not in the cluster'}`,
        'POST /v1/redis/groups/{group}/nodes adds an empty node as a replica',
      );

const settingProblems = ({ name, settings, info, savePoints }: ClusterNodeObservation): readonly GroupProblem[] => {
  const found: GroupProblem[] = [];
  const timeoutMs = settings?.nodeTimeoutMs ?? null;
  if (timeoutMs !== null && (timeoutMs < shortestNodeTimeoutMs || timeoutMs > longestNodeTimeoutMs)) {
    const what = timeoutMs < shortestNodeTimeoutMs ? 'a busy moment counts as a death' : 'a failure is mended late';
    found.push(
      advice(
        'node_timeout',
        `cluster-node-timeout of ${name} is ${String(timeoutMs)} ms: ${what}`,
        `CONFIG SET cluster-node-timeout 2000 on every node`,
      ),
    );
  }
  const persistence = info?.persistence ?? null;
  if (persistence !== null && !(persistence.lastSaveOk && persistence.lastAofWriteOk)) {
    const detail = `the last ${persistence.lastSaveOk ? 'AOF write' : 'RDB save'} of ${name} failed`;
    found.push(wrong('save_failed', detail, 'read its log: most often the disk is full'));
  }
  if (persistence?.aof === false && savePoints === '') {
    found.push(advice('no_persistence', `${name} keeps nothing on disk`, `CONFIG SET appendonly yes on ${name}`));
  }
  return found;
};

const commonSettingProblems = ({ cluster }: ClusterProblemContext): readonly GroupProblem[] => {
  const found: GroupProblem[] = [];
  const having = (test: (node: ClusterNodeObservation) => boolean): string =>
    few(cluster.nodes.filter(test).map(({ name }) => name));
  const timeouts = new Set(cluster.nodes.flatMap(({ settings }) => settings?.nodeTimeoutMs ?? []));
  if (timeouts.size > 1) {
    const detail = `nodes differ in cluster-node-timeout (${[...timeouts].join(', ')} ms): they find failures at different times`;
    found.push(
      advice('node_timeouts_differ', detail, 'CONFIG SET cluster-node-timeout to the same value on every node'),
    );
  }
  const strict = having(({ settings }) => settings?.requireFullCoverage === true);
  if (strict !== '') {
    const detail = `cluster-require-full-coverage is on (${strict}): the loss of one shard stops all of them`;
    found.push(
      advice(
        'full_coverage_required',
        detail,
        'CONFIG SET cluster-require-full-coverage no, unless half an answer is worse than none',
      ),
    );
  }
  const still = having(({ settings }) => settings?.allowReplicaMigration === false);
  if (still !== '') {
    const detail = `cluster-allow-replica-migration is off (${still}): a spare replica does not move to a primary that lost its own`;
    found.push(advice('no_replica_migration', detail, 'CONFIG SET cluster-allow-replica-migration yes'));
  }
  const versions = new Set(cluster.nodes.flatMap(({ info }) => info?.version ?? []));
  if (versions.size > 1) {
    const detail = `the nodes run different versions: ${[...versions].toSorted().join(', ')}`;
    found.push(
      advice('version_mix', detail, 'finish the upgrade; a newer primary may write what an older replica cannot read'),
    );
  }
  return found;
};
