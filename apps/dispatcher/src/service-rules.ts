// What does a service's policy mean for the data plane, for the outlier detector, and for newcomers? Durations become ms once.
import type { SlowStart } from '@switchyard/balancing';
import { defaultEjectionSettings, type EjectionSettings } from '@switchyard/failure-detection';
import { parseDurationMs, type ServicePolicy } from '@switchyard/protocol';
import { defaultServiceRules, type HedgeRule, type ServiceRules } from '@switchyard/proxy';

/** The rules of a service. Frozen. */
export function rulesOf({ retry, limits }: ServicePolicy): ServiceRules {
  return Object.freeze({
    attempts: retry.attempts,
    inFlightPerInstance: limits.inFlightPerInstance,
    queued: limits.queue,
    queuedMs: parseDurationMs(limits.queueTimeout) ?? defaultServiceRules.queuedMs,
    hedge: hedgeOf(retry.hedge),
  });
}

// A hedge that a later version wrote may be of neither kind: none, then.
function hedgeOf(hedge: ServicePolicy['retry']['hedge']): HedgeRule | undefined {
  const afterMs = hedge?.after === undefined ? undefined : parseDurationMs(hedge.after);
  if (afterMs !== undefined) return Object.freeze({ afterMs });
  return hedge?.quantile === undefined ? undefined : Object.freeze({ quantile: hedge.quantile });
}

/** When an instance is left out for failures; undefined when the service wants none left out. */
export function ejectionSettingsOf({ outlier }: ServicePolicy): EjectionSettings | undefined {
  if (!outlier.enabled) return undefined;
  const firstMs = parseDurationMs(outlier.baseEjectionTime) ?? defaultEjectionSettings.firstMs;
  return Object.freeze({
    ...defaultEjectionSettings,
    failures: outlier.consecutiveFailures,
    connectFailures: outlier.consecutiveConnectFailures,
    firstMs,
    // a stored policy of a later version may have them the wrong way round
    longestMs: Math.max(firstMs, parseDurationMs(outlier.maxEjectionTime) ?? defaultEjectionSettings.longestMs),
    mostPercent: outlier.maxEjectedPercent,
  });
}

/** How newcomers begin; undefined when they begin with their whole weight. */
export function slowStartOf({ slowStart, slowStartMinPercent }: ServicePolicy): SlowStart | undefined {
  const windowMs = parseDurationMs(slowStart) ?? 0;
  return windowMs > 0 ? Object.freeze({ windowMs, minPercent: slowStartMinPercent }) : undefined;
}
