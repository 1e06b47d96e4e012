// The rollback's way forward: hold the writers, seal what they wrote, hand the old data set over, make it the present.
import type { RollbackSetting, RollbackStep } from './rollback-plan.ts';
import {
  ask,
  beginUndo,
  both,
  followsUs,
  goTo,
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
  whyNotAsPlanned,
  type Turn,
} from './rollback-turn.ts';

/** A pause has to last for so much longer when the primary is told to take the data set. */
const pauseLeftMs = 2_500;
const mostReseals = 5;

/** Waits until the old data set can be fetched from us. */
export function targetServed(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  if (state.takeAsked) {
    // After a restart: the order never arrived, or everything has arrived already.
    if (isSelf(turn) && turn.look.primary.role === 'primary')
      return wait(beginUndo(state, 'the worker was restarted', { nowMs }));
    if (state.served !== null || hasTaken(turn, state.plan.targetOffset)) return wait(goTo(state, 'data-taken', nowMs));
  } else if (state.served !== null) return wait(goTo(state, 'guards-raised', nowMs));
  if (isOver(turn, state.plan.limits.serveMs))
    return wait(beginUndo(state, 'the old data set could not be served in time', { nowMs }));
  return ask(turn, toDriver('serve-target', { type: 'serve-target' }));
}

/** Waits until the Sentinels have patience and the primary's settings suit: every single one, or nothing is begun. */
export function guardsRaised(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  const { plan } = state;
  const commands = plan.settings.map((setting) => settingCommand(setting, 'meanwhile', plan));
  const left = commands.filter(({ key }) => !isAnswered(state, key));
  if (left.length === 0) return wait(goTo(state, 'writes-paused', nowMs));
  const reason = `not all settings could be made: ${left.map(({ key }) => key).join(', ')}`;
  if (isOver(turn, plan.limits.guardMs)) return wait(beginUndo(state, reason, { nowMs }));
  return ask(turn, ...commands);
}

/** Waits until the writers are held. */
export function writesPaused(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  const cause = whyNotAsPlanned(turn);
  if (cause !== null) return wait(beginUndo(state, cause, { nowMs }));
  if (state.pausedUntilMs !== null) return wait(goTo(state, 'point-sealed', nowMs));
  if (isOver(turn, state.plan.limits.guardMs))
    return wait(beginUndo(state, 'the primary did not confirm that it holds the writers', { nowMs }));
  return keepPaused(turn);
}

/** Waits until everything up to the barrier is archived, and the safety point is written down. */
export function pointSealed(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  const cause = whyNotHeld(turn) ?? whyNotAsPlanned(turn);
  if (cause !== null) return wait(beginUndo(state, cause, { nowMs }));
  const barrier = state.barrier ?? look.primary.offset;
  if (barrier === null) return wait(state);
  const marked = { ...turn, state: { ...state, barrier } };
  const key = sealKey(state.reseals);
  if (isAnswered(state, key)) return wait(goTo({ ...marked.state, sealed: true }, 'data-taken', nowMs));
  if (isOver(turn, state.plan.limits.sealMs))
    return wait(beginUndo(state, 'the archive could not take what was written last', { nowMs }));
  return both(keepPaused(marked), (next) =>
    ask({ ...marked, state: next }, toDriver(key, { type: 'seal', offset: barrier })),
  );
}

/**
 * Waits until the primary has taken the old data set. Told so only when it is the very node in the very state that was planned with, its
 * writers are held for longer, and nothing was written since the safety point: looked at now, not a step ago.
 */
