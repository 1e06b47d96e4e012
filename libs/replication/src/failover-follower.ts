// What is Sentinel doing about the primary, and how did it end? Follows, never decides: events, sightings and probe writes
// go in, one history entry for each epoch comes out.
//
//   (nothing) --first sign--> sdown -> odown -> elected -> selected -> promoted -> switched
//       ^                       |                                                     |
//       |   primary answers, nobody acts: dropped                 the majority names another, later epoch
//       +-----------------------+                                                     v
//       +<-- entry -- reconfigured and first-write, or `settleMs` after the switch -- (certain)
//
// A later epoch of the majority leads to `certain` from everywhere: events may be missed, the entry still comes. What was
// not seen is named in its evidence.
import type { RedisFailover } from '@switchyard/protocol';
import { sameAddress, type Address } from './address.ts';
import { entryOf } from './failover-entry.ts';
import { followEvent } from './failover-events.ts';
import {
  attemptPatienceMs,
  beginAttempt,
  nodeAt,
  note,
  reach,
  targetOf,
  type Attempt,
  type FollowerState,
} from './failover-state.ts';
import { remember, watch } from './failover-watch.ts';
import { endpointOf } from './observation.ts';
import type { SentinelEvent } from './sentinel-parser.ts';
import type { Sighting } from './sighting.ts';

/** What the follower is told. */
export type FollowerInput =
  | { readonly type: 'sighting'; readonly sighting: Sighting }
  | {
      readonly type: 'event';
      /** Name of the Sentinel. */
      readonly sentinel: string;
      readonly event: SentinelEvent;
    }
  | {
      readonly type: 'probe';
      readonly at: Address;
      /** `acked`: the write was acknowledged; the rest as in `Failure`. */
      readonly outcome: 'acked' | 'gone' | 'silent' | 'refused';
      readonly detail: string;
    };

/** The next state, and the entry when one is complete. */
export interface FollowerStep {
  readonly state: FollowerState;
  readonly finished?: RedisFailover;
}

/** How long after the switch the entry waits for the rest of the group and for the first write. */
export const settleMs = 10_000;
/** What contradicts the known epoch for so long is the truth: the Sentinels were set up anew. */
const strangePatienceMs = 60_000;

/**
 * Takes one input. Never throws. `nowMs` is monotonic and the same clock for all inputs. Each epoch of the majority that is
 * later than the known one gives exactly one entry.
 */
export const step = (state: FollowerState, input: FollowerInput, nowMs: number): FollowerStep => {
  const told = tell(state, input, nowMs);
  return told.finished === undefined ? settle(told.state, nowMs) : told;
};

/** Whether things are moving, so that it pays to look more often. */
export const inTransition = ({ attempt }: FollowerState, nowMs: number): boolean =>
  attempt !== null && nowMs - Math.max(attempt.startedAtMs, attempt.progressAtMs ?? 0) < attemptPatienceMs;

const tell = (state: FollowerState, input: FollowerInput, nowMs: number): FollowerStep => {
  if (input.type === 'sighting') return look(state, input.sighting, nowMs);
  if (input.type === 'probe') return { state: probed(state, input, nowMs) };
  // Trouble with the new primary before the last failover has settled: that one is told as it is, the next one begins.
  const target = targetOf(state);
  const isNews = target !== null && startsTrouble(input.event) && sameAddress(input.event.subject, target.to);
  if (!isNews) return { state: followEvent(state, input, nowMs) };
  const cut = finish(state);
  return { ...cut, state: followEvent(cut.state, input, nowMs) };
};

const startsTrouble = ({ type, subject }: SentinelEvent): boolean =>
  subject?.kind === 'primary' && (type === '+sdown' || type === '+odown' || type === '+try-failover');

const look = (before: FollowerState, sighting: Sighting, nowMs: number): FollowerStep => {
  const { named, epoch } = sighting;
  const certain = named !== null && epoch !== null;
  const now = certain ? { epoch, primary: endpointOf(sighting.nodes, named) } : null;
  const latest = targetOf(before)?.epoch ?? before.known?.epoch ?? null;
  const isFirst =
    now !== null && (latest === null ? !isNewTo(before.attempt, now.primary) : isReset(before, now.epoch));
  const heard = before.heard || now !== null;
  const state = remember({ ...before, last: sighting, heard, ...(isFirst ? { known: now } : {}) }, nowMs);
  if (now === null || isFirst) return watchFurther(state, nowMs);
  if (latest !== null && now.epoch <= latest) return watchFurther(contradicted(state, now, nowMs), nowMs);
  if (targetOf(state) === null) return watchFurther(switched(state, now, nowMs), nowMs);
  // Two failovers in a row: the first is told as it is.
  const cut = finish(state);
  return { ...cut, state: watch(switched(cut.state, now, nowMs), nowMs) };
};

/** When the new primary goes before the failover has settled, that one is told as it is: the next one may have begun. */
const watchFurther = (state: FollowerState, nowMs: number): FollowerStep => {
  const to = nodeAt(state.last, targetOf(state)?.to ?? null);
  if (to === null || to.seen || state.attempt?.reachedAtMs.promoted === undefined)
    return { state: watch(state, nowMs) };
  const cut = finish(state);
  return { ...cut, state: watch(cut.state, nowMs) };
};

