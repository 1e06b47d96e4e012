// What is a Redis Cluster doing about a shard, and how did it end? Follows, never decides: looks and probe writes go in, one
// history entry for each promotion comes out.
//
//   (nothing) --missed by us or by a node--> pfail -> fail -> promoted -> agreed
//       ^             |                                         |
//       |  it answers again: dropped                            v
//       +<-- entry -- reconfigured and first-write, or `settleMs` after the promotion
//
// The owner of the slots with the higher config epoch is the truth: phases may be missed, the entry still comes.
import type { RedisFailover } from '@switchyard/protocol';
import { sameAddress, type Address, type Endpoint } from './address.ts';
import { shardEntryOf } from './cluster-entry.ts';
import {
  shardPhases,
  type ClusterFollowerState,
  type KnownShard,
  type ShardAttempt,
  type ShardPhase,
} from './cluster-follower-state.ts';
import { shardOfSlot, type ClusterShard } from './cluster-shard.ts';
import type { ClusterMember } from './cluster-topology.ts';
import type { ClusterFacts } from './cluster-view.ts';

/** What the follower is told. */
export type ClusterFollowerInput =
  | { readonly type: 'look'; readonly facts: ClusterFacts }
  | {
      readonly type: 'probe';
      readonly at: Address;
      readonly outcome: 'acked' | 'gone' | 'silent' | 'refused';
      readonly detail: string;
    };

/** How long after the promotion the entry waits for the rest of the shard. */
const settleMs = 10_000;
/** Trouble that nobody acts on is forgotten after so long, and begins anew when there is still some. */
const attemptPatienceMs = 60_000;
const mostEvidence = 40;

/** Whether things are moving, so that it pays to look more often. */
export const clusterInTransition = ({ attempts }: ClusterFollowerState, nowMs: number): boolean =>
  Object.values(attempts).some(({ startedAtMs }) => nowMs - startedAtMs < attemptPatienceMs);

/** What each change waits for, for people. */
export const clusterWaitsFor = ({ attempts }: ClusterFollowerState): readonly string[] =>
  Object.values(attempts).map(({ shard, reachedAtMs, target }) => {
    const open = shardPhases.find(
      (phase) => reachedAtMs[phase] === undefined && (target !== null || phase !== 'agreed'),
    );
    return `${shard.name}:${open ?? 'end'}`;
  });

/** Takes one input. Never throws; `nowMs` is monotonic. Each promotion gives exactly one entry. */
export const stepCluster = (
  state: ClusterFollowerState,
  input: ClusterFollowerInput,
  nowMs: number,
): { readonly state: ClusterFollowerState; readonly finished: readonly RedisFailover[] } => {
  const next = input.type === 'probe' ? probed(state, input, nowMs) : looked(state, input.facts, nowMs);
  const attempts: Record<string, ShardAttempt> = {};
  const finished: RedisFailover[] = [];
  for (const [id, attempt] of Object.entries(next.attempts)) {
    if (isOver(attempt, nowMs)) finished.push(shardEntryOf(state.group, attempt));
    else attempts[id] = attempt;
  }
  return { state: { ...next, attempts }, finished };
};

const isOver = ({ target, reachedAtMs }: ShardAttempt, nowMs: number): boolean => {
  if (target === null) return false;
  const isWhole = reachedAtMs['first-write'] !== undefined && reachedAtMs.reconfigured !== undefined;
  return isWhole || nowMs - target.sinceMs >= settleMs;
};

const looked = (state: ClusterFollowerState, facts: ClusterFacts, nowMs: number): ClusterFollowerState => {
  // without a single answer nothing can be said about anybody
  if (facts.topology.members.length === 0) return state;
  const shards: Record<string, KnownShard> = {};
  const attempts: Record<string, ShardAttempt> = { ...state.attempts };
  for (const known of Object.values(state.shards)) {
    const owner = shardOfSlot(facts.shards, known.firstSlot);
    if (owner === undefined || owner.primary.id === known.id) {
      shards[known.id] = owner === undefined ? known : updated(known, owner, nowMs);
      const attempt = troubled(attempts[known.id], { known, owner, facts, nowMs });
      if (attempt === undefined) delete attempts[known.id];
      else attempts[known.id] = attempt;
      continue;
    }
    const tookOver =
      known.replicas.some(({ id }) => id === owner.primary.id) || follows(facts, known.id, owner.primary.id);
    // slots that were moved to another primary are no failover
    if (tookOver) attempts[known.id] = promoted(attempts[known.id], { known, owner, nowMs });
    else delete attempts[known.id];
  }
  for (const shard of facts.shards) shards[shard.primary.id] ??= freshly(shard, nowMs);
  for (const [id, attempt] of Object.entries(attempts)) attempts[id] = settling(attempt, facts, nowMs);
  return { ...state, shards, attempts };
};

