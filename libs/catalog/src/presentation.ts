// How does the catalog look to people and programs outside? The JSON of the API, with the reason beside each verdict.
import { formatDurationMs } from '@switchyard/protocol';
import type { Instance, InstanceView, RouteView, ServiceView, TrafficRoute } from '@switchyard/protocol';
import { defaultServicePolicy } from '@switchyard/protocol';
import { eligibilityOf } from './eligibility.ts';
import { policyAlone } from './roles.ts';
import type { Versioned } from './setting-transitions.ts';
import type { CatalogView } from './view.ts';

/** An instance as the API shows it: no key ever vanishes. */
export function presentInstance(instance: Instance): InstanceView {
  const eligibility = eligibilityOf(instance);
  return {
    service: instance.service,
    id: instance.id,
    url: instance.url,
    weight: instance.weight,
    zone: instance.zone ?? null,
    version: instance.version ?? null,
    meta: instance.meta,
    ttl: formatDurationMs(instance.ttlMs),
    check: instance.check ?? null,
    intent: instance.intent,
    liveness: instance.liveness,
    role: instance.role,
    fencingToken: instance.fencingToken ?? null,
    since: new Date(instance.sinceMs).toISOString(),
    revision: instance.revision,
    eligible: eligibility.eligible,
    reason: eligibility.eligible ? null : eligibility.reason,
  };
}

/** A service with its policy (the default one when none was set) and its instances counted by liveness. */
export function presentService(view: CatalogView, name: string): ServiceView {
  const policy = view.policyOf(name);
  const instances = { total: 0, eligible: 0, alive: 0, suspect: 0, dead: 0 };
  let revision = policy?.revision ?? 0;
  for (const instance of view.instancesOf(name)) {
    instances.total += 1;
    instances[instance.liveness] += 1;
    if (eligibilityOf(instance).eligible) instances.eligible += 1;
    revision = Math.max(revision, instance.revision);
  }
  return { name, policy: policy ? policyAlone(policy.document) : defaultServicePolicy, revision, instances };
}

/** A route with its name and revision. */
export const presentRoute = (name: string, route: Versioned<TrafficRoute>): RouteView => ({
  name,
  revision: route.revision,
  ...route.document,
});
