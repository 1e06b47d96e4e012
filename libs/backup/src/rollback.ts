// How does a rollback in place go, step by step? A machine that is told looks and answers, and says what to do next.
//
//   target-served > guards-raised > writes-paused > point-sealed > data-taken > data-proven > promoted > writes-resumed
//        > replicas-level > settings-restored > ended
//   back:  [data-judged > [safety-served > safety-taken > safety-proven >] role-returned >] writes-released > replicas-level > ...
//   aside, when the primary dies or the Sentinels choose another one: heir-known > settings-restored > ended
//
// Commands may be lost, their answers too: each is sent again until it is confirmed, so each is idempotent. Each pause ends by itself.
// Nothing is given up before the safety point is archived; orders go to the very process that was planned with, and to no other.
import {
  dataProven,
  dataTaken,
  guardsRaised,
  pointSealed,
  promoted,
  replicasLevel,
  settingsRestored,
  targetServed,
  writesPaused,
  writesResumed,
} from './rollback-forward.ts';
import type { RollbackInput, RollbackPlan, RollbackState, RollbackStep, RollbackWait } from './rollback-plan.ts';
import { beginUndo, forgotten, goTo, hasMovedOn, nameOf, noted, servedAt, wait, type Turn } from './rollback-turn.ts';
import {
  dataJudged,
  heirKnown,
  roleReturned,
  safetyProven,
  safetyServed,
  safetyTaken,
  writesReleased,
} from './rollback-undo.ts';

/** A rollback that was decided and has touched nothing yet. */
export function beginRollback(plan: RollbackPlan, nowMs: number): RollbackState {
  return {
    plan,
    waitsFor: 'target-served',
    sinceMs: nowMs,
    asked: {},
    answered: {},
    pausedAtMs: null,
    pausedUntilMs: null,
    barrier: null,
    reseals: 0,
    sealed: false,
    served: null,
    ours: [],
    takeAsked: false,
    taken: false,
    promotionAsked: false,
    newReplicationId: null,
    course: 'forward',
    reason: null,
    cancelled: false,
    heir: null,
    goneSinceMs: null,
    resumed: false,
    behind: false,
    outcome: null,
    notes: [],
    left: [],
  };
}

const handlers: Readonly<Record<RollbackWait, (turn: Turn) => RollbackStep>> = {
  'target-served': targetServed,
  'guards-raised': guardsRaised,
  'writes-paused': writesPaused,
  'point-sealed': pointSealed,
  'data-taken': dataTaken,
  'data-proven': dataProven,
  promoted,
  'writes-resumed': writesResumed,
  'data-judged': dataJudged,
  'safety-served': safetyServed,
  'safety-taken': safetyTaken,
  'safety-proven': safetyProven,
  'role-returned': roleReturned,
  'writes-released': writesReleased,
  'replicas-level': replicasLevel,
  'settings-restored': settingsRestored,
  'heir-known': heirKnown,
  ended: ({ state }) => wait(state),
};

/** Nothing has been done to the data in these. */
const untouched: ReadonlySet<RollbackWait> = new Set([
  'target-served',
  'guards-raised',
  'writes-paused',
  'point-sealed',
]);
/** The primary's silence is somebody else's matter here. */
const patient: ReadonlySet<RollbackWait> = new Set(['settings-restored', 'heir-known', 'ended', 'writes-released']);

/** One step. Pure; `nowMs` must not go backwards, except at `resume`. */
export function stepRollback(state: RollbackState, input: RollbackInput, nowMs: number): RollbackStep {
  if (state.waitsFor === 'ended') return wait(state);
  switch (input.type) {
    case 'look':
      return looked({ state, look: input.look, nowMs });
    case 'answer':
      return wait(answered(state, input, nowMs));
    case 'cancel':
      return wait(cancelled(state, nowMs));
    case 'journal-lost':
      return wait(
        state.takeAsked || state.course === 'back'
          ? noted(state, `the journal cannot be written: ${input.detail}`)
          : beginUndo(state, `the journal cannot be written: ${input.detail}`, { nowMs }),
      );
    case 'resume':
      return wait(resumed(state, nowMs));
  }
}

/** Whether it can still be taken back at once on request: afterwards it finishes, or takes itself back. */
export function mayCancelRollback(state: RollbackState): boolean {
  return !state.takeAsked && state.course === 'forward';
}

