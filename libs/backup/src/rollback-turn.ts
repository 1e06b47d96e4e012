// The small moves of the rollback's machine: go on, ask once, tell whether the primary is still the one that was planned with.
import type {
  RollbackAddress,
  RollbackCommand,
  RollbackLook,
  RollbackSetting,
  RollbackState,
  RollbackStep,
  RollbackWait,
  RollbackWork,
} from './rollback-plan.ts';

/** What a step is decided from. */
export interface Turn {
  readonly state: RollbackState;
  readonly look: RollbackLook;
  readonly nowMs: number;
}

const mostNotes = 32;
const mostOurs = 16;

/** The same state, waiting for something else. */
export function goTo(state: RollbackState, waitsFor: RollbackWait, nowMs: number): RollbackState {
  return { ...state, waitsFor, sinceMs: nowMs };
}

/** Adds a line for people, once. */
export function noted(state: RollbackState, note: string): RollbackState {
  return state.notes.includes(note) || state.notes.length >= mostNotes
    ? state
    : { ...state, notes: [...state.notes, note] };
}

/** Nothing to do but wait. */
export function wait(state: RollbackState): RollbackStep {
  return { state, commands: [] };
}

/** Sends what was neither confirmed nor sent a moment ago. */
export function ask(turn: Turn, ...commands: readonly RollbackCommand[]): RollbackStep {
  const { state, nowMs } = turn;
  const due = commands.filter(({ key }) => {
    const askedAtMs = state.asked[key];
    const isDue = askedAtMs === undefined || nowMs - askedAtMs >= state.plan.limits.retryMs;
    return state.answered[key] === undefined && isDue;
  });
  if (due.length === 0) return wait(state);
  const asked = { ...state.asked, ...Object.fromEntries(due.map(({ key }) => [key, nowMs])) };
  return { state: { ...state, asked }, commands: due };
}

/** Whether it was confirmed. */
export function isAnswered(state: RollbackState, key: string): boolean {
  return state.answered[key] !== undefined;
}

/** What was asked and confirmed under these keys counts no more: it is to be asked anew. */
export function forgotten(state: RollbackState, ...keys: readonly string[]): RollbackState {
  const without = (times: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
    Object.fromEntries(Object.entries(times).filter(([key]) => !keys.includes(key)));
  return { ...state, asked: without(state.asked), answered: without(state.answered) };
}

/** Whether the present step has taken longer than this. */
export function isOver({ state, nowMs }: Turn, limitMs: number): boolean {
  return nowMs - state.sinceMs >= limitMs;
}

/** Whether two addresses are the same; null is no address. */
export function isSame(a: RollbackAddress | null, b: RollbackAddress | null): boolean {
  return a !== null && b !== null && a.host === b.host && a.port === b.port;
}

/** `host:port`. */
export function nameOf({ host, port }: RollbackAddress): string {
  return `${host}:${port}`;
}

/** An order to the primary, for the very process that was planned with. */
export function toPrimary({ state: { plan } }: Turn, key: string, ...words: readonly string[]): RollbackCommand {
  return { key, to: 'primary', at: plan.primary, words, runId: plan.runId };
}

/** Work of the driver. */
export function toDriver(key: string, work: RollbackWork): RollbackCommand {
  return { key, to: 'driver', work };
}

/** Changes one setting, or puts it back. */
export function settingCommand(
  setting: RollbackSetting,
  to: 'before' | 'meanwhile',
  { group, runId }: { readonly group: string; readonly runId: string },
): RollbackCommand {
  const { at, kind, name } = setting;
  const key = `${to === 'before' ? 'restore' : 'set'} ${nameOf(at)} ${name}`;
  if (kind === 'sentinel')
    return { key, to: 'sentinel', at, words: ['SENTINEL', 'SET', group, name, setting[to]], runId: null };
  // A restarted node may have read the changed value from its file: it gets the old one, too.
  return { key, to: 'primary', at, words: ['CONFIG', 'SET', name, setting[to]], runId: to === 'before' ? null : runId };
}

/** It answers, and is the process that was planned with. */
export function isSelf({ state: { plan }, look: { primary } }: Turn): boolean {
  return primary.reachable && primary.runId === plan.runId;
}

/** It is replica of an address of ours. */
export function followsUs(turn: Turn): boolean {
  const { primary } = turn.look;
  return isSelf(turn) && primary.role === 'replica' && turn.state.ours.some((at) => isSame(at, primary.follows));
}

/** The majority has decided for another primary since the plan was made. */
export function hasMovedOn({ state: { plan }, look }: Turn): boolean {
  return (
    plan.kind === 'sentinel' &&
    look.named !== null &&
    !isSame(look.named, plan.primary) &&
    (look.epoch ?? -1) > (plan.epoch ?? -1)
  );
}

/** Why the primary must not be told to take a data set now; null when everything is as planned. */
export function whyNotAsPlanned(turn: Turn): string | null {
  const { plan } = turn.state;
  const { primary, named, epoch } = turn.look;
  const who = nameOf(plan.primary);
  if (!primary.reachable) return `${who} does not answer`;
  if (primary.runId !== plan.runId) return `${who} was restarted since it was planned`;
  if (primary.role !== 'primary') return `${who} is not primary any more`;
  if (primary.replicationId !== plan.replicationId) return `${who} has begun another history since it was planned`;
  if (plan.kind === 'single') return null;
  if (named === null) return 'the Sentinels have no majority';
  if (!isSame(named, plan.primary)) return `the Sentinels name ${nameOf(named)} as primary`;
  if (epoch !== plan.epoch)
    return `the Sentinels are in epoch ${String(epoch)}, it was planned in ${String(plan.epoch)}`;
  return null;
}

/** Renews the pause when a third of it is over. */
export function keepPaused(turn: Turn): RollbackStep {
  const { state, nowMs } = turn;
  const { pauseMs } = state.plan.limits;
  const until = state.pausedUntilMs;
  const isFresh = until !== null && until - nowMs > (pauseMs * 2) / 3;
  if (isFresh) return wait(state);
  const again = until !== null && isAnswered(state, 'pause') ? forgotten(state, 'pause') : state;
  const step = ask({ ...turn, state: again }, toPrimary(turn, 'pause', 'CLIENT', 'PAUSE', String(pauseMs), 'WRITE'));
  return { ...step, state: { ...step.state, pausedAtMs: step.state.pausedAtMs ?? nowMs } };
}

/** Both steps' commands, from the state of the second one. */
export function both(first: RollbackStep, second: (state: RollbackState) => RollbackStep): RollbackStep {
  const step = second(first.state);
  return { state: step.state, commands: [...first.commands, ...step.commands] };
}

/** Remembers where the data set is served. */
export function servedAt(state: RollbackState, address: RollbackAddress): RollbackState {
  const others = state.ours.filter((at) => !isSame(at, address));
  return { ...state, served: address, ours: [...others, address].slice(-mostOurs) };
}

/** From now on it is taken back. */
export function beginUndo(
  state: RollbackState,
  reason: string,
  { nowMs, cancelled = false }: { readonly nowMs: number; readonly cancelled?: boolean },
): RollbackState {
  const back: RollbackState = {
    ...state,
    course: 'back',
    reason: state.reason ?? reason,
    cancelled: state.cancelled || cancelled,
    served: null,
  };
  return goTo(
    forgotten(back, 'release', 'demote', 'stop', 'probe'),
    state.takeAsked ? 'data-judged' : 'writes-released',
    nowMs,
  );
}
