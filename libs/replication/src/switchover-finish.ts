// The switchover's steps after the promotion: they only go forward. What does not succeed in its time is named in the notes,
// and the next step begins: Sentinel's own reconfiguration remains behind each of them.
import { addressKey, sameAddress, type Endpoint } from './address.ts';
import type { SwitchoverNode, SwitchoverState, SwitchoverStep } from './switchover-plan.ts';
import {
  ask,
  goTo,
  isAnswered,
  isOver,
  nodeOf,
  noted,
  restoreCommand,
  toNode,
  toSentinel,
  wait,
} from './switchover-turn.ts';
import type { Turn } from './switchover-turn.ts';

const heirOf = ({ heir, plan }: SwitchoverState): Endpoint => heir ?? plan.to;

/** When the next step begins although this one is not confirmed. */
const orLater = (
  turn: Turn,
  next: SwitchoverState['waitsFor'],
  or: { readonly note: string; readonly step: SwitchoverStep },
): SwitchoverStep =>
  isOver(turn, turn.state.plan.limits.forwardMs) ? wait(goTo(noted(turn.state, or.note), next, turn.nowMs)) : or.step;

/** Waits until the old primary follows the new one. It is paused meanwhile, and bounded. */
export const oldFenced = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  const from = nodeOf(look, plan.from);
  const heir = heirOf(state);
  if (from.reachable && from.role === 'replica' && sameAddress(from.follows, heir)) {
    return wait(goTo({ ...state, fencedInTime: isHeld(state, nowMs) }, 'writes-resumed', nowMs));
  }
  const step = ask(turn, toNode(plan.from, 'fence', 'REPLICAOF', heir.host, heir.port));
  // The command may be repeated as long as it takes effect: a role is seen, not believed.
  const again = isAnswered(state, 'fence') ? { ...step, state: forget(step.state, 'fence') } : step;
  const note = `${plan.from.name} was not fenced (it does not answer); Sentinel turns it into a replica when it is back`;
  return orLater(turn, 'writes-resumed', { note, step: again });
};

/** Whether the old primary could not have written until now. */
const isHeld = (state: SwitchoverState, nowMs: number): boolean => {
  const { plan, asked } = state;
  if (plan.way !== 'sentinel') return true;
  const pausedAtMs = asked['pause-again'];
  const paused = pausedAtMs !== undefined && nowMs < pausedAtMs + plan.limits.promotionPauseMs;
  return paused || (plan.bound > 0 && isAnswered(state, 'bound'));
};

const forget = (state: SwitchoverState, key: string): SwitchoverState => {
  const { [key]: _gone, ...answered } = state.answered;
  return { ...state, answered };
};

/** Waits until the pause has ended; writers that were held get an error and turn to the new primary. */
export const writesResumed = (turn: Turn): SwitchoverStep => {
  const { state, nowMs } = turn;
  const { from, way } = state.plan;
  if (way !== 'sentinel' || state.pausedAtMs === null || isAnswered(state, 'resume')) {
    return wait(goTo(state, 'clients-moved', nowMs));
  }
  const step = ask(turn, toNode(from, 'resume', 'CLIENT', 'UNPAUSE'));
  return orLater(turn, 'clients-moved', { note: `the pause of ${from.name} ends by itself`, step });
};

/** Waits until the applications' connections to the old primary are closed: they come back to the new one. */
export const clientsMoved = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { from } = state.plan;
  if (isAnswered(state, 'kill') || nodeOf(look, from).role === 'primary') {
    return wait(goTo(state, 'followers-moved', nowMs));
  }
  const step = ask(turn, { key: 'kill', at: from, to: 'node', type: 'kill-clients', words: [] });
  return orLater(turn, 'followers-moved', { note: `connections to ${from.name} may still be open`, step });
};

/** Waits until every replica in touch follows the new primary. */
export const followersMoved = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const heir = heirOf(state);
  const all = followersOf(state);
  const follows = (node: SwitchoverNode): boolean => sameAddress(node.follows, heir) && node.role === 'replica';
  const inTouch = all.map((at) => nodeOf(look, at)).filter(({ reachable }) => reachable);
  if (inTouch.every((node) => follows(node) && node.link === 'up')) return wait(goTo(state, 'named', nowMs));
  const commands = inTouch
    .filter((node) => !follows(node))
    .map((node) => toNode(node, `move ${addressKey(node)}`, 'REPLICAOF', heir.host, heir.port));
  const step = ask(turn, ...commands);
  const missing = inTouch.filter((node) => !follows(node) || node.link !== 'up').map(({ name }) => name);
  return orLater(turn, 'named', { note: `not in step with ${heir.name} yet: ${missing.join(', ')}`, step });
};

