// May clients go to a replica before the Sentinels name it? Yes, once the elected leader has selected it and it says itself that it
// is primary: the leader finds that out by an INFO once a second, and everybody else after it (sentinel.c, about 0.9 s measured).
//
//   elected -> selected -> (its ROLE says primary) announced -> confirmed: +switch-master or the majority names it
//                                                            -> retracted: aborted, another was selected or named, or it says replica
import { addressKey, sameAddress, type Address } from './address.ts';
import type { SentinelEvent } from './sentinel-parser.ts';

/** A promotion that is known before the Sentinels name it. */
export interface Announcement {
  readonly primary: Address;
  /** The primary that it takes over from. */
  readonly from: Address | null;
  /** Config epoch that the Sentinels give it once they name it; null when nobody was heard saying so. */
  readonly epoch: number | null;
  /** The Sentinel that leads the failover. */
  readonly by: string;
}

/** What is to be told to those who follow the primary. */
export type PromotionNews =
  | ({ readonly type: 'announced' | 'confirmed' } & Announcement)
  | ({ readonly type: 'retracted'; readonly why: string } & Announcement)
  /** A Sentinel names this one without an announcement before: ask the majority. */
  | { readonly type: 'named'; readonly primary: Address };

/** What is heard. Messages are to come in the order in which their Sentinel said them. */
export type PromotionInput =
  | { readonly type: 'event'; readonly sentinel: string; readonly event: SentinelEvent }
  /** The subscription at this Sentinel was lost: messages may have been missed. */
  | { readonly type: 'deaf'; readonly sentinel: string }
  /** A node's answer to ROLE. */
  | { readonly type: 'role'; readonly at: Address; readonly isPrimary: boolean }
  /** Whom a majority of the Sentinels names, and the latest epoch that all of that majority have reached. */
  | { readonly type: 'majority'; readonly primary: Address; readonly epoch: number | null }
  /** Time has passed. */
  | { readonly type: 'tick' };

interface Attempt {
  readonly atMs: number;
  readonly epoch: number | null;
  readonly from: Address | null;
  readonly elected: boolean;
  readonly selected: Address | null;
}

interface Announced extends Announcement {
  readonly atMs: number;
  /** Since when the old primary answers the Sentinels again. */
  readonly backAtMs: number | null;
  /** The leader's connection was lost: it may have died before it could tell the others. */
  readonly isLeaderLost: boolean;
}

/** Everything that is remembered; bounded by the number of Sentinels. */
export interface PromotionState {
  readonly group: string;
  /** The latest epoch that each Sentinel has spoken of. */
  readonly epochs: Readonly<Record<string, number>>;
  /** The failover that each Sentinel leads. */
  readonly attempts: Readonly<Record<string, Attempt>>;
  readonly announced: Announced | null;
  /** Latest epoch that was confirmed; what is older is not announced. */
  readonly epoch: number | null;
}

/** The new state, and what to tell, in this order. */
export interface PromotionStep {
  readonly state: PromotionState;
  readonly news: readonly PromotionNews[];
}

/** A selected replica that is no primary after so long will not become one by this attempt. */
export const selectionPatienceMs = 60_000;
/** An old primary that is back for so long while nobody confirms the new one will stay: the leader has gone. */
export const backPatienceMs = 5_000;
const mostSentinels = 16;

/** Nothing heard yet. */
export const promotionState = (group: string): PromotionState => ({
  group,
  epochs: {},
  attempts: {},
  announced: null,
  epoch: null,
});

/**
 * Whose ROLE is to be asked now, every 20 ms or so: the selected ones, and the announced one until it is confirmed; the old primary,
 * too, when the leader may have died.
 */
export const askedForRole = (state: PromotionState, nowMs: number): readonly Address[] => {
  const asked = new Map<string, Address>();
  const { announced } = state;
  if (announced !== null) asked.set(addressKey(announced.primary), announced.primary);
  if (announced?.isLeaderLost === true && announced.from !== null)
    asked.set(addressKey(announced.from), announced.from);
  for (const { selected, atMs } of Object.values(state.attempts)) {
    if (selected !== null && nowMs - atMs < selectionPatienceMs) asked.set(addressKey(selected), selected);
  }
  return [...asked.values()];
};

/** Takes one thing that was heard. The same state and input give the same step. */
export const stepPromotion = (state: PromotionState, input: PromotionInput, nowMs: number): PromotionStep => {
  switch (input.type) {
    case 'event':
      return hear(state, input, nowMs);
    case 'deaf':
      return interrupted(state, input.sentinel);
    case 'role':
      return answered(state, input, nowMs);
    case 'majority':
      return named(state, input);
    case 'tick':
      return waited(state, nowMs);
  }
};

