// What does the archiver do next? A machine without I/O: it is told what happened and says what is to be done.
//
//   ownership --owned--> source --chosen--> answer --continue--> stream
//                          ^                  |                    |
//                          |                  +--full--> data-set -+
//                          +---------- ended, moved, rolled back --+
//
// Each state is named by what it waits for. Another worker that owns the archive brings every state back to `ownership`.
import type { Timeline } from '@switchyard/protocol';
import {
  branchedBefore,
  chooseStreamSource,
  type HeldPlace,
  type StreamCandidate,
  type StreamRules,
} from './stream-source.ts';

/** The end of the archive. */
export interface ArchivePlace extends HeldPlace {
  readonly timeline: string;
}

/** What the archiver waits for. */
export type ArchiverWait = 'ownership' | 'source' | 'answer' | 'data-set' | 'stream';

/** State of an archiver. */
export interface ArchiverState {
  readonly waitsFor: ArchiverWait;
  /** Where the archive ends; null before its first timeline. */
  readonly place: ArchivePlace | null;
  /** Set when the history must not be continued, and why. */
  readonly anew: { readonly reason: Timeline['reason']; readonly detail: string } | null;
  /** Name of the node that is asked or followed. */
  readonly source: string | null;
  readonly isPrimary: boolean;
  /** Since when there is no source, ms of a monotonic clock; null while there is one. */
  readonly withoutSourceSinceMs: number | null;
  /** Attempts without a byte of success. */
  readonly failures: number;
  /** Nodes that said they could go on and did not. */
  readonly disappointments: number;
  /** The group's history branched off there, before the end of the archive: a failover lost what is archived behind it. */
  readonly branchedAt: number | null;
  /** Why it waits for a source, for people. */
  readonly why: readonly string[];
}

/** What happened. */
export type ArchiverInput<C extends StreamCandidate = StreamCandidate> =
  | { readonly kind: 'owned'; readonly place: ArchivePlace | null }
  | { readonly kind: 'disowned' }
  /** `at`: how far the stream is by now, when it is read. */
  | { readonly kind: 'looked'; readonly candidates: readonly C[]; readonly at?: HeldPlace }
  | { readonly kind: 'continued'; readonly replicationId: string }
  | { readonly kind: 'full'; readonly place: HeldPlace }
  | { readonly kind: 'timeline-begun'; readonly place: ArchivePlace }
  | { readonly kind: 'ended'; readonly place: ArchivePlace | null; readonly detail: string }
  | { readonly kind: 'cannot-continue'; readonly reason: Timeline['reason']; readonly detail: string };

/** What is to be done. */
export type ArchiverAction<C extends StreamCandidate = StreamCandidate> =
  | { readonly kind: 'stand-by' }
  /** Survey the group after `afterMs`. */
  | { readonly kind: 'look'; readonly afterMs: number }
  | {
      readonly kind: 'connect';
      readonly source: C;
      readonly place: HeldPlace | null;
      readonly announce: { readonly host: string; readonly port: number } | null;
    }
  /** Store the data set and begin a timeline with it. */
  | {
      readonly kind: 'begin';
      readonly start: HeldPlace;
      readonly reason: Timeline['reason'];
      readonly detail: string;
      readonly previous: Timeline['previous'];
    }
  /** Archive what comes. `renamed`: the history has another name from the place on. */
  | { readonly kind: 'follow'; readonly renamed: boolean }
  /** End the connection. */
  | { readonly kind: 'leave'; readonly detail: string };

/** What the machine needs to know besides. */
export interface ArchiverRules extends Omit<StreamRules, 'place' | 'waitedMs'> {
  readonly nowMs: number;
}

/** State and what follows from it. */
export interface ArchiverStep<C extends StreamCandidate = StreamCandidate> {
  readonly state: ArchiverState;
  readonly actions: readonly ArchiverAction<C>[];
}

const shortestPauseMs = 25;
const longestPauseMs = 1_000;
const mostDisappointments = 2;

