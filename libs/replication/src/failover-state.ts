// What does the failover follower remember? The last failover it knows, and the attempt that is under way, if any.
import { endpointOf } from './observation.ts';
import { sameAddress, type Address, type Endpoint } from './address.ts';
import type { NodeSighting, Sighting } from './sighting.ts';

/** The phases in their order; each is also the name of the state that waits for it. */
export const failoverPhases = [
  'sdown',
  'odown',
  'elected',
  'selected',
  'promoted',
  'switched',
  'reconfigured',
  'first-write',
] as const;
/** One of `failoverPhases`. */
export type FailoverPhase = (typeof failoverPhases)[number];

/** Who was primary since which epoch. */
export interface KnownPrimary {
  readonly epoch: number;
  readonly primary: Endpoint;
}

/** A fact with its time; `text` is for people. */
export interface EvidenceLine {
  readonly atMs: number;
  readonly text: string;
}

/** A primary's place in its stream when it was looked at. */
export interface OffsetSighting {
  readonly offset: number;
  readonly lineage: string | null;
  readonly atMs: number;
}

/** A failover under way, or only the first sign of one. */
export interface Attempt {
  readonly startedAtMs: number;
  readonly from: Endpoint | null;
  /** The first sign, in words. */
  readonly cause: string;
  /** Somebody asked a Sentinel for it while nobody had found the primary down. */
  readonly requested: boolean;
  /** No sign came before the majority had changed already. */
  readonly missed: boolean;
  readonly selected: Address | null;
  readonly reachedAtMs: Readonly<Partial<Record<FailoverPhase, number>>>;
  /** When a Sentinel last did something about it; null while none does. */
  readonly progressAtMs: number | null;
  readonly evidence: readonly EvidenceLine[];
  readonly omittedEvidence: number;
  readonly probeFailed: boolean;
  readonly writesUnavailableMs: number | null;
  /** The promoted node as primary, for what it shares with the old one. */
  readonly after: NodeSighting | null;
  /** Its place in its own stream: the old primary's, when it fails next. */
  readonly newOffset: OffsetSighting | null;
  /** The majority's new word; from here on an entry is certain. */
  readonly target: { readonly epoch: number; readonly to: Endpoint; readonly sinceMs: number } | null;
}

/** Everything the follower remembers; bounded by the number of nodes and `mostEvidence`. */
export interface FollowerState {
  readonly group: string;
  readonly known: KnownPrimary | null;
  readonly attempt: Attempt | null;
  /** Whether a majority has spoken since the start. */
  readonly heard: boolean;
  readonly last: Sighting | null;
  /** The old primary's last place in its stream, and each replica's. */
  readonly primaryOffset: OffsetSighting | null;
  readonly replicaOffsets: Readonly<Record<string, number>>;
  readonly lastAckAtMs: number | null;
  /** Since when the majority has named what cannot follow from `known` (Sentinels were set up anew by hand). */
  readonly strangeSinceMs: number | null;
}

/** A Sentinel that was elected and then did nothing for so long has given up. */
export const attemptPatienceMs = 60_000;

/** Lines of evidence that an entry keeps. */
export const mostEvidence = 60;

/** A follower that has seen nothing; `known` comes from the journal after a restart. */
export const followerState = (group: string, known: KnownPrimary | null = null): FollowerState => ({
  group,
  known,
  attempt: null,
  heard: false,
  last: null,
  primaryOffset: null,
  replicaOffsets: {},
  lastAckAtMs: null,
  strangeSinceMs: null,
});

/** The majority's new word, once it has spoken. */
export const targetOf = ({ attempt }: FollowerState): Attempt['target'] => attempt?.target ?? null;

/** The phase that is waited for; null while nothing is under way. */
export const waitsFor = ({ attempt }: FollowerState): FailoverPhase | null => {
  if (attempt === null) return null;
  const reached = (phase: FailoverPhase): boolean => attempt.reachedAtMs[phase] !== undefined;
  if (attempt.target !== null) return reached('reconfigured') ? 'first-write' : 'reconfigured';
  const known = attempt.requested ? failoverPhases.indexOf('odown') : -1;
  const furthest = Math.max(known, ...failoverPhases.map((phase, at) => (reached(phase) ? at : -1)));
  return failoverPhases[Math.min(furthest + 1, failoverPhases.indexOf('switched'))] ?? null;
};

/** A new attempt; `cause` is its first line of evidence, too. */
export const beginAttempt = (
  state: FollowerState,
  begin: { readonly cause: string; readonly atMs: number; readonly from?: Address | null; readonly missed?: boolean },
): Attempt => ({
  startedAtMs: begin.atMs,
  from: fromOf(state, begin.from ?? null),
  cause: begin.cause,
  requested: false,
  missed: begin.missed ?? false,
  selected: null,
  reachedAtMs: {},
  progressAtMs: null,
  evidence: [{ atMs: begin.atMs, text: begin.cause }],
  omittedEvidence: 0,
  probeFailed: false,
  writesUnavailableMs: null,
  after: null,
  newOffset: null,
  target: null,
});

/** The known primary; under the name that its node has now, which may have been learnt later. */
const fromOf = ({ known, last }: FollowerState, said: Address | null): Endpoint | null => {
  const from = known?.primary ?? said;
  if (from === null) return null;
  const name = nodeAt(last, from)?.name ?? known?.primary.name;
  return name === undefined ? endpointOf([], from) : { name, host: from.host, port: from.port };
};

/** Notes when a phase was reached; only the first time counts. */
export const reach = (attempt: Attempt, phase: FailoverPhase, atMs: number): Attempt =>
  attempt.reachedAtMs[phase] === undefined
    ? { ...attempt, reachedAtMs: { ...attempt.reachedAtMs, [phase]: atMs } }
    : attempt;

/** Adds a line of evidence, or only counts it when there are enough. */
export const note = (attempt: Attempt, atMs: number, text: string): Attempt =>
  attempt.evidence.length < mostEvidence
    ? { ...attempt, evidence: [...attempt.evidence, { atMs, text }] }
    : { ...attempt, omittedEvidence: attempt.omittedEvidence + 1 };

/** The node at this address in the last sighting. */
export const nodeAt = (sighting: Sighting | null, at: Address | null): NodeSighting | null =>
  sighting?.nodes.find((node) => sameAddress(node, at)) ?? null;
