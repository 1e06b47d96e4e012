// May this be done to a Redis Cluster now? Checks before a planned failover, an assisted one, a new replica, and the removal of
// a node; each with what was found and what helps. Nothing is done here.
import { ok, refuse, type Result } from '@switchyard/protocol';
import type { Address } from './address.ts';
import type { ClusterLine } from './cluster-parser.ts';
import type { ClusterNodeFacts, ClusterShard } from './cluster-shard.ts';
import { slotText } from './cluster-slot.ts';
import type { ClusterMember } from './cluster-topology.ts';
import type { ClusterFacts } from './cluster-view.ts';
import type { NodeInfo } from './info-parser.ts';

/** One check. `ok` null: it could not be found out. */
export interface ClusterCheck {
  readonly code: string;
  readonly ok: boolean | null;
  readonly detail: string;
  readonly next: string;
  readonly blocking: boolean;
}

/** A change of the primary of one shard. */
export interface ShardPlan {
  readonly shard: ClusterShard | null;
  readonly from: ClusterMember | null;
  readonly to: ClusterMember | null;
  readonly because: string;
  readonly checks: readonly ClusterCheck[];
  readonly blockers: readonly ClusterCheck[];
}

/** Which shard, and who is to have it; one of them is enough. */
export interface ShardWish {
  /** Name or `host:port` of a replica. */
  readonly to?: string | undefined;
  /** Name of the shard, or of a node of it. */
  readonly shard?: string | undefined;
}

const check = (
  code: string,
  holds: boolean | null,
  told: { readonly detail: string; readonly next: string },
): ClusterCheck => ({
  code,
  ok: holds,
  ...told,
  blocking: holds !== true,
});
const isCalled = ({ name, host, port }: ClusterMember, called: string): boolean =>
  name === called || `${host}:${String(port)}` === called;
const blockersOf = (checks: readonly ClusterCheck[]): readonly ClusterCheck[] =>
  checks.filter(({ blocking }) => blocking);

/** The node of that name or address. */
export const clusterNode = (facts: ClusterFacts, called: string): ClusterNodeFacts | undefined =>
  facts.nodes.find(({ member }) => isCalled(member, called));

const shardCalled = (facts: ClusterFacts, called: string): ClusterShard | undefined =>
  facts.shards.find(
    ({ name, primary, replicas }) => name === called || [primary, ...replicas].some((one) => isCalled(one, called)),
  );

/** Who is meant: the replica that is named, or the one of the shard that lags least. */
const chosen = (
  facts: ClusterFacts,
  wish: ShardWish,
): Result<{ shard: ClusterShard; to: ClusterMember; because: string }> => {
  const known = `shards: ${facts.shards.map(({ name }) => name).join(', ')}`;
  if (wish.to !== undefined) {
    const node = clusterNode(facts, wish.to);
    if (node === undefined) return refuse('not_found', `there is no node ${wish.to} in the cluster`, { next: known });
    const shard = facts.shards.find(
      ({ primary, replicas }) => primary === node.member || replicas.includes(node.member),
    );
    if (shard === undefined) return refuse('conflict', `${node.view.name} belongs to no shard`, { next: known });
    if (wish.shard !== undefined && shardCalled(facts, wish.shard) !== shard) {
      return refuse('invalid_input', `${node.view.name} does not belong to the shard ${wish.shard}`, { next: known });
    }
    return ok({ shard, to: node.member, because: 'it was asked for' });
  }
  if (wish.shard === undefined) {
    return refuse('invalid_input', 'a Redis Cluster has a primary for each shard: say "to" (a replica) or "shard"', {
      next: known,
    });
  }
  const shard = shardCalled(facts, wish.shard);
  if (shard === undefined) return refuse('not_found', `there is no shard ${wish.shard}`, { next: known });
  const [best] = facts.nodes
    .filter(({ member, view }) => shard.replicas.includes(member) && view.eligible)
    .toSorted((a, b) => (a.view.lagBytes ?? Number.MAX_SAFE_INTEGER) - (b.view.lagBytes ?? Number.MAX_SAFE_INTEGER));
  return best === undefined
    ? refuse('no_replica', `no replica of the shard ${shard.name} could take over`, {
        next: 'GET the group: each names its reason',
      })
    : ok({ shard, to: best.member, because: `it lags least of the shard ${shard.name}` });
};