/** An archiver that has not begun. */
export const archiverState: ArchiverState = Object.freeze({
  waitsFor: 'ownership',
  place: null,
  anew: null,
  source: null,
  isPrimary: false,
  withoutSourceSinceMs: null,
  failures: 0,
  disappointments: 0,
  branchedAt: null,
  why: [],
});

/** One step. An input that does not fit the state changes nothing. */
export function stepArchiver<C extends StreamCandidate>(
  state: ArchiverState,
  input: ArchiverInput<C>,
  rules: ArchiverRules,
): ArchiverStep<C> {
  const stay: ArchiverStep<C> = { state, actions: [] };
  const { waitsFor } = state;
  switch (input.kind) {
    case 'owned':
      if (waitsFor !== 'ownership') return stay;
      return look({ ...archiverState, place: input.place, anew: state.anew }, 0, rules);
    case 'disowned':
      if (waitsFor === 'ownership') return stay;
      return {
        state: { ...archiverState, anew: state.anew },
        actions: [{ kind: 'leave', detail: 'another worker owns the archive' }, { kind: 'stand-by' }],
      };
    case 'looked':
      if (waitsFor === 'source') return chooseNow(state, input.candidates, rules);
      return waitsFor === 'stream' ? watch(state, input, rules) : stay;
    case 'continued': {
      if (waitsFor !== 'answer' || state.place === null) return stay;
      const renamed = state.place.replicationId !== input.replicationId;
      const place = { ...state.place, replicationId: input.replicationId };
      return { state: following(state, place), actions: [{ kind: 'follow', renamed }] };
    }
    case 'full':
      return waitsFor === 'answer' ? beginAnew(state, input.place, rules) : stay;
    case 'timeline-begun':
      if (waitsFor !== 'data-set') return stay;
      return { state: { ...following(state, input.place), anew: null }, actions: [{ kind: 'follow', renamed: false }] };
    case 'ended': {
      if (waitsFor === 'ownership' || waitsFor === 'source') return stay;
      const failures = waitsFor === 'stream' ? 0 : state.failures + 1;
      const place = input.place ?? state.place;
      return look<C>({ ...state, place, failures, why: [input.detail] }, pauseMs(failures), rules);
    }
    case 'cannot-continue': {
      const { reason, detail } = input;
      const next = { ...state, anew: { reason, detail } };
      if (waitsFor !== 'stream') return { state: next, actions: [] };
      const { state: looking, actions } = look<C>(next, 0, rules);
      return { state: looking, actions: [{ kind: 'leave', detail }, ...actions] };
    }
  }
}

function look<C extends StreamCandidate>(
  state: ArchiverState,
  afterMs: number,
  { nowMs }: ArchiverRules,
): ArchiverStep<C> {
  const withoutSourceSinceMs = state.withoutSourceSinceMs ?? nowMs;
  return {
    state: { ...state, waitsFor: 'source', source: null, isPrimary: false, withoutSourceSinceMs },
    actions: [{ kind: 'look', afterMs }],
  };
}

function chooseNow<C extends StreamCandidate>(
  state: ArchiverState,
  candidates: readonly C[],
  rules: ArchiverRules,
): ArchiverStep<C> {
  const place = state.anew === null ? state.place : null;
  const waitedMs = rules.nowMs - (state.withoutSourceSinceMs ?? rules.nowMs);
  const choice = chooseStreamSource(candidates, { ...rules, place, waitedMs });
  if (choice.kind === 'wait') {
    const failures = state.failures + 1;
    return look({ ...state, failures, why: choice.why }, pauseMs(failures), rules);
  }
  const { source, announce } = choice;
  const branchedAt = place === null ? null : (branchedBefore(candidates, place) ?? null);
  return {
    state: {
      ...state,
      branchedAt,
      waitsFor: 'answer',
      source: source.name,
      isPrimary: source.role === 'primary',
      why: [],
    },
    actions: [{ kind: 'connect', source, place, announce }],
  };
}

