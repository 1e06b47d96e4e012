// How many replicas must have acknowledged lately before the primary takes a write? Redis stops a primary that is cut off from all
// of its replicas by itself (min-replicas-to-write), which bounds what a partition can lose; but the same setting makes the last
// node that is left refuse everything. So it is raised while there is somebody to wait for, and lowered when the last one is lost.
//
//   good replicas > 0 --> what the operator had, at least 1
//   none left, policy availability --> 0 within a second, said loudly; back as soon as a replica has been in sync for a while
//   none left, policy consistency --> stays: writes are refused, and that is said
//
// Lowered only while the majority of the Sentinels names this node and no failover is under way: on a cut-off primary, or on one that
// is being replaced, refusing writes is what the setting is for.
import type { Endpoint } from './address.ts';
import type { Findings } from './findings.ts';
import type { NodeInfo } from './info-parser.ts';

/** What a node has set. */
export interface MinReplicas {
  readonly toWrite: number;
  readonly maxLagSeconds: number;
}

/** What is remembered of one primary. Times are monotonic. */
export interface MinReplicasState {
  /** `host:port` of the primary that the rest is about. */
  readonly primary: string | null;
  readonly noneSinceMs: number | null;
  readonly someSinceMs: number | null;
}

/** One look at the primary. */
export interface MinReplicasInput {
  readonly primary: Endpoint;
  /** Its replicas that acknowledged lately: what Redis itself counts as good. */
  readonly good: number;
  /** What it has now; null until it was read. */
  readonly now: MinReplicas | null;
  /** What the operator gave it before we ever touched it. */
  readonly operators: MinReplicas;
  readonly policy: 'availability' | 'consistency';
  /** The majority names it, it serves, nobody else calls itself primary, and no failover is under way. */
  readonly isCertain: boolean;
  /** It was just promoted and had no time to get replicas. */
  readonly isNew: boolean;
  /** Of a managed group. */
  readonly maxLagSeconds: number;
  readonly nowMs: number;
}

/** What comes of it. */
export interface MinReplicasStep {
  readonly state: MinReplicasState;
  /** To be set on the primary; null when it is right. */
  readonly set: MinReplicas | null;
  readonly findings: Findings;
}

/** Two looks: one answer that was late is no loss. */
export const lossPatienceMs = 200;
/** A replica that comes and goes must not make the primary refuse writes each time. */
export const syncPatienceMs = 2_000;
/** What Redis has unless told otherwise: too long to bound anything. */
export const usualMaxLagSeconds = 10;

/** Nothing seen yet. */
export const minReplicasState: MinReplicasState = Object.freeze({
  primary: null,
  noneSinceMs: null,
  someSinceMs: null,
});

/** Replicas that this primary counts as good. */
export const goodReplicas = (info: Pick<NodeInfo, 'replicas'>, maxLagSeconds: number): number =>
  info.replicas.filter(
    ({ state, lagSeconds }) => state === 'online' && lagSeconds !== null && lagSeconds <= maxLagSeconds,
  ).length;

/** Looks once. Never throws. */
export const stepMinReplicas = (before: MinReplicasState, input: MinReplicasInput): MinReplicasStep => {
  const { primary, good, now, nowMs, isCertain } = input;
  const key = `${primary.host}:${String(primary.port)}`;
  const same = before.primary === key ? before : { ...minReplicasState, primary: key };
  const state: MinReplicasState = {
    ...same,
    noneSinceMs: good === 0 ? (same.noneSinceMs ?? nowMs) : null,
    someSinceMs: good > 0 ? (same.someSinceMs ?? nowMs) : null,
  };
  const wanted = isCertain || input.isNew ? wantedOf(state, input) : null;
  const set = wanted !== null && now !== null && !isSame(wanted, now) ? wanted : null;
  return { state, set, findings: findingsOf(state, input) };
};

/** What it has while all is well. */
export const operatorsFloor = ({ operators }: Pick<MinReplicasInput, 'operators'>): number =>
  Math.max(1, operators.toWrite);

/** What it should have now; null to leave it. */
const wantedOf = (state: MinReplicasState, input: MinReplicasInput): MinReplicas | null => {
  const { good, now, operators, policy, nowMs } = input;
  if (now === null) return null;
  const floor = operatorsFloor(input);
  // Their own limit is respected; the default is none that anybody chose.
  const maxLagSeconds = operators.maxLagSeconds === usualMaxLagSeconds ? input.maxLagSeconds : operators.maxLagSeconds;
  if (policy === 'consistency') return { toWrite: floor, maxLagSeconds };
  if (good === 0) {
    const isLost = input.isNew || (state.noneSinceMs !== null && nowMs - state.noneSinceMs >= lossPatienceMs);
    return isLost ? { toWrite: 0, maxLagSeconds } : null;
  }
  const isBack = state.someSinceMs !== null && nowMs - state.someSinceMs >= syncPatienceMs;
  if (now.toWrite >= floor) return { toWrite: now.toWrite, maxLagSeconds };
  // Step by step: a replica that is back must not stop the writes for want of a second one.
  return isBack ? { toWrite: Math.max(now.toWrite, Math.min(floor, good)), maxLagSeconds } : null;
};

const isSame = (a: MinReplicas, b: MinReplicas): boolean =>
  a.toWrite === b.toWrite && a.maxLagSeconds === b.maxLagSeconds;

const findingsOf = (state: MinReplicasState, input: MinReplicasInput): Findings => {
  const { primary, good, now, policy, isCertain, nowMs } = input;
  if (good > 0 || state.noneSinceMs === null || nowMs - state.noneSinceMs < lossPatienceMs) {
    return { problems: [], nodes: [] };
  }
  const refuses = (now?.toWrite ?? 0) > 0;
  const why = isCertain
    ? `the policy of the group is ${policy}`
    : 'no majority of the Sentinels is sure that it is the primary';
  const reason = refuses
    ? `${primary.name} refuses writes: none of its replicas is in step, and ${why}`
    : `${primary.name} takes writes that no other node has: its last replica is lost`;
  const next = refuses
    ? 'start a replica; or CONFIG SET min-replicas-to-write 0, if writes that only one node has are better than none'
    : 'start a replica: what is written until then is lost with this node; min-replicas-to-write is raised again by itself';
  const { host, port } = primary;
  return {
    problems: [{ code: 'wait_primary', detail: reason, next, advice: false }],
    nodes: [{ host, port, state: 'wait-primary', reason }],
  };
};