/** Before CLUSTER FAILOVER: the primary has to take part, so that it can stop its writers until its replica has everything. */
export const planShardSwitchover = (facts: ClusterFacts, wish: ShardWish, mostLagBytes: number): Result<ShardPlan> => {
  const picked = chosen(facts, wish);
  if (!picked.ok) return picked;
  const { shard, to, because } = picked.value;
  const { primary } = shard;
  const view = facts.nodes.find(({ member }) => member === to)?.view;
  const { quorum, dissenting } = facts.topology;
  const wait = 'wait until the cluster is whole: GET the group names what is wrong';
  const checks = [
    check('target_is_replica', to !== primary, {
      detail:
        to === primary
          ? `${to.name} is the primary of ${shard.name} already`
          : `${to.name} is a replica of ${primary.name}`,
      next: 'name a replica of it',
    }),
    check('primary_serves', shard.serves, {
      detail: shard.serves
        ? `${primary.name} serves`
        : `${primary.name} does not answer as a primary, so it cannot hand over`,
      next: 'POST /v1/redis/groups/{group}/failover, if the cluster does not mend it by itself',
    }),
    check('target_fit', to === primary || view?.eligible === true, {
      detail: view?.reason ?? `${to.name} is fit`,
      next: 'choose another replica',
    }),
    check('target_in_step', to === primary || (view?.lagBytes ?? Infinity) <= mostLagBytes, {
      detail:
        (view?.lagBytes ?? null) === null ? 'its lag is not known' : `${to.name} lags ${String(view?.lagBytes)} bytes`,
      next: `wait until it lags at most ${String(mostLagBytes)} bytes`,
    }),
    check('majority', quorum.agreeing >= quorum.needed, {
      detail: `${String(quorum.agreeing)} of ${String(quorum.primaries)} primaries answer and agree, ${String(quorum.needed)} have to vote`,
      next: 'start the primaries that are listed as unreachable',
    }),
    check('agreement', dissenting.length === 0, {
      detail: dissenting.length === 0 ? 'all nodes agree who owns which slots' : `${dissenting.join(', ')} disagree`,
      next: wait,
    }),
    check(
      'no_open_slots',
      [primary, to].every(({ open }) => open.length === 0),
      {
        detail:
          primary.open.length === 0
            ? 'no slot is on the move'
            : `${String(primary.open.length)} slots of ${primary.name} are on the move`,
        next: 'finish moving them, or CLUSTER SETSLOT <slot> STABLE',
      },
    ),
    check('covered', facts.topology.uncovered.length === 0, {
      detail:
        facts.topology.uncovered.length === 0
          ? 'all 16384 slots have an owner'
          : `slots ${slotText(facts.topology.uncovered)} have no owner`,
      next: wait,
    }),
  ];
  return ok({ shard, from: primary, to, because, checks, blockers: blockersOf(checks) });
};

