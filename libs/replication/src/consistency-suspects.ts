// Is a key really different on a replica, or was it only written between two looks? Judged from readings of both sides.
//
// A reading is: the primary, then the replica once it has everything that the primary had written by then, then the primary
// again. Equal to either look at the primary: the same. The primary changed in between: ask again. Only a key that stood still on
// the primary and was different on the replica in several readings, some time apart, is different. Equal offsets prove nothing:
// a replica that somebody wrote to has them, too (the method is that of RedisFullCheck, with the offset added).

/** One side of a key: its hash, or null when it is not there, and when it expires. */
export interface KeyState {
  readonly hash: string | null;
  readonly expiresAtMs: number | null;
}

/** A key on both sides. Times are those of the node's own clock. */
export interface KeyReading {
  readonly before: KeyState;
  readonly replica: KeyState;
  readonly after: KeyState;
  readonly primaryNowMs: number;
  readonly replicaNowMs: number;
  /** The replica had passed the offset that the primary had after `before` was read. */
  readonly caughtUp: boolean;
}

/** What is known about a key so far. */
export interface Suspicion {
  /** Readings in a row in which the primary's hash was `hash` and the replica's was another. */
  readonly times: number;
  readonly hash: string | null;
}

/** `same` and `different` are final; `unsure`: read it again. */
export type Judgement =
  | { readonly verdict: 'same' }
  | { readonly verdict: 'different' }
  | { readonly verdict: 'unsure'; readonly suspicion: Suspicion };

/** Before the first reading. */
export const noSuspicion: Suspicion = Object.freeze({ times: 0, hash: null });

/** So many readings in a row have to say so. A key that flips between two values is taken for another one by chance in one. */
const timesToBeSure = 3;
/** A key that expires within this time, or just has, may be gone on one side and not yet on the other: clocks differ. */
const expiryMarginMs = 2_000;

/** Judges a key by one more reading. */
export const judgeKey = (suspicion: Suspicion, reading: KeyReading): Judgement => {
  const { before, replica, after, caughtUp } = reading;
  if (replica.hash === before.hash || replica.hash === after.hash) return { verdict: 'same' };
  if (isExpiring(reading)) return { verdict: 'same' };
  if (before.hash !== after.hash || !caughtUp) return { verdict: 'unsure', suspicion: noSuspicion };
  const times = suspicion.times > 0 && suspicion.hash !== before.hash ? 1 : suspicion.times + 1;
  return times >= timesToBeSure
    ? { verdict: 'different' }
    : { verdict: 'unsure', suspicion: { times, hash: before.hash } };
};

/** Only one side has it, and that one is about to lose it, too. */
const isExpiring = ({ after, replica, primaryNowMs, replicaNowMs }: KeyReading): boolean => {
  const soon = (one: KeyState, nowMs: number): boolean =>
    one.expiresAtMs !== null && one.expiresAtMs - nowMs < expiryMarginMs;
  if (after.hash === null) return soon(replica, replicaNowMs);
  return replica.hash === null && soon(after, primaryNowMs);
};

/** How a key differs. */
export type DifferenceKind = 'missing' | 'extra' | 'type' | 'value' | 'ttl';

/** Both sides of a key that differs; `content` is the hash without the expiry. */
export interface KeySide {
  readonly type: string;
  readonly content: string | null;
}

/** Names the difference; null when there is none any more. `missing`: the replica has not what the primary has. */
export const differenceKind = (primary: KeySide | null, replica: KeySide | null): DifferenceKind | null => {
  if (primary === null) return replica === null ? null : 'extra';
  if (replica === null) return 'missing';
  if (primary.type !== replica.type) return 'type';
  return primary.content === replica.content ? 'ttl' : 'value';
};