function looked(turn: Turn): RollbackStep {
  const { look, nowMs } = turn;
  const goneSinceMs =
    look.primary.reachable && look.primary.runId === turn.state.plan.runId ? null : (turn.state.goneSinceMs ?? nowMs);
  const state = goneSinceMs === turn.state.goneSinceMs ? turn.state : { ...turn.state, goneSinceMs };
  const now = { ...turn, state };
  if (!patient.has(state.waitsFor)) {
    if (hasMovedOn(now)) return wait(aside(state, 'the Sentinels chose another primary', nowMs));
    const isGone = goneSinceMs !== null && nowMs - goneSinceMs >= state.plan.limits.goneMs;
    if (isGone && state.waitsFor !== 'target-served')
      return wait(
        aside(
          state,
          `${nameOf(state.plan.primary)} ${look.primary.reachable ? 'was restarted' : 'does not answer'}`,
          nowMs,
        ),
      );
  }
  return handlers[state.waitsFor](now);
}

function aside(state: RollbackState, reason: string, nowMs: number): RollbackState {
  return goTo(noted({ ...state, reason: state.reason ?? reason }, reason), 'heir-known', nowMs);
}

function answered(
  state: RollbackState,
  input: Extract<RollbackInput, { readonly type: 'answer' }>,
  nowMs: number,
): RollbackState {
  const { key, outcome, detail, address } = input;
  const askedAtMs = state.asked[key];
  if (askedAtMs === undefined || outcome === 'lost') return state;
  if (outcome === 'refused') return refused(state, { key, detail }, nowMs);
  const confirmed = { ...state, answered: { ...state.answered, [key]: nowMs } };
  if (key === 'pause') return { ...confirmed, pausedUntilMs: askedAtMs + state.plan.limits.pauseMs };
  const isServed =
    (key === 'serve-target' && (state.waitsFor === 'target-served' || state.waitsFor === 'data-taken')) ||
    (key === 'serve-safety' && state.waitsFor === 'safety-served');
  return isServed && address !== undefined ? servedAt(forgotten(confirmed, key), address) : confirmed;
}

function refused(
  state: RollbackState,
  { key, detail }: { readonly key: string; readonly detail: string },
  nowMs: number,
): RollbackState {
  const told = noted(state, `${key}: ${detail}`);
  const isOfTheData = key === 'demote' || key === 'prove-target';
  if (state.course === 'forward' && (untouched.has(state.waitsFor) || isOfTheData) && !state.promotionAsked)
    return beginUndo(told, `${key}: ${detail}`, { nowMs });
  // Good to have, but nothing waits for it for ever.
  if (/^(hurry|stop|release|prove-safety)/.test(key) && key !== 'release')
    return { ...told, answered: { ...state.answered, [key]: nowMs } };
  return told;
}

function cancelled(state: RollbackState, nowMs: number): RollbackState {
  if (mayCancelRollback(state)) return beginUndo(state, 'it was cancelled', { nowMs, cancelled: true });
  return state.course === 'forward'
    ? noted(state, 'it was too late to cancel: it is finished, and can be undone')
    : state;
}

/** After a restart nothing that was asked counts as done, nothing is served, and a pause may still be on. */
function resumed(state: RollbackState, nowMs: number): RollbackState {
  const { waitsFor } = state;
  const fresh: RollbackState = {
    ...noted(state, `continued after a restart, at ${waitsFor}`),
    asked: {},
    answered: {},
    sinceMs: nowMs,
    resumed: true,
    served: null,
    pausedAtMs: state.pausedAtMs === null ? null : nowMs,
    pausedUntilMs: null,
    goneSinceMs: null,
  };
  if (untouched.has(waitsFor) && !state.takeAsked) {
    // What was written down last is what was asked at least.
    const touched =
      waitsFor === 'target-served'
        ? fresh
        : { ...fresh, pausedAtMs: waitsFor === 'guards-raised' ? fresh.pausedAtMs : nowMs };
    return beginUndo(touched, 'the worker was restarted', { nowMs });
  }
  if (waitsFor === 'data-taken' && !state.takeAsked)
    return beginUndo({ ...fresh, takeAsked: false }, 'the worker was restarted', { nowMs });
  if (waitsFor === 'data-taken' || waitsFor === 'data-proven' || waitsFor === 'target-served')
    return goTo(fresh, 'target-served', nowMs);
  if (waitsFor === 'safety-served' || waitsFor === 'safety-taken' || waitsFor === 'safety-proven')
    return goTo(fresh, 'safety-served', nowMs);
  return fresh;
}
