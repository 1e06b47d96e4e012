// The switchover's way back, and aside: nothing stays paused, nothing stays set, and no late promotion goes unnoticed.
import { sameAddress } from './address.ts';
import { beginForward, beginUndo } from './switchover-course.ts';
import type { SwitchoverStep } from './switchover-plan.ts';
import {
  actingOf,
  ask,
  goTo,
  hasMovedOn,
  isAnswered,
  isOver,
  nodeOf,
  noted,
  restoreCommand,
  risenOf,
  toNode,
  toSentinel,
  wait,
} from './switchover-turn.ts';
import type { Turn } from './switchover-turn.ts';

/** A Sentinel gives a promotion up once it has waited longer than its failover-timeout: for a moment that is very short. */
const abortTimeoutMs = 100;

/**
 * Waits until the Sentinel that accepted the promotion has given it up, while the writers are still paused. When the target
 * was promoted after all, it goes forward.
 */
export const abortConfirmed = (turn: Turn): SwitchoverStep => {
  const { state, nowMs } = turn;
  const { plan } = state;
  const late = risenStep(turn);
  if (late !== null) return late;
  if (hasGivenUp(turn)) return wait(goTo({ ...state, aborted: true }, 'writes-released', nowMs));
  if (isOver(turn, plan.limits.abortMs)) {
    const note = 'it is not certain that the promotion was given up';
    return wait(goTo(noted(state, note), 'writes-released', nowMs));
  }
  return ask(turn, abort(turn));
};

/** The one that was asked says that nothing is under way, after it was told to give up. */
const hasGivenUp = ({ state, look }: Turn): boolean => {
  const acting = actingOf(state, look);
  if (!isAnswered(state, 'abort')) return false;
  return (
    state.plan.acting === null || (acting !== null && !acting.inProgress && sameAddress(acting.names, state.plan.from))
  );
};

const abort = ({ state: { plan } }: Turn): ReturnType<typeof toNode> =>
  plan.acting === null
    ? toNode(plan.from, 'abort', 'FAILOVER', 'ABORT')
    : toSentinel(plan.acting, 'abort', 'SENTINEL', 'SET', plan.group, 'failover-timeout', abortTimeoutMs);

/**
 * A node that calls itself primary on the way back. Named, or about to be: finish what it began. Given up by the Sentinel: its
 * order was late, nobody was sent there, it becomes a replica again.
 */
const risenStep = (turn: Turn): SwitchoverStep | null => {
  const { state, look } = turn;
  const { plan } = state;
  const risen = risenOf(state, look);
  if (risen === null) return null;
  const acting = actingOf(state, look);
  const from = nodeOf(look, plan.from);
  if (hasMovedOn(state, look) ? sameAddress(look.named, risen) : acting?.inProgress === true || plan.acting === null) {
    return beginForward(turn, risen);
  }
  const isStray =
    acting !== null &&
    isAnswered(state, 'abort') &&
    sameAddress(look.named, plan.from) &&
    look.epoch === plan.epoch &&
    from.reachable &&
    from.role === 'primary';
  if (!isStray) return wait(state);
  const note = `${risen.name} was promoted after the Sentinel had given up; it was turned back into a replica`;
  const step = ask(turn, toNode(risen, 'unpromote', 'REPLICAOF', plan.from.host, plan.from.port));
  return { ...step, state: noted(step.state, note) };
};

/** False alarms end by themselves; after so long with the old primary in place it is taken back. */
const calmAfterMs = 1_500;

/** Waits for the primary that Sentinel chooses by itself. */
export const heirKnown = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  if (hasMovedOn(state, look)) {
    const risen = look.nodes.find((node) => sameAddress(node, look.named));
    if (risen?.reachable === true && risen.role === 'primary') {
      return beginForward({ ...turn, state: { ...state, heirEpoch: look.epoch } }, risen);
    }
  }
  const from = nodeOf(look, plan.from);
  const isCalm =
    from.reachable &&
    from.role === 'primary' &&
    sameAddress(look.named, plan.from) &&
    !look.sentinels.some((one) => one.reachable && one.inProgress);
  if (isCalm && isOver(turn, calmAfterMs)) return beginUndo(state, `${plan.from.name} is still primary`, nowMs);
  if (!isOver(turn, plan.limits.namedMs)) return wait(state);
  return wait(goTo(noted(state, 'the Sentinels named no new primary'), 'writes-released', nowMs));
};

/** Waits until the writers go on, at the old primary. */
export const writesReleased = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { plan, pausedAtMs, pauseEndsMs } = state;
  if (hasMovedOn(state, look)) return wait(goTo(state, 'heir-known', nowMs));
  // A node that was frozen may have begun its pause only when it woke: as long as it answers, it is told.
  const isOverThere = !nodeOf(look, plan.from).reachable && pauseEndsMs !== null && nowMs > pauseEndsMs;
  const isFree = pausedAtMs === null || isAnswered(state, 'release') || isOverThere;
  const isPending = state.promotionAsked && !state.aborted;
  if (isFree) return wait(goTo(state, isPending ? 'promotion-forgotten' : 'settings-undone', nowMs));
  return ask(turn, toNode(plan.from, 'release', 'CLIENT', 'UNPAUSE'));
};

/**
 * Waits until a Sentinel that fell silent with the promotion in hand has given it up. The writers go on; should the target be
 * promoted now, the old primary refuses writes at once, because it is still bound to all its replicas. When one of these is
 * away, that bound would stop the writers: then it is not kept.
 */
export const promotionForgotten = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  if (hasMovedOn(state, look)) return wait(goTo(state, 'heir-known', nowMs));
  const late = risenStep(turn);
  if (late !== null) return late;
  if (hasGivenUp(turn)) return wait(goTo({ ...state, aborted: true }, 'settings-undone', nowMs));
  const from = nodeOf(look, plan.from);
  const replicas = [plan.to, ...plan.others].map((at) => nodeOf(look, at));
  const costs = replicas.filter(({ reachable, link }) => reachable && link === 'up').length < plan.bound;
  if ((from.reachable && costs) || isOver(turn, plan.limits.forgottenMs))
    return wait(goTo(state, 'settings-undone', nowMs));
  return ask(turn, abort(turn));
};

/** Waits until every setting is as it was, and no late promotion is left. */
export const settingsUndone = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { saved, limits, group } = state.plan;
  if (hasMovedOn(state, look)) return wait(goTo(state, 'heir-known', nowMs));
  const late = state.promotionAsked ? risenStep(turn) : null;
  if (late !== null && !isOver(turn, limits.restoreMs)) return late;
  const commands = saved.map((setting) => restoreCommand(setting, group));
  const left = saved.filter((setting) => !isAnswered(state, restoreCommand(setting, group).key));
  if (left.length > 0 && !isOver(turn, limits.restoreMs)) return ask(turn, ...commands);
  const told = left.map(({ at, name }) => `${name} of ${at.name}`).join(', ');
  const after = left.length === 0 ? state : noted({ ...state, left }, `not restored yet: ${told}`);
  return wait(goTo({ ...after, outcome: 'undone' }, 'ended', nowMs));
};