export function dataTaken(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  const { plan, served } = state;
  if (!state.takeAsked) return firstTake(turn);
  if (hasTaken(turn, plan.targetOffset)) return wait(goTo({ ...state, taken: true }, 'data-proven', nowMs));
  const cause = whyNotTaking(turn, plan.targetOffset, 'demote');
  if (cause !== null) return wait(beginUndo(state, cause, { nowMs }));
  if (served === null) return wait(goTo(state, 'target-served', nowMs));
  const step = keepPaused(turn);
  if (isSame(look.primary.follows, served) || !isSelf(turn)) return step;
  // Asked for again, because it was lost, or because this process was started again and serves elsewhere now.
  if (!followsUs(turn)) {
    const moved = look.primary.offset === state.barrier ? null : 'it was written to since the safety point';
    const why = whyNotHeld(turn) ?? whyNotAsPlanned(turn) ?? moved;
    // As long as it was not sent, there is nothing to judge.
    const isUnsent = state.asked['demote'] === undefined && !state.resumed;
    if (why !== null) return wait(beginUndo({ ...state, takeAsked: !isUnsent }, why, { nowMs }));
  }
  return both(step, (next) => ask({ ...turn, state: next }, demote(turn)));
}

function firstTake(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  const cause = whyNotHeld(turn) ?? whyNotAsPlanned(turn);
  if (cause !== null) return wait(beginUndo(state, cause, { nowMs }));
  if (state.served === null || !state.sealed) return wait(beginUndo(state, 'nothing is sealed', { nowMs }));
  const { barrier, pausedUntilMs } = state;
  if (look.primary.offset !== barrier) {
    // A ping to its replicas counts as well; writers cannot have been at it, but that is not for us to tell.
    if (state.reseals >= mostReseals)
      return wait(beginUndo(state, 'the primary goes on although its writers are held', { nowMs }));
    return wait(goTo({ ...state, barrier: null, sealed: false, reseals: state.reseals + 1 }, 'point-sealed', nowMs));
  }
  if (pausedUntilMs === null || pausedUntilMs - nowMs < pauseLeftMs) return keepPaused(turn);
  // Written down before it is sent, and looked at once more in between.
  return wait({ ...state, takeAsked: true });
}

/** Waits until what was taken is known to be what was served. */
export function dataProven(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  const { limits } = state.plan;
  if (isSelf(turn) && turn.look.primary.role === 'primary')
    return wait(beginUndo(state, 'somebody else made it primary again', { nowMs }));
  if (isAnswered(state, 'prove-target') && followsUs(turn)) return wait(goTo(state, 'promoted', nowMs));
  if (isOver(turn, limits.proveMs))
    return wait(beginUndo(state, 'the data set could not be compared in time', { nowMs }));
  return both(keepPaused(turn), (next) =>
    ask({ ...turn, state: next }, toDriver('prove-target', { type: 'prove', what: 'target' })),
  );
}

/** Waits until the primary is a primary again. From here on there is only forward: the old data are there and compared. */
export function promoted(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  if (isSelf(turn) && look.primary.role === 'primary') {
    const risen = { ...state, promotionAsked: true, newReplicationId: look.primary.replicationId };
    return wait(goTo(risen, 'writes-resumed', nowMs));
  }
  if (!followsUs(turn)) return wait(state);
  return both(keepPaused(turn), (next) =>
    ask({ ...turn, state: { ...next, promotionAsked: true } }, toPrimary(turn, 'promote', 'REPLICAOF', 'NO', 'ONE')),
  );
}

/** Waits until writers go on, and one write of ours was taken. */
export function writesResumed(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  if (isAnswered(state, 'release') && isAnswered(state, 'probe')) return wait(goTo(state, 'replicas-level', nowMs));
  if (isOver(turn, state.plan.limits.probeMs))
    return wait(goTo(noted(state, 'no write could be proven after it: look at the primary'), 'replicas-level', nowMs));
  const released = ask(turn, toPrimary(turn, 'release', 'CLIENT', 'UNPAUSE'));
  if (!isAnswered(state, 'release')) return released;
  return both(released, (next) => ask({ ...turn, state: next }, toDriver('probe', { type: 'probe' })));
}

/** Waits until the replicas have the same data; they were held off until now. */
export function replicasLevel(turn: Turn): RollbackStep {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  const lineage = look.primary.replicationId;
  const behind = look.replicas.filter(
    (node) =>
      !node.reachable ||
      node.role !== 'replica' ||
      !isSame(node.follows, plan.primary) ||
      node.link !== 'up' ||
      node.replicationId !== lineage,
  );
  if (!state.takeAsked || (lineage !== null && behind.length === 0))
    return wait(goTo(state, 'settings-restored', nowMs));
  if (isOver(turn, plan.limits.replicasMs)) {
    const note = `not in step yet: ${behind.map(nameOf).join(', ')}`;
    return wait(goTo({ ...noted(state, note), behind: true }, 'settings-restored', nowMs));
  }
  if (!isSelf(turn)) return wait(state);
  return ask(turn, toPrimary(turn, 'hurry', 'CONFIG', 'SET', 'repl-diskless-sync-delay', '0'));
}

