// How far can this monitor trust its own eyes? A score from 0 (healthy) to 8: late sweeps, a slow Redis and probes that mostly time
// out raise it, quiet times lower it, and every wait grows with it (Lifeguard's local health multiplier, arXiv 1707.00788).

/** Each step of the score makes waits and time-outs longer by their own length. */
const WORST = 8;
/** A sweep is one short script: a Redis that takes longer is busy, or far. */
const SLOW_ROUND_TRIP_MS = 100;
/** So long without a reason to doubt oneself takes one point off. */
const QUIET_MS = 1_000;
/** Probes are judged together: so many of them, or as many as came within this time. */
const FEWEST_PROBES = 3;
const PROBES_WINDOW_MS = 1_000;

export interface LocalHealth {
  /** 0 (healthy) to 8 */
  readonly score: number;
  /** since when nothing spoke against this monitor */
  readonly quietFromMs: number;
  readonly probes: { readonly fromMs: number; readonly ended: number; readonly timedOut: number };
}

/** What one sweep says about the monitor itself. */
export interface SelfSeen {
  readonly nowMs: number;
  /** the sweep came late */
  readonly late: boolean;
  readonly roundTripMs: number;
  readonly probesEnded: number;
  readonly probesTimedOut: number;
}

export const initialLocalHealth: LocalHealth = Object.freeze({
  score: 0,
  quietFromMs: -Infinity,
  probes: { fromMs: -Infinity, ended: 0, timedOut: 0 },
});

/** The score after one more sweep: up by one for each reason, down by one for each quiet second. */
export function healthAfter(health: LocalHealth, seen: SelfSeen): LocalHealth {
  const { nowMs } = seen;
  // a clock that stepped back begins anew
  const isWindowOver = nowMs - health.probes.fromMs >= PROBES_WINDOW_MS || nowMs < health.probes.fromMs;
  const before = isWindowOver ? { fromMs: nowMs, ended: 0, timedOut: 0 } : health.probes;
  const probes = {
    fromMs: before.fromMs,
    ended: before.ended + seen.probesEnded,
    timedOut: before.timedOut + seen.probesTimedOut,
  };
  const mostTimeOut = probes.ended >= FEWEST_PROBES && probes.timedOut * 2 > probes.ended;
  const reasons = [seen.late, seen.roundTripMs > SLOW_ROUND_TRIP_MS, mostTimeOut].filter(Boolean).length;
  const counted = mostTimeOut ? { fromMs: nowMs, ended: 0, timedOut: 0 } : probes;
  if (reasons > 0) return { score: Math.min(WORST, health.score + reasons), quietFromMs: nowMs, probes: counted };
  const quietFromMs = nowMs < health.quietFromMs ? nowMs : health.quietFromMs;
  if (nowMs - quietFromMs < QUIET_MS || health.score === 0) return { score: health.score, quietFromMs, probes };
  return { score: health.score - 1, quietFromMs: nowMs, probes };
}
