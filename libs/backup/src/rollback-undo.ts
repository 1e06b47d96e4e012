// The rollback's way back, and aside: the data of before return, nobody stays paused, nothing stays set.
import { hasTaken, takeFromUs, whyNotTaking } from './rollback-forward.ts';
import type { RollbackState, RollbackStep } from './rollback-plan.ts';
import {
  ask,
  beginUndo,
  both,
  followsUs,
  forgotten,
  goTo,
  hasMovedOn,
  isAnswered,
  isOver,
  isSame,
  isSelf,
  keepPaused,
  nameOf,
  noted,
  settingCommand,
  toDriver,
  toPrimary,
  wait,
  type Turn,
} from './rollback-turn.ts';

/**
 * Waits until it is clear which data the primary holds. An order that was lost may still arrive, and a transfer that was broken off may
 * still count: so nothing is served any more, and a moment is waited.
 */
export function dataJudged(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  const { primary } = look;
  const stop = ask(turn, toDriver('stop', { type: 'stop-serving' }));
  if (!isAnswered(state, 'stop') || !isSelf(turn) || !isOver(turn, settleMs)) return stop;
  if (primary.role === 'primary' && primary.replicationId === plan.replicationId && !state.taken)
    return wait(goTo(state, 'writes-released', nowMs));
  if (followsUs(turn) && holdsItsOwn(turn)) return wait(goTo(state, 'role-returned', nowMs));
  if (primary.role === 'replica' && !followsUs(turn))
    return wait(goTo(noted(state, 'somebody else made it a replica of another node'), 'heir-known', nowMs));
  return wait(goTo(forgotten(state, 'serve-safety', 'demote', 'prove-safety'), 'safety-served', nowMs));
}

/** For a command that was on its way. */
const settleMs = 300;

/** It never had all of ours, and what it had of it went to a second database that is thrown away. */
function holdsItsOwn({ state, look: { primary } }: Turn): boolean {
  const { plan, taken } = state;
  if (taken || primary.replicationId !== plan.replicationId) return false;
  return (
    plan.loads === 'swapdb' && primary.link === 'down' && (primary.offset ?? plan.targetOffset) < plan.targetOffset
  );
}

/** Waits until the data of the safety point can be fetched from us, under the name that the primary's history has now. */
export function safetyServed(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  if (state.served !== null) return wait(goTo(forgotten(state, 'demote'), 'safety-taken', nowMs));
  if (isOver(turn, plan.limits.serveMs) && plan.kind === 'sentinel') {
    const note = 'the safety point could not be served: the Sentinels choose a replica, which has the data of before';
    return wait(goTo(noted(state, note), 'heir-known', nowMs));
  }
  const replicationId = look.primary.replicationId ?? plan.replicationId;
  const paused = isSelf(turn) ? keepPaused(turn) : wait(state);
  return both(paused, (next) =>
    ask({ ...turn, state: next }, toDriver('serve-safety', { type: 'serve-safety', replicationId })),
  );
}

/** Waits until the primary has the data of the safety point. */
export function safetyTaken(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  const { plan, served } = state;
  if (served === null) return wait(goTo(state, 'safety-served', nowMs));
  if (isSame(look.primary.follows, served) && hasTaken(turn, plan.safetyOffset))
    return wait(goTo(forgotten(state, 'prove-safety'), 'safety-proven', nowMs));
  const cause = whyNotTaking(turn, plan.safetyOffset, 'demote');
  if (cause !== null) {
    const again = noted(state, `the safety point was not taken: ${cause}; once more`);
    return wait(goTo(forgotten({ ...again, served: null }, 'serve-safety', 'demote'), 'safety-served', nowMs));
  }
  if (!isSelf(turn)) return wait(state);
  const paused = keepPaused(turn);
  return isSame(look.primary.follows, served)
    ? paused
    : both(paused, (next) => ask({ ...turn, state: next }, takeFromUs(turn)));
}

/** Waits until what was taken is known to be the safety point. */
export function safetyProven(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  if (isAnswered(state, 'prove-safety')) return wait(goTo(state, 'role-returned', nowMs));
  if (isOver(turn, state.plan.limits.proveMs))
    return wait(goTo(noted(state, 'the safety point was taken, but not compared'), 'role-returned', nowMs));
  return ask(turn, toDriver('prove-safety', { type: 'prove', what: 'safety' }));
}