/** Before CLUSTER FAILOVER FORCE or TAKEOVER: only where the primary is gone, and the most advanced copy that is left. */
export const planShardTakeover = (facts: ClusterFacts, wish: ShardWish, takeover: boolean): Result<ShardPlan> => {
  const down = facts.shards.filter(({ serves }) => !serves);
  const only = wish.to === undefined && wish.shard === undefined && down.length === 1 ? { shard: down[0]?.name } : wish;
  const picked = chosenOfDown(facts, only);
  if (!picked.ok) return picked;
  const { shard, to } = picked.value;
  const { primary, replicas } = shard;
  const offsetOf = (member: ClusterMember): number => member.observation?.info?.offset ?? -1;
  const better = replicas.filter((one) => one.seen && offsetOf(one) > offsetOf(to));
  const { quorum } = facts.topology;
  const hasMajority = quorum.reachable >= quorum.needed;
  const checks = [
    check('primary_gone', !shard.serves, {
      detail: shard.serves ? `${primary.name} serves` : `${primary.name} does not answer as a primary`,
      next: 'POST /v1/redis/groups/{group}/switchover hands over without losing a write',
    }),
    check('target_answers', to !== primary && to.seen, {
      detail: to.seen ? `${to.name} answers` : `${to.name} does not answer`,
      next: 'choose a replica that does',
    }),
    check('target_has_data', offsetOf(to) >= 0, {
      detail: `${to.name} is at byte ${String(offsetOf(to))}`,
      next: 'choose a replica with a copy',
    }),
    check('best_copy', better.length === 0, {
      detail:
        better.length === 0
          ? `nobody has more of the shard than ${to.name}`
          : `${better.map(({ name }) => name).join(', ')} has more than ${to.name}`,
      next: `choose ${better[0]?.name ?? to.name}`,
    }),
    check('majority', takeover || hasMajority, {
      detail: `${String(quorum.reachable)} of ${String(quorum.primaries)} primaries answer, ${String(quorum.needed)} have to vote`,
      next: 'with "takeover": true it takes the slots without a vote: only when the others are gone for good',
    }),
    check('takeover_needed', !takeover || !hasMajority, {
      detail: hasMajority ? 'a majority is there to vote' : 'no majority is there to vote',
      next: 'leave "takeover" out: a vote cannot collide with another one',
    }),
  ];
  return ok({ shard, from: primary, to, because: 'it has most of the shard', checks, blockers: blockersOf(checks) });
};

/** As `chosen`, for a shard whose replicas cannot be compared with a primary. */
const chosenOfDown = (facts: ClusterFacts, wish: ShardWish): ReturnType<typeof chosen> => {
  if (wish.to !== undefined || wish.shard === undefined) return chosen(facts, wish);
  const shard = shardCalled(facts, wish.shard);
  if (shard === undefined) return chosen(facts, wish);
  const [best] = shard.replicas
    .filter(({ seen }) => seen)
    .toSorted((a, b) => (b.observation?.info?.offset ?? -1) - (a.observation?.info?.offset ?? -1));
  return best === undefined
    ? refuse('no_replica', `no replica of the shard ${shard.name} answers`, {
        next: `start ${shard.primary.name} or a replica of it`,
      })
    : ok({ shard, to: best, because: 'it has most of the shard' });
};

/** What was found at the address of a node that is to be added. */
export interface NewcomerFacts {
  readonly at: Address;
  readonly info: NodeInfo;
  readonly lines: readonly ClusterLine[];
  readonly keys: number;
}