const hear = (
  state: PromotionState,
  { sentinel, event }: { readonly sentinel: string; readonly event: SentinelEvent },
  nowMs: number,
): PromotionStep => {
  if (event.type === '+new-epoch' || event.type === '+vote-for-leader') return spoken(state, sentinel, event.epoch);
  if (event.group !== state.group) return { state, news: [] };
  if (event.type === '+switch-master') return switched(state, event);
  if (event.type.startsWith('-failover-abort')) return aborted(state, sentinel, event);
  const mine = state.attempts[sentinel];
  const epoch = state.epochs[sentinel] ?? null;
  const begun = { atMs: nowMs, epoch, from: event.primary, elected: false, selected: null };
  if (event.type === '+try-failover') return keep(state, sentinel, begun);
  if (event.type === '+elected-leader') return keep(state, sentinel, { ...(mine ?? begun), epoch, elected: true });
  if (event.type === '+selected-replica') return selected(state, sentinel, { event, nowMs });
  if (event.type === '-sdown' || event.type === '-odown') return isBack(state, event, nowMs);
  return { state, news: [] };
};

const spoken = (state: PromotionState, sentinel: string, epoch: number | null): PromotionStep => {
  const isKnown = sentinel in state.epochs || Object.keys(state.epochs).length < mostSentinels;
  if (epoch === null || !isKnown) return { state, news: [] };
  return { state: { ...state, epochs: { ...state.epochs, [sentinel]: epoch } }, news: [] };
};

const keep = (state: PromotionState, sentinel: string, attempt: Attempt): PromotionStep => {
  const isKnown = sentinel in state.attempts || Object.keys(state.attempts).length < mostSentinels;
  return { state: isKnown ? { ...state, attempts: { ...state.attempts, [sentinel]: attempt } } : state, news: [] };
};

const selected = (
  state: PromotionState,
  sentinel: string,
  { event, nowMs }: { readonly event: SentinelEvent; readonly nowMs: number },
): PromotionStep => {
  const attempt = state.attempts[sentinel];
  if (event.subject === null || attempt?.elected !== true) return { state, news: [] };
  // Of an epoch that has passed nothing is believed any more, what it selected before included.
  if (isOld(state, attempt.epoch)) return keep(state, sentinel, { ...attempt, selected: null });
  const replica = { host: event.subject.host, port: event.subject.port };
  const next = keep(state, sentinel, { ...attempt, selected: replica, atMs: nowMs }).state;
  const { announced } = state;
  if (announced === null || sameAddress(announced.primary, replica) || announced.by === sentinel) {
    // the same leader begins anew only after an abort, which retracts
    return { state: next, news: [] };
  }
  return retract(next, `Sentinel ${sentinel} has selected ${addressKey(replica)} in a later failover`);
};

/** Later epochs alone are followed; who did not say one is believed. */
const isOld = (state: PromotionState, epoch: number | null): boolean => {
  const latest = Math.max(state.epoch ?? -1, state.announced?.epoch ?? -1);
  return epoch !== null && epoch < latest;
};

/** An abort could have been missed. What is announced is watched by ROLE and by the others' words from now on. */
const interrupted = (state: PromotionState, sentinel: string): PromotionStep => {
  const { announced } = state;
  const isLeaderLost = announced?.by === sentinel;
  return {
    state: {
      ...state,
      attempts: without(state.attempts, sentinel),
      announced: announced !== null && isLeaderLost ? { ...announced, isLeaderLost } : announced,
    },
    news: [],
  };
};

const answered = (
  state: PromotionState,
  { at, isPrimary }: { readonly at: Address; readonly isPrimary: boolean },
  nowMs: number,
): PromotionStep => {
  const { announced } = state;
  if (!isPrimary) {
    if (announced === null || !sameAddress(announced.primary, at)) return { state, news: [] };
    return retract(state, `${addressKey(at)} says that it is a replica`);
  }
  if (announced?.isLeaderLost === true && sameAddress(announced.from, at)) {
    // The others will make the promoted one a replica again: what it was given until then would be lost.
    return retract(
      state,
      `Sentinel ${announced.by}, which led the failover, is gone, and ${addressKey(at)} still serves`,
    );
  }
  const found = Object.entries(state.attempts).find(([, attempt]) => sameAddress(attempt.selected, at));
  if (found === undefined) return { state, news: [] };
  const [by, { epoch, from }] = found;
  const isNews = announced === null || !sameAddress(announced.primary, at) || (epoch ?? -1) > (announced.epoch ?? -1);
  if (!isNews || isOld(state, epoch)) return { state, news: [] };
  const announcement: Announcement = { primary: { host: at.host, port: at.port }, from, epoch, by };
  const replaced = announced !== null && !sameAddress(announced.primary, at);
  const before = replaced ? retract(state, `${addressKey(at)} was promoted after it`) : { state, news: [] };
  return {
    state: { ...before.state, announced: { ...announcement, atMs: nowMs, backAtMs: null, isLeaderLost: false } },
    news: [...before.news, { type: 'announced', ...announcement }],
  };
};