// A node that is asked to go on may have lost its backlog since it was looked at: another may still have it.
function beginAnew<C extends StreamCandidate>(
  state: ArchiverState,
  start: HeldPlace,
  rules: ArchiverRules,
): ArchiverStep<C> {
  const { place, anew } = state;
  const waitedMs = rules.nowMs - (state.withoutSourceSinceMs ?? rules.nowMs);
  const disappointments = state.disappointments + 1;
  const mayWait = waitedMs < rules.continueWithinMs && disappointments <= mostDisappointments;
  if (place !== null && anew === null && state.branchedAt === null && mayWait) {
    const failures = state.failures + 1;
    const { state: looking, actions } = look<C>({ ...state, disappointments, failures }, pauseMs(failures), rules);
    const detail = `${state.source ?? 'the source'} cannot go on at ${place.offset}`;
    return { state: looking, actions: [{ kind: 'leave', detail }, ...actions] };
  }
  const previous = place === null ? null : { timeline: place.timeline, offset: place.offset };
  const because =
    anew ??
    (place === null
      ? { reason: 'first' as const, detail: 'the archive begins' }
      : {
          reason: 'gap' as const,
          detail: gapDetail(state, place, start),
        });
  return {
    state: { ...state, waitsFor: 'data-set' },
    actions: [{ kind: 'begin', start, ...because, previous }],
  };
}

function gapDetail({ branchedAt, source }: ArchiverState, place: HeldPlace, start: HeldPlace): string {
  const here = `${source ?? 'the source'} is at ${start.offset} of ${start.replicationId}`;
  if (branchedAt === null) return `no node could go on at ${place.offset} of ${place.replicationId}; ${here}`;
  return `a failover lost ${place.offset - branchedAt} bytes that are archived: the history went on from ${branchedAt}, not from ${place.offset} of ${place.replicationId}; ${here}`;
}

// A source that is not fit any more is left as soon as another one can go on; a primary as soon as a replica is back.
function watch<C extends StreamCandidate>(
  state: ArchiverState,
  { candidates, at }: Extract<ArchiverInput<C>, { kind: 'looked' }>,
  rules: ArchiverRules,
): ArchiverStep<C> {
  const stay: ArchiverStep<C> = { state, actions: [] };
  const here = candidates.find(({ name }) => name === state.source);
  const isWell = here !== undefined && here.state !== 'unreachable' && (here.role === 'replica' || !rules.hasSentinels);
  if (isWell && here.link !== 'down') return stay;
  const choice = chooseStreamSource(
    candidates.filter(({ name }) => name !== state.source),
    // From a primary one leaves without a gap, however long that takes.
    { ...rules, primaryAfterMs: null, place: state.isPrimary ? (at ?? state.place) : null, waitedMs: 0 },
  );
  // A promoted node is left in any case, unless it was taken because there is no replica.
  const isPromoted = here?.role === 'primary' && !state.isPrimary;
  if (choice.kind === 'wait' && !isPromoted) return stay;
  const { state: looking, actions } = look<C>(state, 0, rules);
  const detail = leaveReason(state, here);
  return { state: looking, actions: [{ kind: 'leave', detail }, ...actions] };
}

function leaveReason(state: ArchiverState, here: StreamCandidate | undefined): string {
  const name = state.source ?? 'the source';
  if (here === undefined) return `${name} is not in the group any more`;
  if (here.role === 'primary') return `${name} is the primary`;
  return here.state === 'unreachable' ? `${name} does not answer` : `${name} has lost its link to the primary`;
}

function following(state: ArchiverState, place: ArchivePlace): ArchiverState {
  return { ...state, waitsFor: 'stream', place, withoutSourceSinceMs: null, failures: 0, disappointments: 0, why: [] };
}

function pauseMs(failures: number): number {
  return failures === 0 ? 0 : Math.min(longestPauseMs, shortestPauseMs * 2 ** Math.min(failures - 1, 10));
}
