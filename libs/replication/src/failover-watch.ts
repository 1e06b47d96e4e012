// What do the nodes themselves show of a failover? The first sign, the promotion, the rest of the group that follows.
import { addressKey, sameAddress, type Address } from './address.ts';
import {
  attemptPatienceMs,
  beginAttempt,
  nodeAt,
  note,
  reach,
  type Attempt,
  type FollowerState,
} from './failover-state.ts';
import type { NodeSighting } from './sighting.ts';

/** Keeps the latest offsets of both sides, for the verdict on lost writes. */
export const remember = (state: FollowerState, nowMs: number): FollowerState => {
  const old = nodeAt(state.last, state.attempt?.from ?? state.known?.primary ?? null);
  const isOld =
    old !== null && old.seen && old.role === 'primary' && old.offset !== null && continues(state, old.lineage);
  const replicaOffsets: Record<string, number> = {};
  for (const node of state.last?.nodes ?? []) {
    const offset =
      node.seen && node.role === 'replica' ? node.offset : (state.replicaOffsets[addressKey(node)] ?? null);
    if (offset !== null) replicaOffsets[addressKey(node)] = offset;
  }
  return {
    ...state,
    replicaOffsets,
    primaryOffset: isOld
      ? { offset: old.offset ?? 0, lineage: old.lineage, atMs: old.seenAtMs ?? nowMs }
      : state.primaryOffset,
  };
};

/** During an attempt the old primary may come back empty, with a stream of its own: that one says nothing about the old. */
const continues = ({ attempt, primaryOffset }: FollowerState, lineage: string | null): boolean =>
  attempt === null || primaryOffset === null || primaryOffset.lineage === lineage;

/** Looks for the first sign, the promotion, or the end of the attempt, in the last sighting. */
export const watch = (state: FollowerState, nowMs: number): FollowerState => {
  const { attempt } = state;
  if (attempt === null) return watchPrimary(state, nowMs);
  if (attempt.target !== null) return { ...state, attempt: watchSettling(state, attempt, attempt.target.to, nowMs) };
  const from = nodeAt(state.last, attempt.from);
  const serves = from !== null && from.seen && from.role === 'primary';
  const acts = attempt.progressAtMs !== null && nowMs - attempt.progressAtMs < attemptPatienceMs;
  if (serves && !acts) return { ...state, attempt: null };
  return { ...state, attempt: watchPromotion(state, attempt, nowMs) };
};

/** The first sign is mostly ours: a connection that closes, long before Sentinel's down-after. */
const watchPrimary = (state: FollowerState, nowMs: number): FollowerState => {
  const node = nodeAt(state.last, state.known?.primary ?? null);
  if (node === null || node.seen || (state.primaryOffset === null && node.failure === null)) return state;
  const cause = `${node.name} does not answer: ${node.failure ?? 'its last answer is too old'}`;
  return { ...state, attempt: beginAttempt(state, { cause, atMs: nowMs }) };
};

const watchPromotion = (state: FollowerState, attempt: Attempt, nowMs: number): Attempt => {
  const promoted = state.last?.nodes.find((node) => isPromoted(state, attempt, node));
  if (promoted === undefined || attempt.reachedAtMs.promoted !== undefined) return attempt;
  const at = { host: promoted.host, port: promoted.port };
  const reached = reach({ ...attempt, selected: at, after: promoted, progressAtMs: nowMs }, 'promoted', nowMs);
  return note(reached, nowMs, `${promoted.name} says that it is primary now`);
};

/** The selected replica, or any node that went on with the old primary's stream as a primary. */
const isPromoted = (state: FollowerState, attempt: Attempt, node: NodeSighting): boolean => {
  if (!node.seen || node.role !== 'primary' || sameAddress(node, attempt.from)) return false;
  if (attempt.selected !== null) return sameAddress(node, attempt.selected);
  return node.previousLineage !== null && node.previousLineage === (state.primaryOffset?.lineage ?? null);
};

const watchSettling = (state: FollowerState, attempt: Attempt, to: Address, nowMs: number): Attempt => {
  const primary = nodeAt(state.last, to);
  if (primary === null || !primary.seen || primary.role !== 'primary') return attempt;
  const { offset, lineage } = primary;
  const newOffset = offset === null ? attempt.newOffset : { offset, lineage, atMs: primary.seenAtMs ?? nowMs };
  const promoted = reach({ ...attempt, after: primary, newOffset }, 'promoted', nowMs);
  const others = state.last?.nodes.filter(
    (node) => node.seen && !sameAddress(node, to) && !sameAddress(node, attempt.from),
  );
  const follow = others?.every((node) => sameAddress(node.follows, to) && node.link === 'up') ?? true;
  return follow ? reach(promoted, 'reconfigured', nowMs) : promoted;
};