/** Waits until every setting is as it was. What cannot be put back is named, and tried again later. */
export function settingsRestored(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  const { plan, takeAsked, course } = state;
  const { due, kept } = restorable(state);
  const left = due.filter((setting) => !isAnswered(state, settingCommand(setting, 'before', plan).key));
  if (left.length > 0 && !isOver(turn, plan.limits.restoreMs))
    return ask(turn, ...due.map((setting) => settingCommand(setting, 'before', plan)));
  const taken = takeAsked ? 'undone' : 'refused';
  const outcome = course === 'forward' ? 'done' : taken;
  return wait(goTo({ ...state, left: [...left, ...kept], outcome }, 'ended', nowMs));
}

// Writers would be refused if the primary were bound to replicas that are not there.
function restorable({ plan, behind }: Turn['state']): {
  readonly due: readonly RollbackSetting[];
  readonly kept: readonly RollbackSetting[];
} {
  const binds = ({ name }: RollbackSetting): boolean => name === 'min-replicas-to-write' && behind;
  return { due: plan.settings.filter((one) => !binds(one)), kept: plan.settings.filter(binds) };
}

/** Why the writers may have written since the barrier; null when they certainly have not. */
function whyNotHeld({ state, nowMs }: Turn): string | null {
  const { pausedAtMs, pausedUntilMs, plan } = state;
  if (pausedUntilMs === null || nowMs >= pausedUntilMs) return 'the pause of the writers ran out';
  if (pausedAtMs !== null && nowMs - pausedAtMs > plan.limits.heldMs) return 'the writers were held for too long';
  return null;
}

/** It follows us and has everything that we serve. */
export function hasTaken(turn: Turn, offset: number): boolean {
  const { primary } = turn.look;
  return followsUs(turn) && (primary.offset ?? -1) >= offset && isLoaded(turn);
}

// The link is up once it is loaded; after a restart of ours nobody answers at the other end of the link any more.
function isLoaded({ state, look: { primary } }: Turn): boolean {
  return primary.link === 'up' || state.served === null || !isSame(primary.follows, state.served);
}

/** Why waiting for it is of no use any more; null while it is. */
export function whyNotTaking(turn: Turn, offset: number, key: string): string | null {
  const { state, look, nowMs } = turn;
  const { limits, primary } = state.plan;
  if (isOver(turn, limits.loadMs)) return 'the data set was not taken in time';
  const failure = look.serving?.failure ?? null;
  if (failure !== null) return `the data set could not be handed over: ${failure}`;
  const answeredAtMs = state.answered[key];
  const waitedMs = answeredAtMs === undefined ? 0 : nowMs - answeredAtMs;
  if (look.serving !== null && !look.serving.contacted && waitedMs > limits.contactMs)
    return `${nameOf(primary)} could not connect to ${state.served === null ? 'us' : nameOf(state.served)} in ${limits.contactMs} ms`;
  if (
    isSelf(turn) &&
    look.primary.role === 'primary' &&
    waitedMs > limits.retryMs &&
    (look.primary.offset ?? 0) < offset
  )
    return 'somebody else made it primary again';
  if (isSelf(turn) && look.primary.role === 'replica' && !followsUs(turn))
    return 'somebody else made it a replica of another node';
  return null;
}

function demote(turn: Turn): ReturnType<typeof toPrimary> {
  const { served } = turn.state;
  if (served === null) throw new Error('nothing is served');
  return toPrimary(turn, 'demote', 'REPLICAOF', served.host, String(served.port));
}

/** The same order, for the undo. */
export const takeFromUs = demote;

/** Sealing a moved barrier is another piece of work. */
function sealKey(reseals: number): string {
  return `seal ${reseals}`;
}
