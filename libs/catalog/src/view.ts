// What is in the catalog, as one reader knows it? A snapshot, then every event in order; a gap means: load again.
import { defaultServicePolicy, memberOf, splitMember } from '@switchyard/protocol';
import type { Activation, Instance, ServicePolicy, SwitchyardEvent, TrafficRoute } from '@switchyard/protocol';
import { activationOf } from './roles.ts';
import type { Versioned } from './setting-transitions.ts';

/** Everything at one revision. Plain data: it is also what a dispatcher keeps on disk. */
export interface CatalogSnapshot {
  readonly epoch: number;
  readonly revision: number;
  readonly instances: readonly Instance[];
  readonly services: Readonly<Record<string, Versioned<ServicePolicy>>>;
  readonly routes: Readonly<Record<string, Versioned<TrafficRoute>>>;
}

/** What an event changed: enough to rebuild just that part. */
export type ViewChange =
  { readonly type: 'service'; readonly service: string } | { readonly type: 'routes' } | { readonly type: 'none' };

export type ApplyOutcome =
  | { readonly type: 'applied'; readonly change: ViewChange }
  /** older than what is known: already in the view */
  | { readonly type: 'old' }
  /** an event is missing, or another epoch began: the view must be loaded again */
  | { readonly type: 'gap' };

/** The catalog as one reader knows it. Owned by one reader; `apply` changes it in place, O(1) an event. */
export interface CatalogView {
  readonly epoch: number;
  readonly revision: number;
  apply(event: SwitchyardEvent): ApplyOutcome;
  instance(service: string, id: string): Instance | undefined;
  member(member: string): Instance | undefined;
  instancesOf(service: string): Iterable<Instance>;
  /** every instance of every service */
  all(): Iterable<Instance>;
  readonly instanceCount: number;
  /** names of all services that have an instance or a policy, sorted */
  serviceNames(): string[];
  policyOf(service: string): Versioned<ServicePolicy> | undefined;
  routes(): ReadonlyMap<string, Versioned<TrafficRoute>>;
  snapshot(): CatalogSnapshot;
}

export const emptySnapshot: CatalogSnapshot = Object.freeze({
  epoch: 0,
  revision: 0,
  instances: [],
  services: {},
  routes: {},
});

/** A view that begins with `start`. */
export function createCatalogView(start: CatalogSnapshot = emptySnapshot): CatalogView {
  const { epoch } = start;
  let { revision } = start;
  const byService = new Map<string, Map<string, Instance>>();
  const policies = new Map(Object.entries(start.services));
  const routes = new Map(Object.entries(start.routes));
  let instanceCount = 0;

  const put = (instance: Instance): void => {
    let instances = byService.get(instance.service);
    if (!instances) byService.set(instance.service, (instances = new Map()));
    if (!instances.has(instance.id)) instanceCount += 1;
    instances.set(instance.id, instance);
  };
  const remove = (service: string, id: string): void => {
    const instances = byService.get(service);
    if (!instances?.delete(id)) return;
    instanceCount -= 1;
    if (instances.size === 0) byService.delete(service);
  };
  const putActivation = (service: string, activation: Activation, at: number): void => {
    const document = { ...(policies.get(service)?.document ?? defaultServicePolicy), activation };
    policies.set(service, { document, revision: at });
  };
  for (const instance of start.instances) put(instance);

  const effectOf = (event: SwitchyardEvent): ViewChange => {
    switch (event.type) {
      case 'instance.registered':
      case 'instance.updated':
      case 'instance.suspected':
      case 'instance.revived':
      case 'instance.evicted':
        put({ ...event.data.instance, revision: event.revision });
        return { type: 'service', service: event.data.instance.service };
      case 'instance.deregistered':
      case 'instance.reaped':
        remove(event.data.service, event.data.id);
        return { type: 'service', service: event.data.service };
      case 'service.updated':
        policies.set(event.data.name, {
          document: event.data.policy,
          revision: event.revision,
        });
        return { type: 'service', service: event.data.name };
      case 'service.activated': {
        for (const instance of event.data.instances) put({ ...instance, revision: event.revision });
        const { service, id, fencingToken, sinceMs, reason } = event.data;
        putActivation(service, { id, fencingToken, sinceMs, reason }, event.revision);
        return { type: 'service', service };
      }
      case 'service.vacated': {
        const { service, previous, sinceMs, reason } = event.data;
        const activation = activationOf(policies.get(service));
        if (activation?.id === previous.id) {
          putActivation(service, { ...activation, vacant: { sinceMs, reason } }, event.revision);
        }
        return { type: 'service', service };
      }
      case 'route.updated':
        routes.set(event.data.name, { document: event.data.route, revision: event.revision });
        return { type: 'routes' };
      case 'route.deleted':
        routes.delete(event.data.name);
        return { type: 'routes' };
      case 'instance.held':
      case 'catalog.reset':
      case 'redis.failover':
      case 'redis.rolled-back':
      case 'backup.finished':
        return { type: 'none' };
    }
  };

  return {
    epoch,
    get revision() {
      return revision;
    },
    apply(event) {
      if (event.epoch !== epoch) return { type: 'gap' };
      if (event.revision <= revision) return { type: 'old' };
      if (event.revision !== revision + 1) return { type: 'gap' };
      revision = event.revision;
      return { type: 'applied', change: effectOf(event) };
    },
    instance: (service, id) => byService.get(service)?.get(id),
    member(member) {
      const ref = splitMember(member);
      return ref && byService.get(ref.service)?.get(ref.id);
    },
    instancesOf: (service) => byService.get(service)?.values() ?? [],
    *all() {
      for (const instances of byService.values()) yield* instances.values();
    },
    get instanceCount() {
      return instanceCount;
    },
    serviceNames: () => [...new Set([...byService.keys(), ...policies.keys()])].sort(),
    policyOf: (service) => policies.get(service),
    routes: () => routes,
    snapshot() {
      return {
        epoch,
        revision,
        instances: [...byService.values()].flatMap((instances) => [...instances.values()]),
        services: Object.fromEntries(policies),
        routes: Object.fromEntries(routes),
      };
    },
  };
}

/** The member of the deadline set of an instance. */
export const memberOfInstance = (instance: Instance): string => memberOf(instance.service, instance.id);
