// When is a second instance asked too, because the first one takes long (J. Dean, L. Barroso: The Tail at Scale, 2013)? Only where
// the policy of the service says so, and within the retry budget.
import type { HedgeRule } from '../engine.ts';
import type { InstanceMeter } from '../meter.ts';

/** With fewer answers a quantile says nothing. */
const KNOWN_FROM = 20;

/** Ms until the second instance is asked; undefined while too little is known about the first one. */
export function hedgeDelayMs({ afterMs, quantile }: HedgeRule, { recent }: InstanceMeter): number | undefined {
  if (afterMs !== undefined) return afterMs;
  return quantile === undefined || recent.count < KNOWN_FROM ? undefined : Math.max(1, recent.quantileMs(quantile));
}
