// When is the record of a dead instance removed? Long enough after its eviction for people to ask why.
import { parseDurationMs } from '@switchyard/protocol';
import type { Instance, ServicePolicy } from '@switchyard/protocol';

/** True when `instance` has been dead for the service's `reapAfter`. `nowMs` is Redis's clock, as its `sinceMs` is. */
export function isReapable(instance: Instance, policy: ServicePolicy, nowMs: number): boolean {
  return instance.liveness === 'dead' && nowMs - instance.sinceMs >= (parseDurationMs(policy.reapAfter) ?? 60_000);
}
