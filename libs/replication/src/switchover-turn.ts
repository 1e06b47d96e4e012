// The small moves of the switchover's machine: go on, ask once, look somebody up.
import { addressKey, sameAddress, type Address, type Endpoint } from './address.ts';
import type {
  SavedSetting,
  SwitchoverCommand,
  SwitchoverLook,
  SwitchoverNode,
  SwitchoverPlan,
  SwitchoverSentinel,
  SwitchoverState,
  SwitchoverStep,
  SwitchoverWait,
} from './switchover-plan.ts';

/** What a step is decided from. */
export interface Turn {
  readonly state: SwitchoverState;
  readonly look: SwitchoverLook;
  readonly nowMs: number;
}

const mostNotes = 32;

/** The same state, waiting for something else. */
export const goTo = (state: SwitchoverState, waitsFor: SwitchoverWait, nowMs: number): SwitchoverState => ({
  ...state,
  waitsFor,
  sinceMs: nowMs,
});

/** Adds a line for people, once. */
export const noted = (state: SwitchoverState, note: string): SwitchoverState =>
  state.notes.includes(note) || state.notes.length >= mostNotes ? state : { ...state, notes: [...state.notes, note] };

/** Nothing to do but wait. */
export const wait = (state: SwitchoverState): SwitchoverStep => ({ state, commands: [] });

/** Sends what was neither confirmed nor sent a moment ago. */
export const ask = (turn: Turn, ...commands: readonly SwitchoverCommand[]): SwitchoverStep => {
  const { state, nowMs } = turn;
  const due = commands.filter(({ key }) => {
    const askedAtMs = state.asked[key];
    return (
      state.answered[key] === undefined && (askedAtMs === undefined || nowMs - askedAtMs >= state.plan.limits.retryMs)
    );
  });
  if (due.length === 0) return wait(state);
  const asked = { ...state.asked, ...Object.fromEntries(due.map(({ key }) => [key, nowMs])) };
  return { state: { ...state, asked }, commands: due };
};

/** Whether it was confirmed. */
export const isAnswered = (state: SwitchoverState, key: string): boolean => state.answered[key] !== undefined;

/** Whether the present step has taken longer than this. */
export const isOver = ({ state, nowMs }: Turn, limitMs: number): boolean => nowMs - state.sinceMs >= limitMs;

/** A command to a node in words of Redis. */
export const toNode = (at: Endpoint, key: string, ...words: readonly (string | number)[]): SwitchoverCommand => ({
  key,
  at,
  to: 'node',
  type: 'redis',
  words: words.map(String),
});

/** A command to a Sentinel. */
export const toSentinel = (at: Endpoint, key: string, ...words: readonly (string | number)[]): SwitchoverCommand => ({
  ...toNode(at, key, ...words),
  to: 'sentinel',
});

/** Puts one setting back. */
export const restoreCommand = (setting: SavedSetting, group: string): SwitchoverCommand => {
  const { at, kind, name, value } = setting;
  const key = `restore ${addressKey(at)} ${name}`;
  if (kind === 'config') return toNode(at, key, 'CONFIG', 'SET', name, value);
  return kind === 'sentinel'
    ? toSentinel(at, key, 'SENTINEL', 'SET', group, name, value)
    : toSentinel(at, key, 'SENTINEL', 'DEBUG', name, value);
};

/** The node at this address; one that was never seen is unreachable. */
export const nodeOf = (look: SwitchoverLook, at: Endpoint): SwitchoverNode =>
  look.nodes.find((node) => sameAddress(node, at)) ?? {
    ...at,
    reachable: false,
    role: null,
    offset: null,
    lineage: null,
    previousLineage: null,
    follows: null,
    link: null,
  };

/** The Sentinel that acts; null when it does not answer now. */
export const actingOf = ({ plan }: SwitchoverState, look: SwitchoverLook): SwitchoverSentinel | null =>
  look.sentinels.find((one) => sameAddress(one, plan.acting) && one.reachable) ?? null;

/** Another node than the old primary that calls itself primary; the target first. */
export const risenOf = ({ plan }: SwitchoverState, look: SwitchoverLook): SwitchoverNode | null =>
  [plan.to, ...plan.others].map((at) => nodeOf(look, at)).find((node) => node.reachable && node.role === 'primary') ??
  null;

/** Whether the majority has decided for another primary since the plan was made. */
export const hasMovedOn = ({ plan }: SwitchoverState, look: SwitchoverLook): boolean =>
  look.named !== null && !sameAddress(look.named, plan.from) && (look.epoch ?? -1) > (plan.epoch ?? -1);

/** The endpoint of the plan at this address. */
export const endpointIn = (plan: SwitchoverPlan, at: Address): Endpoint | null =>
  [plan.from, plan.to, ...plan.others].find((one) => sameAddress(one, at)) ?? null;