const follows = ({ topology }: ClusterFacts, id: string, primaryId: string): boolean =>
  topology.members.some((one) => one.id === id && one.follows === primaryId);

const freshly = (shard: ClusterShard, nowMs: number): KnownShard =>
  updated(
    {
      id: shard.primary.id,
      primary: endpointOf(shard.primary),
      epoch: shard.primary.epoch,
      firstSlot: 0,
      name: shard.name,
      replicas: [],
      offset: null,
      lastAckAtMs: null,
      isFresh: true,
    },
    shard,
    nowMs,
  );

const endpointOf = ({ name, host, port }: ClusterMember): Endpoint => ({ name, host, port });

const updated = (known: KnownShard, { primary, replicas, name, serves }: ClusterShard, nowMs: number): KnownShard => {
  const base = { ...known, primary: endpointOf(primary), firstSlot: primary.slots[0]?.from ?? known.firstSlot, name };
  // what a dead one said last stays: it is what the verdict about lost writes rests on
  if (!serves) return base;
  const info = primary.observation?.info ?? null;
  return {
    ...base,
    isFresh: true,
    epoch: primary.epoch,
    replicas: replicas.map((one) => ({
      id: one.id,
      at: endpointOf(one),
      offset: one.observation?.info?.offset ?? null,
    })),
    offset:
      info === null || info.offset === null
        ? known.offset
        : { offset: info.offset, lineage: info.lineage, atMs: primary.observation?.answeredAtMs ?? nowMs },
  };
};

const begun = (known: KnownShard, cause: string, atMs: number): ShardAttempt => ({
  startedAtMs: atMs,
  shard: known,
  cause,
  requested: false,
  reachedAtMs: {},
  evidence: [],
  probeFailed: false,
  writesUnavailableMs: null,
  target: null,
});

const reach = (
  attempt: ShardAttempt,
  phase: ShardPhase,
  told: { readonly atMs: number; readonly text: string },
): ShardAttempt =>
  attempt.reachedAtMs[phase] === undefined
    ? note({ ...attempt, reachedAtMs: { ...attempt.reachedAtMs, [phase]: told.atMs } }, told.atMs, told.text)
    : attempt;

const note = (attempt: ShardAttempt, atMs: number, text: string): ShardAttempt =>
  attempt.evidence.length >= mostEvidence
    ? attempt
    : {
        ...attempt,
        evidence: [...attempt.evidence, `+${String(Math.max(0, Math.round(atMs - attempt.startedAtMs)))} ms ${text}`],
      };

/** The same primary still owns the slots: is it missed? Undefined when all is well. */
const troubled = (
  before: ShardAttempt | undefined,
  context: {
    readonly known: KnownShard;
    readonly owner: ClusterShard | undefined;
    readonly facts: ClusterFacts;
    readonly nowMs: number;
  },
): ShardAttempt | undefined => {
  const { known, owner, nowMs } = context;
  if (before !== undefined && before.target !== null) return before;
  const member = owner?.primary;
  const isWell =
    owner?.serves === true &&
    member?.suspectedBy.length === 0 &&
    member.observation?.failure === null &&
    before?.probeFailed !== true;
  if (isWell || member === undefined) return undefined;
  if (before !== undefined && nowMs - before.startedAtMs >= attemptPatienceMs) return undefined;
  const said = member.observation?.failure?.detail ?? null;
  const cause = said === null ? `${known.primary.name} is missed` : `${known.primary.name} did not answer (${said})`;
  let attempt = before ?? note(begun(known, cause, nowMs), nowMs, cause);
  if (member.suspectedBy.length > 0) {
    const text = `${member.suspectedBy.join(', ')} miss ${known.primary.name}`;
    attempt = reach(attempt, 'pfail', { atMs: nowMs, text });
  }
  if (member.failedBy.length > 0) {
    const text = `a majority agrees that ${known.primary.name} has failed (said ${member.failedBy.join(', ')})`;
    attempt = reach(attempt, 'fail', { atMs: nowMs, text });
  }
  return attempt;
};

