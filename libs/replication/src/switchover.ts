// How does a planned switchover go, step by step? A machine that is told looks and answers, and says what to send next.
//
//   target-preferred > writes-paused > replicas-level > old-bounded > promoted      overrun, cancel, restart: taken back
//        > old-fenced > writes-resumed > clients-moved > followers-moved > named > settings-restored > probed > ended
//   back:  [abort-confirmed >] writes-released > [promotion-forgotten >] settings-undone > ended
//   aside, when Sentinel acts by itself: heir-known > old-fenced > ...
//
// Commands may be lost, their answers too: each is sent again until it is confirmed, so each is idempotent. Pauses are short.
import { oldBounded, promoted, replicasLevel, targetPreferred, writesPaused } from './switchover-forward.ts';
import {
  clientsMoved,
  followersMoved,
  named,
  oldFenced,
  probed,
  settingsRestored,
  writesResumed,
} from './switchover-finish.ts';
import { beginUndo } from './switchover-course.ts';
import { abortConfirmed, heirKnown, promotionForgotten, settingsUndone, writesReleased } from './switchover-undo.ts';
import { goTo, noted, wait, type Turn } from './switchover-turn.ts';
import type {
  SwitchoverInput,
  SwitchoverPlan,
  SwitchoverState,
  SwitchoverStep,
  SwitchoverWait,
} from './switchover-plan.ts';

/** A switchover that was decided and has touched nothing yet. */
export const beginSwitchover = (plan: SwitchoverPlan, nowMs: number): SwitchoverState => ({
  plan,
  waitsFor: 'target-preferred',
  sinceMs: nowMs,
  startedAtMs: nowMs,
  asked: {},
  answered: {},
  pausedAtMs: null,
  pauseEndsMs: null,
  barrier: null,
  promotionAsked: false,
  aborted: false,
  heir: null,
  heirAtMs: null,
  heirEpoch: null,
  level: false,
  fencedInTime: false,
  probeOffset: null,
  reason: null,
  outcome: null,
  notes: [],
  left: [],
});

const handlers: Readonly<Record<SwitchoverWait, (turn: Turn) => SwitchoverStep>> = {
  'target-preferred': targetPreferred,
  'writes-paused': writesPaused,
  'replicas-level': replicasLevel,
  'old-bounded': oldBounded,
  promoted,
  'old-fenced': oldFenced,
  'writes-resumed': writesResumed,
  'clients-moved': clientsMoved,
  'followers-moved': followersMoved,
  named,
  'settings-restored': settingsRestored,
  probed,
  'abort-confirmed': abortConfirmed,
  'heir-known': heirKnown,
  'writes-released': writesReleased,
  'promotion-forgotten': promotionForgotten,
  'settings-undone': settingsUndone,
  ended: ({ state }) => wait(state),
};

/** Steps that nothing is known to have been promoted in: they can be taken back. */
const reversible: ReadonlySet<SwitchoverWait> = new Set([
  'target-preferred',
  'writes-paused',
  'replicas-level',
  'old-bounded',
  'promoted',
]);

/** Commands whose refusal only costs something that is good to have. */
const dispensable = /^(quiet|hurry |bound|abort|kill|keep|restore |move |name )/;

/** One step. Pure; `nowMs` must not go backwards, except at `resume`. */
export const stepSwitchover = (state: SwitchoverState, input: SwitchoverInput, nowMs: number): SwitchoverStep => {
  if (state.waitsFor === 'ended') return wait(state);
  switch (input.type) {
    case 'look':
      return handlers[state.waitsFor]({ state, look: input.look, nowMs });
    case 'answer':
      return answered(state, input, nowMs);
    case 'cancel':
      return mayCancel(state) ? beginUndo(state, 'it was cancelled', nowMs) : wait(state);
    case 'resume':
      return wait(resumed(state, nowMs));
  }
};

/** Whether it can still be taken back on request. */
export const mayCancel = ({ waitsFor, promotionAsked }: SwitchoverState): boolean =>
  reversible.has(waitsFor) && !promotionAsked;

const answered = (
  state: SwitchoverState,
  input: Extract<SwitchoverInput, { readonly type: 'answer' }>,
  nowMs: number,
): SwitchoverStep => {
  const { key, outcome, detail } = input;
  if (outcome === 'lost' || state.asked[key] === undefined) return wait(state);
  // Somebody is at it already: what that leads to, is seen.
  const isUnderWay = key === 'failover' && /INPROG/.test(detail);
  if (outcome === 'refused' && !isUnderWay) {
    const told = noted(state, `${key}: ${detail}`);
    if (reversible.has(state.waitsFor) && !dispensable.test(key)) return beginUndo(told, `${key}: ${detail}`, nowMs);
    if (!dispensable.test(key)) return wait(told);
    return wait({ ...told, answered: { ...state.answered, [key]: nowMs } });
  }
  return wait({ ...state, answered: { ...state.answered, [key]: nowMs } });
};

/** After a restart nothing that was asked counts as done, and a pause may still be on. */
const resumed = (state: SwitchoverState, nowMs: number): SwitchoverState => {
  const { promotionPauseMs, retryMs } = state.plan.limits;
  const fresh: SwitchoverState = {
    ...noted(state, `continued after a restart, at ${state.waitsFor}`),
    asked: {},
    answered: {},
    startedAtMs: nowMs,
    sinceMs: nowMs,
    pausedAtMs: state.pausedAtMs === null && state.waitsFor === 'target-preferred' ? null : nowMs,
    pauseEndsMs: nowMs + promotionPauseMs + retryMs,
    heirAtMs: state.heirAtMs === null ? null : nowMs,
  };
  // What was written down last is what was asked at least: the promotion may be under way.
  const promotionAsked = state.promotionAsked || state.waitsFor === 'promoted';
  if (!reversible.has(state.waitsFor)) return { ...fresh, promotionAsked };
  const reason = state.reason ?? 'the manager was restarted';
  return goTo({ ...fresh, promotionAsked, reason }, promotionAsked ? 'abort-confirmed' : 'writes-released', nowMs);
};