const followersOf = (state: SwitchoverState): readonly Endpoint[] => {
  const { plan } = state;
  return [plan.from, plan.to, ...plan.others].filter((at) => !sameAddress(at, heirOf(state)));
};

/** After so long without progress another Sentinel is asked to make the new primary known. */
const orphanedAfterMs = 3_000;

/** Waits until a majority of the Sentinels names the new primary at a later epoch. */
export const named = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  const heir = heirOf(state);
  if (plan.acting === null) return wait(goTo(state, 'settings-restored', nowMs));
  if (sameAddress(look.named, heir) && (look.epoch ?? -1) > (plan.epoch ?? -1)) {
    return wait(goTo({ ...state, heirEpoch: look.epoch }, 'settings-restored', nowMs));
  }
  if (isOver(turn, plan.limits.namedMs)) {
    const note = `the Sentinels do not name ${heir.name} yet`;
    return wait(goTo(noted(state, note), 'settings-restored', nowMs));
  }
  // The Sentinel that promoted it may have died before it told the others.
  const orphaned = isOver(turn, orphanedAfterMs) && !look.sentinels.some((one) => one.reachable && one.inProgress);
  const other = look.sentinels.find(
    (one) => one.reachable && sameAddress(one.picks, heir) && sameAddress(one.names, plan.from),
  );
  if (!orphaned || other === undefined) return wait(state);
  const key = `name ${addressKey(other)}`;
  const again = nowMs - (state.asked[key] ?? nowMs) >= orphanedAfterMs ? forget(state, key) : state;
  // Of a Sentinel that was told to give up at once, no promotion could come to its end.
  const patience = plan.saved
    .filter(({ name, kind }) => kind === 'sentinel' && name === 'failover-timeout')
    .map((setting) => restoreCommand(setting, plan.group));
  return ask({ ...turn, state: again }, ...patience, toSentinel(other, key, 'SENTINEL', 'FAILOVER', plan.group));
};

/** Waits until every setting is as it was. Settings of an old primary that is not fenced stay: they hold it. */
export const settingsRestored = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const { plan } = state;
  const { saved, limits, group } = plan;
  const from = nodeOf(look, plan.from);
  const held = !(from.reachable && from.role === 'replica');
  const mayRestore = saved.filter(({ at, name }) => !(held && sameAddress(at, plan.from) && name.startsWith('min-')));
  const commands = mayRestore.map((setting) => restoreCommand(setting, group));
  const left = saved.filter((setting) => !isAnswered(state, restoreCommand(setting, group).key));
  // Sentinel makes a promoted node write its settings to its file: with the priority that was meant for a moment only.
  const kept = plan.prefer && left.length === 0 ? [toNode(plan.to, 'keep', 'CONFIG', 'REWRITE')] : [];
  if (left.length === 0 && kept.every(({ key }) => isAnswered(state, key))) return wait(goTo(state, 'probed', nowMs));
  if (isOver(turn, limits.restoreMs)) {
    const told = left.map(({ at, name }) => `${name} of ${at.name}`).join(', ');
    const after = left.length === 0 ? state : noted({ ...state, left }, `not restored yet: ${told}`);
    return wait(goTo(after, 'probed', nowMs));
  }
  return ask(turn, ...commands, ...kept);
};

/** Waits for a write through the new primary, and for the replicas to have it. */
export const probed = (turn: Turn): SwitchoverStep => {
  const { state, look, nowMs } = turn;
  const heir = nodeOf(look, heirOf(state));
  const end = (from: SwitchoverState): SwitchoverStep => {
    const isTarget = sameAddress(from.heir, from.plan.to);
    const outcome = isTarget && from.reason === null ? ('switched' as const) : ('superseded' as const);
    return wait(goTo({ ...from, outcome }, 'ended', nowMs));
  };
  if (isOver(turn, state.plan.limits.forwardMs)) {
    return end(
      noted(state, isAnswered(state, 'probe') ? 'a replica lags behind the probe' : 'the probe was not answered'),
    );
  }
  if (!isAnswered(state, 'probe')) {
    return ask(turn, { key: 'probe', at: heirOf(state), to: 'node', type: 'probe', words: [] });
  }
  const probeOffset = state.probeOffset ?? heir.offset;
  if (probeOffset === null) return wait(state);
  const behind = followersOf(state)
    .map((at) => nodeOf(look, at))
    .some((node) => node.reachable && node.link === 'up' && (node.offset ?? -1) < probeOffset);
  return behind ? wait({ ...state, probeOffset }) : end({ ...state, probeOffset });
};