const promoted = (
  before: ShardAttempt | undefined,
  { known, owner, nowMs }: { readonly known: KnownShard; readonly owner: ClusterShard; readonly nowMs: number },
): ShardAttempt => {
  const { primary } = owner;
  if (before !== undefined && before.target !== null) return before;
  const wasMissed = before !== undefined && (before.reachedAtMs.pfail ?? before.reachedAtMs.fail) !== undefined;
  const cause = known.isFresh
    ? `${primary.name} took over on request: nobody had missed ${known.primary.name}`
    : `it was over before it was seen: ${known.primary.name} was primary in epoch ${String(known.epoch)}, when somebody last looked`;
  const attempt = before ?? begun(known, cause, nowMs);
  const info = primary.observation?.info ?? null;
  const sameStream = info !== null && info.previousLineage !== null && info.previousLineage === known.offset?.lineage;
  const replica = known.replicas.find(({ id }) => id === primary.id);
  return reach(
    {
      ...attempt,
      cause: wasMissed || isGone(attempt) ? attempt.cause : cause,
      requested: known.isFresh && !(wasMissed || isGone(attempt)),
      target: {
        id: primary.id,
        to: endpointOf(primary),
        epoch: primary.epoch,
        sinceMs: nowMs,
        sharedOffset: sameStream ? info.sharedOffset : (replica?.offset ?? null),
      },
    },
    'promoted',
    { atMs: nowMs, text: `${primary.name} owns the slots ${owner.name} in config epoch ${String(primary.epoch)}` },
  );
};

/** It vanished before anybody could say so: the first sign was ours. A demoted one only closes its connections. */
const isGone = ({ probeFailed, evidence }: ShardAttempt): boolean => probeFailed && evidence.length > 1;

const settling = (attempt: ShardAttempt, facts: ClusterFacts, nowMs: number): ShardAttempt => {
  const { target, shard } = attempt;
  if (target === null) return attempt;
  let next = attempt;
  if (facts.topology.dissenting.length === 0) {
    next = reach(next, 'agreed', { atMs: nowMs, text: 'every node that answers sends clients there' });
  }
  const old = facts.topology.members.find(({ id }) => id === shard.id);
  const isBack = old?.seen === true && old.follows === target.id && old.observation?.info?.link === 'up';
  // also when it stays away: then the others of the shard are all there is to wait for
  const others = facts.topology.members.filter((one) => one.follows === target.id && one.id !== shard.id);
  const restFollows = others.length > 0 && others.every(({ observation }) => observation?.info?.link === 'up');
  if (isBack)
    return reach(next, 'reconfigured', { atMs: nowMs, text: `${shard.primary.name} follows ${target.to.name}` });
  return restFollows && old?.seen !== true
    ? reach(next, 'reconfigured', { atMs: nowMs, text: `the other replicas follow ${target.to.name}` })
    : next;
};

const probed = (
  state: ClusterFollowerState,
  { at, outcome, detail }: ClusterFollowerInput & { readonly type: 'probe' },
  nowMs: number,
): ClusterFollowerState => {
  const attempts: Record<string, ShardAttempt> = { ...state.attempts };
  const shards: Record<string, KnownShard> = { ...state.shards };
  const known = Object.values(shards).find(({ primary }) => sameAddress(primary, at));
  for (const [id, attempt] of Object.entries(attempts)) {
    const isNew = attempt.target !== null && sameAddress(attempt.target.to, at);
    const isOld = attempt.target === null && sameAddress(attempt.shard.primary, at);
    if (outcome === 'acked' && (isNew || isOld)) {
      const lastAckAtMs = attempt.shard.lastAckAtMs ?? attempt.startedAtMs;
      const gapMs = attempt.probeFailed ? nowMs - lastAckAtMs : 0;
      const written = isNew
        ? reach(attempt, 'first-write', { atMs: nowMs, text: `${attempt.target?.to.name ?? ''} acknowledged a write` })
        : attempt;
      attempts[id] = {
        ...written,
        probeFailed: isNew && attempt.probeFailed,
        writesUnavailableMs: attempt.writesUnavailableMs ?? (isNew ? gapMs : null),
      };
    }
    if (outcome !== 'acked' && isOld && !attempt.probeFailed) {
      attempts[id] = note({ ...attempt, probeFailed: true }, nowMs, `a probe write was not acknowledged (${detail})`);
    }
  }
  if (known === undefined) return state;
  if (outcome === 'acked') shards[known.id] = { ...known, lastAckAtMs: nowMs };
  else if (attempts[known.id] === undefined && outcome !== 'refused') {
    const cause = `a probe write to ${known.primary.name} was not acknowledged (${detail})`;
    attempts[known.id] = { ...note(begun(known, cause, nowMs), nowMs, cause), probeFailed: true };
  }
  return { ...state, shards, attempts };
};