/** What a journal knew is void when the first majority after the start is at an earlier epoch: Sentinels without a memory. */
const isReset = ({ heard, known }: FollowerState, epoch: number): boolean =>
  !heard && known !== null && epoch < known.epoch;

/** Without a known epoch, only an attempt that we saw begin tells that the named primary is a new one. */
const isNewTo = (attempt: Attempt | null, named: Address): boolean =>
  attempt !== null && attempt.from !== null && !sameAddress(attempt.from, named);

const switched = (
  state: FollowerState,
  { epoch, primary }: NonNullable<FollowerState['known']>,
  nowMs: number,
): FollowerState => {
  const missed = `the Sentinels' majority names ${primary.name} since an epoch that was not followed`;
  const begun = state.attempt ?? beginAttempt(state, { cause: missed, atMs: nowMs, missed: true });
  const attempt = sameAddress(begun.selected, primary) ? begun : withoutFirstWrite(begun);
  const skipped = state.known === null ? 0 : epoch - state.known.epoch - 1;
  const text =
    `the majority of the Sentinels names ${primary.name} (epoch ${String(epoch)})` +
    (skipped > 0 ? `; epochs in between: ${String(skipped)}, failed attempts or not seen` : '');
  return {
    ...state,
    strangeSinceMs: null,
    attempt: {
      ...reach(note(attempt, nowMs, text), 'switched', nowMs),
      target: { epoch, to: primary, sinceMs: nowMs },
      progressAtMs: nowMs,
    },
  };
};

/** What another node than the one that is named acknowledged is no write of the group. */
const withoutFirstWrite = (attempt: Attempt): Attempt => {
  const { 'first-write': _taken, ...reachedAtMs } = attempt.reachedAtMs;
  return { ...attempt, reachedAtMs, writesUnavailableMs: null };
};

/** The majority says less than is known: Sentinels that restarted with an old memory, or were set up anew by hand. */
const contradicted = (state: FollowerState, now: NonNullable<FollowerState['known']>, nowMs: number): FollowerState => {
  const { known } = state;
  const agrees = known === null || (known.epoch === now.epoch && sameAddress(known.primary, now.primary));
  if (agrees || targetOf(state) !== null) return { ...state, strangeSinceMs: null };
  const sinceMs = state.strangeSinceMs ?? nowMs;
  return nowMs - sinceMs < strangePatienceMs
    ? { ...state, strangeSinceMs: sinceMs }
    : { ...state, known: now, attempt: null, strangeSinceMs: null };
};

const probed = (
  state: FollowerState,
  probe: Extract<FollowerInput, { type: 'probe' }>,
  nowMs: number,
): FollowerState => {
  const { attempt } = state;
  if (probe.outcome === 'acked') {
    const target = targetOf(state);
    const isTarget = sameAddress(probe.at, target?.to ?? attempt?.selected ?? null);
    const isNamed = sameAddress(probe.at, target?.to ?? state.known?.primary ?? probe.at);
    const isFirst = attempt !== null && isTarget && attempt.reachedAtMs['first-write'] === undefined;
    // Of what was not followed, the time without an answer is our own absence.
    const blind = state.lastAckAtMs === null || attempt?.missed === true;
    const writesUnavailableMs = blind ? null : nowMs - (state.lastAckAtMs ?? nowMs);
    return {
      ...state,
      // A promoted one that the Sentinels have yet to name could still be replaced by another.
      lastAckAtMs: isNamed ? nowMs : state.lastAckAtMs,
      attempt: isFirst ? { ...reach(attempt, 'first-write', nowMs), writesUnavailableMs } : attempt,
    };
  }
  const name = endpointOf(state.last?.nodes ?? [], probe.at).name;
  const text = `a write to ${name} failed: ${probe.detail.slice(0, 200)}`;
  if (attempt !== null) {
    return attempt.probeFailed ? state : { ...state, attempt: { ...note(attempt, nowMs, text), probeFailed: true } };
  }
  // A primary that answers with an error is there: no failover follows from it.
  const isSign = probe.outcome !== 'refused' && sameAddress(probe.at, state.known?.primary ?? null);
  if (!isSign) return state;
  return { ...state, attempt: { ...beginAttempt(state, { cause: text, atMs: nowMs }), probeFailed: true } };
};

const settle = (state: FollowerState, nowMs: number): FollowerStep => {
  const { attempt } = state;
  const target = targetOf(state);
  if (attempt === null || target === null) return { state };
  const complete = attempt.reachedAtMs.reconfigured !== undefined && attempt.reachedAtMs['first-write'] !== undefined;
  return complete || nowMs - target.sinceMs >= settleMs ? finish(state) : { state };
};

const finish = (state: FollowerState): FollowerStep => {
  const { attempt } = state;
  const target = targetOf(state);
  if (attempt === null || target === null) return { state };
  const { epoch, to } = target;
  return {
    state: {
      ...state,
      known: { epoch, primary: to },
      attempt: null,
      primaryOffset: attempt.newOffset,
      strangeSinceMs: null,
    },
    finished: entryOf(state, attempt, target),
  };
};
