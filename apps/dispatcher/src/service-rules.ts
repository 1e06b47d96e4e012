// What does a service's policy mean for the data plane?
import type { ServicePolicy } from '@switchyard/protocol';
import { defaultServiceRules, type ServiceRules } from '@switchyard/proxy';

/** The rules of a service. */
export function rulesOf(policy: ServicePolicy): ServiceRules {
  return Object.freeze({ ...defaultServiceRules, attempts: policy.retry.attempts });
}
