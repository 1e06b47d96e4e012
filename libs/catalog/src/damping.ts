// Does an instance die and come back too often? A penalty that grows with each return and halves with time (BGP's route flap
// damping, RFC 2439): who is beyond the limit gets no new traffic, while another one is left, until it has been quiet for long enough.
import type { StoredInstance } from '@switchyard/protocol';

/** Three returns within half a minute are no accident, and ten a minute stay far above. */
const SUPPRESS_FROM = 3;
/** Well below the limit, so that one more return does not suppress again at once. */
const REUSE_BELOW = 1;
/** A restart takes seconds; half of what it counted is forgotten after this. */
const HALF_LIFE_MS = 30_000;
/** Nobody is left out for longer after his last return, however often he had flapped. */
export const LONGEST_DAMPING_MS = 300_000;

export type Flaps = Pick<StoredInstance, 'flaps' | 'dampedUntilMs'>;

/** The penalty now. A clock that stepped back lets nothing decay. */
function penaltyAt(flaps: StoredInstance['flaps'], nowMs: number): number {
  if (!flaps) return 0;
  return flaps.penalty * 2 ** (-Math.max(0, nowMs - flaps.atMs) / HALF_LIFE_MS);
}

/** What an instance carries on from its record. */
export const flapsOf = ({ flaps, dampedUntilMs }: Flaps): Flaps => ({
  ...(flaps === undefined ? {} : { flaps }),
  ...(dampedUntilMs === undefined ? {} : { dampedUntilMs }),
});

/** It came back once more: after having been evicted, or suspected. */
export function flapsAfterReturn(before: Flaps, nowMs: number): Flaps {
  const penalty = Math.round((penaltyAt(before.flaps, nowMs) + 1) * 1_000) / 1_000;
  const flaps = { penalty, atMs: nowMs };
  if (penalty < SUPPRESS_FROM && before.dampedUntilMs === undefined) return { flaps };
  const quietMs = Math.min(LONGEST_DAMPING_MS, Math.ceil(HALF_LIFE_MS * Math.log2(penalty / REUSE_BELOW)));
  return {
    flaps,
    dampedUntilMs: Math.max(nowMs + quietMs, Math.min(before.dampedUntilMs ?? 0, nowMs + LONGEST_DAMPING_MS)),
  };
}

/** True when the damping is over. One that lies further ahead than any can was set by a clock that has stepped back. */
export const isSettled = (instance: Flaps, nowMs: number): boolean =>
  instance.dampedUntilMs !== undefined &&
  (nowMs >= instance.dampedUntilMs || instance.dampedUntilMs > nowMs + LONGEST_DAMPING_MS);
