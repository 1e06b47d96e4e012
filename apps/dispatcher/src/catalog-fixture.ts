// What do the tests of the dispatcher start from? Instances and snapshots with everything filled in. Used by tests only.
import { createCatalogView, emptySnapshot, type CatalogSnapshot, type CatalogView } from '@switchyard/catalog';
import {
  servicePolicySchema,
  storedInstanceSchema,
  trafficRouteSchema,
  type Instance,
  type SwitchyardEvent,
} from '@switchyard/protocol';
import type { CatalogFeed, FeedNews } from '@switchyard/redis';

/** An instance of "shop" that is alive and in service. */
export function instanceOf(id: string, more: Partial<Instance> = {}): Instance {
  const stored = storedInstanceSchema.parse({
    service: 'shop',
    id,
    url: `http://127.0.0.1:${1_000 + (id.codePointAt(0) ?? 0)}`,
    weight: 1,
    declaredWeight: 1,
    meta: {},
    ttlMs: 3_000,
    role: 'member',
    intent: 'in-service',
    liveness: 'alive',
    sinceMs: 0,
    incarnation: 1,
    ...more,
  });
  return { ...stored, revision: more.revision ?? 1 };
}

/** A snapshot of these instances, with one route to "shop" unless told otherwise. */
export function snapshotOf(
  instances: readonly Instance[],
  more: {
    readonly epoch?: number;
    readonly revision?: number;
    readonly routes?: Readonly<Record<string, object>>;
  } = {},
): CatalogSnapshot {
  const routes = Object.entries(more.routes ?? { default: { service: 'shop' } }).map(
    ([name, route]) => [name, { document: trafficRouteSchema.parse(route), revision: 1 }] as const,
  );
  return {
    ...emptySnapshot,
    epoch: more.epoch ?? 1,
    revision: more.revision ?? 10,
    instances,
    routes: Object.fromEntries(routes),
  };
}

/** A policy of "shop" as an event carries it. */
export const policyOf = (more: object) => servicePolicySchema.parse(more);

/** A feed that says what the test tells it. */
export interface FakeFeed extends Pick<CatalogFeed, 'view' | 'status' | 'listen'> {
  /** Replaces the whole view. */
  reset(snapshot: CatalogSnapshot): void;
  /** Applies the next event. */
  event(type: SwitchyardEvent['type'], data: object): void;
  /** Redis was last heard so long ago. */
  age(ms: number): void;
}

/** A feed that has not loaded anything yet. */
export function fakeFeed(): FakeFeed {
  let view: CatalogView = createCatalogView();
  let loaded = false;
  let ageMs = 0;
  const listeners = new Set<(news: FeedNews) => void>();
  return {
    get view() {
      return view;
    },
    status: () => ({ loaded, ageMs: loaded ? ageMs : Infinity, epoch: view.epoch, revision: view.revision }),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    reset(snapshot) {
      view = createCatalogView(snapshot);
      loaded = true;
      for (const listener of listeners) listener({ type: 'reset', view });
    },
    event(type, data) {
      const revision = view.revision + 1;
      const event = { type, data, epoch: view.epoch, revision, id: `${view.epoch}.${revision}` } as SwitchyardEvent;
      const outcome = view.apply(event);
      if (outcome.type !== 'applied') throw new Error(`the event was ${outcome.type}`);
      for (const listener of listeners) listener({ type: 'event', view, event, change: outcome.change });
    },
    age(ms) {
      ageMs = ms;
    },
  };
}