/** Before CLUSTER MEET and REPLICATE. */
export const planAddReplica = (
  facts: ClusterFacts,
  newcomer: NewcomerFacts,
  replicaOf: string,
): Result<{
  readonly primary: ClusterMember;
  readonly checks: readonly ClusterCheck[];
  readonly blockers: readonly ClusterCheck[];
}> => {
  const shard = shardCalled(facts, replicaOf);
  if (shard === undefined) {
    const next = `primaries: ${facts.shards.map(({ primary }) => primary.name).join(', ')}`;
    return refuse('not_found', `there is no primary ${replicaOf} that owns slots`, { next });
  }
  const { primary } = shard;
  const own = newcomer.lines.find(({ isMyself }) => isMyself);
  const member = facts.topology.members.find((one) => one.id === own?.id);
  // met, but nobody's replica yet: an earlier attempt was interrupted, and this one goes on
  const isHalfIn = member !== undefined && own?.role === 'primary' && own.slots.length === 0;
  const version = primary.observation?.info?.version ?? null;
  const others = newcomer.lines.filter(({ isMyself }) => !isMyself).length;
  const checks = [
    check('cluster_enabled', own !== undefined, {
      detail: own === undefined ? 'its cluster support is off' : 'its cluster support is on',
      next: 'start it with cluster-enabled yes',
    }),
    check('not_a_member', member === undefined || isHalfIn, {
      detail: isHalfIn
        ? 'it was met already'
        : member === undefined
          ? 'it is not in the cluster yet'
          : 'it is in the cluster already',
      next: 'nothing to do, or CLUSTER REPLICATE it',
    }),
    check('knows_nobody', others === 0 || isHalfIn, {
      detail:
        others === 0 || isHalfIn
          ? 'it belongs to no other cluster'
          : `it belongs to another cluster: it knows ${String(others)} other nodes`,
      next: 'CLUSTER RESET HARD on it, if that cluster is not needed any more',
    }),
    check('owns_nothing', (own?.slots.length ?? 0) === 0, {
      detail: own?.slots.length === 0 ? 'it owns no slots' : `it owns the slots ${slotText(own?.slots ?? [])}`,
      next: 'CLUSTER RESET HARD on it',
    }),
    check('empty', newcomer.keys === 0, {
      detail: newcomer.keys === 0 ? 'it is empty' : `it has ${String(newcomer.keys)} keys, which would be lost`,
      next: 'save what is needed of it, then FLUSHALL',
    }),
    check('is_primary', newcomer.info.role === 'primary', {
      detail: newcomer.info.role === 'primary' ? 'it follows nobody' : 'it is a replica of somebody else',
      next: 'CLUSTER RESET on it',
    }),
    check('same_version', version === null || newcomer.info.version === version, {
      detail: `it runs ${newcomer.info.version ?? 'an unknown version'}, ${primary.name} runs ${version ?? 'an unknown version'}`,
      next: 'a replica must be able to read what its primary writes: the same version is sure to',
    }),
    check('primary_serves', shard.serves, {
      detail: shard.serves ? `${primary.name} serves` : `${primary.name} does not serve`,
      next: 'mend that shard first',
    }),
    check('agreement', facts.topology.dissenting.length === 0, {
      detail: `${String(facts.topology.dissenting.length)} nodes disagree`,
      next: 'wait until they agree',
    }),
  ];
  return ok({ primary, checks, blockers: blockersOf(checks) });
};

/** Before CLUSTER FORGET. `confirmed`: that a shard is left without a replica was said to be wanted. */
export const planRemoveNode = (
  facts: ClusterFacts,
  called: string,
  confirmed: boolean,
): Result<{
  readonly member: ClusterMember;
  readonly checks: readonly ClusterCheck[];
  readonly blockers: readonly ClusterCheck[];
}> => {
  const node = clusterNode(facts, called);
  if (node === undefined) {
    const next = `nodes: ${facts.nodes.map(({ view }) => view.name).join(', ')}`;
    return refuse('not_found', `there is no node ${called} in the cluster`, { next });
  }
  const { member } = node;
  const shard = facts.shards.find(({ replicas }) => replicas.includes(member));
  const left = facts.nodes.filter((one) => one !== node && shard?.replicas.includes(one.member) && one.view.eligible);
  const followers = facts.topology.members.filter(({ follows }) => follows === member.id);
  const deaf = facts.topology.members.filter((one) => one !== member && !one.seen);
  const checks = [
    check('owns_no_slots', member.slots.length === 0, {
      detail:
        member.slots.length === 0
          ? `${member.name} owns no slots`
          : `${member.name} is the primary of the slots ${slotText(member.slots)}`,
      next: 'POST /v1/redis/groups/{group}/switchover first, then remove it as a replica; or move its slots away',
    }),
    check('nobody_follows', followers.length === 0, {
      detail:
        followers.length === 0 ? 'nobody follows it' : `${followers.map(({ name }) => name).join(', ')} follow it`,
      next: 'CLUSTER REPLICATE them to another primary',
    }),
    check('shard_keeps_replica', shard === undefined || left.length > 0 || confirmed, {
      detail:
        shard === undefined || left.length > 0
          ? 'no shard loses its last replica'
          : `${member.name} is the last replica of ${shard.primary.name} (slots ${shard.name})`,
      next: `add another one first; or "confirm": "${member.name}", if the shard is to have none`,
    }),
    check('everybody_answers', deaf.length === 0, {
      detail:
        deaf.length === 0
          ? 'every other node can be told'
          : `${deaf.map(({ name }) => name).join(', ')} cannot be told to forget it`,
      next: 'a node that is not told brings it back by gossip: start them, or remove them first',
    }),
  ];
  return ok({ member, checks, blockers: blockersOf(checks) });
};
