// How much of its weight does an instance get that has just come? A linear ramp (Envoy's slow start with aggression 1), so that
// cold caches and a cold JIT do not meet a full share. In twentieths: pickers are made anew at most twenty times for one newcomer,
// and the cycle of smooth weighted round robin stays short.

export interface SlowStart {
  /** Until the full weight. */
  readonly windowMs: number;
  /** The first share, in percent of the weight. */
  readonly minPercent: number;
}

export const defaultSlowStart: SlowStart = Object.freeze({ windowMs: 10_000, minPercent: 10 });

/** A weight for the moment. */
export interface WarmWeight {
  readonly weight: number;
  /** When it changes next, on the clock of `nowMs`; Infinity when it is the full weight. */
  readonly nextChangeMs: number;
}

const mostSteps = 20;
/** Steps come no faster than this: the ramp of a window shorter than a second is coarser. */
const shortestStepMs = 50;

/**
 * The weight at `nowMs` of an instance that registered, or came back, at `sinceMs` on the same clock. With a window of a second or
 * more it is never more than 2.5 % of the full weight away from the straight line; an instance from the future has just come.
 */
export function warmWeight(
  weight: number,
  { sinceMs, nowMs }: { readonly sinceMs: number; readonly nowMs: number },
  { windowMs, minPercent }: SlowStart = defaultSlowStart,
): WarmWeight {
  const elapsedMs = Math.max(0, nowMs - sinceMs);
  if (elapsedMs >= windowMs) return { weight, nextChangeMs: Infinity };
  const steps = Math.max(1, Math.min(mostSteps, Math.floor(windowMs / shortestStepMs)));
  const step = Math.floor((elapsedMs / windowMs) * steps + 0.5);
  if (step >= steps) return { weight, nextChangeMs: Infinity };
  const percent = Math.max(minPercent, (step * 100) / steps);
  return { weight: (weight * percent) / 100, nextChangeMs: nowMs - elapsedMs + ((step + 0.5) * windowMs) / steps };
}