const switched = (state: PromotionState, event: SentinelEvent): PromotionStep => {
  const { to, primary: from } = event;
  const { announced } = state;
  if (to === null) return { state, news: [] };
  if (announced !== null) {
    if (sameAddress(to, announced.primary)) return confirm(state);
    // A Sentinel that was away tells of the failover before.
    if (sameAddress(to, announced.from) && !sameAddress(from, announced.primary)) return { state, news: [] };
    const { state: next, news } = retract(state, `a Sentinel names ${addressKey(to)}`);
    return { state: ended(next, from), news: [...news, { type: 'named', primary: to }] };
  }
  return { state: ended(state, from), news: [{ type: 'named', primary: to }] };
};

const named = (
  state: PromotionState,
  { primary, epoch }: { readonly primary: Address; readonly epoch: number | null },
): PromotionStep => {
  const { announced } = state;
  const latest = epoch ?? state.epoch;
  if (announced === null) return { state: { ...state, epoch: latest }, news: [] };
  if (sameAddress(primary, announced.primary)) return confirm(state);
  // The old one is still named while the leader has yet to tell, even at the new epoch: one epoch has one winner.
  const isOther = !sameAddress(announced.from, primary);
  const isLater = epoch === null || announced.epoch === null ? isOther : epoch > announced.epoch;
  if (!isLater && !(isOther && epoch === announced.epoch)) return { state, news: [] };
  const { state: next, news } = retract(state, `the majority of the Sentinels names ${addressKey(primary)}`);
  return { state: { ...next, epoch: latest }, news: [...news, { type: 'named', primary }] };
};

const aborted = (state: PromotionState, sentinel: string, event: SentinelEvent): PromotionStep => {
  const next = { ...state, attempts: without(state.attempts, sentinel) };
  return state.announced?.by === sentinel
    ? retract(next, `Sentinel ${sentinel} has given the failover up: ${event.text}`)
    : { state: next, news: [] };
};

/** The old primary answers again. That ends no failover whose leader lives: it will be confirmed in a moment. */
const isBack = (state: PromotionState, event: SentinelEvent, nowMs: number): PromotionStep => {
  const { announced } = state;
  const isIt = event.subject?.kind === 'primary' && announced !== null && sameAddress(event.subject, announced.from);
  if (!isIt || announced.backAtMs !== null) return { state, news: [] };
  return { state: { ...state, announced: { ...announced, backAtMs: nowMs } }, news: [] };
};

const waited = (state: PromotionState, nowMs: number): PromotionStep => {
  const { announced } = state;
  if (announced === null || announced.backAtMs === null) return { state, news: [] };
  if (nowMs - Math.max(announced.backAtMs, announced.atMs) < backPatienceMs) return { state, news: [] };
  return retract(state, 'the old primary is back and nobody confirms the new one');
};

const confirm = (state: PromotionState): PromotionStep => {
  const { announced } = state;
  if (announced === null) return { state, news: [] };
  const epoch = announced.epoch === null ? state.epoch : Math.max(announced.epoch, state.epoch ?? -1);
  return {
    state: { ...ended(state, announced.from), announced: null, epoch },
    news: [{ type: 'confirmed', ...announcementOf(announced) }],
  };
};

const retract = (state: PromotionState, why: string): PromotionStep => {
  const { announced } = state;
  if (announced === null) return { state, news: [] };
  // Its leader may select it once more, but not by what it said before.
  const attempts = Object.entries(state.attempts).filter(
    ([, { selected: replica }]) => !sameAddress(replica, announced.primary),
  );
  return {
    state: { ...state, attempts: Object.fromEntries(attempts), announced: null },
    news: [{ type: 'retracted', why, ...announcementOf(announced) }],
  };
};

const announcementOf = ({ primary, from, epoch, by }: Announcement): Announcement => ({ primary, from, epoch, by });

/** Failovers from this primary are over. */
const ended = (state: PromotionState, from: Address | null): PromotionState => ({
  ...state,
  attempts: Object.fromEntries(Object.entries(state.attempts).filter(([, one]) => !sameAddress(one.from, from))),
});

const without = (attempts: PromotionState['attempts'], sentinel: string): PromotionState['attempts'] =>
  Object.fromEntries(Object.entries(attempts).filter(([one]) => one !== sentinel));