/** Waits until it is primary again, with the data of before. */
export function roleReturned(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  if (isSelf(turn) && look.primary.role === 'primary') return wait(goTo(state, 'writes-released', nowMs));
  if (isSelf(turn) && !followsUs(turn)) return wait(goTo(state, 'heir-known', nowMs));
  if (!followsUs(turn)) return wait(state);
  return ask(turn, toPrimary(turn, 'return', 'REPLICAOF', 'NO', 'ONE'));
}

/** Waits until the writers go on. */
export function writesReleased(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  const { pausedAtMs, plan } = state;
  const { primary } = turn.look;
  // Another process has no pause.
  const isAnother = primary.reachable && primary.runId !== plan.runId;
  const isFree = pausedAtMs === null || isAnswered(state, 'release') || isAnother;
  // A node that does not answer ends its pause by itself.
  const isOverThere = !primary.reachable && isOver(turn, plan.limits.pauseMs);
  if (isFree || isOverThere) return wait(goTo(state, 'replicas-level', nowMs));
  return ask(turn, toPrimary(turn, 'release', 'CLIENT', 'UNPAUSE'));
}

/** A frozen primary that is back for so long goes on. */
const backMs = 500;

/**
 * The primary is lost, or another one was chosen: the Sentinels get their patience back at once, and decide. A replica that was not yet
 * given the old data holds those of before: then this is an undo.
 */
export function heirKnown(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  const restored = ask(
    turn,
    ...plan.settings
      .filter(({ kind }) => kind === 'sentinel')
      .map((setting) => settingCommand(setting, 'before', plan)),
  );
  if (hasMovedOn(turn) && look.named !== null) return superseded({ ...turn, state: restored.state }, restored);
  if (isSelf(turn) && isOver(turn, backMs)) {
    const same = forgotten(state, ...plan.settings.map((setting) => settingCommand(setting, 'before', plan).key));
    if (state.promotionAsked) return wait(goTo(noted(same, 'it came back'), 'promoted', nowMs));
    if (look.primary.role === 'primary' || followsUs(turn)) return wait(beginUndo(same, 'it was away', { nowMs }));
  }
  const isAnother = look.primary.reachable && look.primary.runId !== plan.runId;
  if (isAnother && isOver(turn, plan.limits.goneMs)) {
    const note = `${nameOf(plan.primary)} was restarted meanwhile and holds what its own disk held: compare it with the safety point`;
    return wait(goTo(noted(returned(state, note), note), 'settings-restored', nowMs));
  }
  if (!isOver(turn, plan.limits.namedMs)) return restored;
  const note = `${nameOf(plan.primary)} is gone, and nobody took its place yet`;
  return wait(goTo(noted(returned(restored.state, note), note), 'settings-restored', nowMs));
}

function superseded(turn: Turn, restored: RollbackStep): RollbackStep {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  const heir = look.named;
  const risen = look.replicas.find((node) => isSame(node, heir));
  if (heir === null || risen?.reachable !== true) return isOver(turn, plan.limits.namedMs) ? leave(turn) : restored;
  // Nobody but us made it a replica of ours, so we send it where the majority says.
  const isStray = followsUs(turn);
  const orders = isStray ? [toPrimary(turn, 'follow', 'REPLICAOF', heir.host, String(heir.port))] : [];
  const release =
    isSelf(turn) && state.pausedAtMs !== null && !isAnswered(state, 'release')
      ? [toPrimary(turn, 'release', 'CLIENT', 'UNPAUSE')]
      : [];
  if ((orders.length > 0 || release.length > 0) && !isOver(turn, plan.limits.namedMs))
    return both(restored, (next) => ask({ ...turn, state: next }, ...orders, ...release));
  // A replica that never took the old data goes on with the history that the primary had when it was planned.
  const names = [risen.replicationId, risen.previousReplicationId];
  const hasOldData = state.promotionAsked && !names.includes(plan.replicationId);
  const note = `${nameOf(heir)} became primary, with the data of ${hasOldData ? 'the moment that was asked for' : 'before'}`;
  const after = hasOldData ? { ...state, course: 'forward' as const } : returned(state, note);
  return wait(goTo(noted({ ...after, heir }, note), 'settings-restored', nowMs));
}

function leave({ state, nowMs }: Turn): RollbackStep {
  return wait(goTo(returned(state, 'the new primary does not answer'), 'settings-restored', nowMs));
}

function returned(state: RollbackState, reason: string): RollbackState {
  return { ...state, course: 'back', reason: state.reason ?? reason };
}
