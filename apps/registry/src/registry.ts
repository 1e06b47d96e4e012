// What is the registry made of, without its listener and its own registration? Put together for main.ts and for tests.
import type { RequestListener } from 'node:http';
import type { CatalogStore } from '@switchyard/catalog';
import { createApi } from '@switchyard/http';
import type { Upgrade } from '@switchyard/http';
import {
  createCatalogFeed,
  createCatalogStore,
  createDispatcherBoard,
  createDurableCatalog,
  createDurableWriter,
  createEpochKeeper,
  createLeases,
  redisRefusal,
} from '@switchyard/redis';
import type { Redis, RedisConnections } from '@switchyard/redis';
import type { Clock, Component, Health, Logger, Metrics } from '@switchyard/runtime';
import { activationRoutes } from './activation-routes.ts';
import { createCatalogService } from './catalog-service.ts';
import { drainRoute } from './drain-route.ts';
import { dryRunRoute } from './dry-run-route.ts';
import { eventRoutes } from './event-routes.ts';
import { watchFeed } from './feed-health.ts';
import { instanceRoutes } from './instance-routes.ts';
import { createIntake } from './intake.ts';
import { leaseRoutes } from './lease-routes.ts';
import { createLivenessParts } from './liveness-parts.ts';
import { createSeeder } from './seed.ts';
import { createTimeTravel } from './time-travel.ts';
import { whyRoute } from './why-route.ts';
import { serviceRoutes, trafficRoutes } from './setting-routes.ts';
import { createWatchHub } from './watch-hub.ts';

export interface Registry {
  /** The catalog's API, for a listener. */
  readonly app: RequestListener;
  /** The liveness connections of agents, for the same listener. */
  readonly upgrades: readonly Upgrade[];
  /** In the order of their start. */
  readonly components: readonly Component[];
  readonly store: CatalogStore;
  readonly redis: Redis;
}

/** Opens its connections in the background; nothing else happens before the components start. */
export function createRegistry(context: {
  readonly connections: RedisConnections;
  readonly instanceId: string;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  /** When a change is answered; `async` unless given. */
  readonly durability?: 'async' | 'replicated';
}): Registry {
  const { durability = 'async', connections, instanceId, version, clock, logger, metrics, health } = context;
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, instanceId);
  const feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock, logger });
  const hub = createWatchHub({ feed, clock, logger, metrics });
  const liveness = createLivenessParts({ redis, feed, witness: instanceId, clock, logger, metrics });
  const writer = durability === 'async' ? undefined : createDurableWriter(connections, { level: durability, logger });
  const durable = writer && createDurableCatalog(store, { writer, source: instanceId });
  const catalog = createCatalogService({
    store: durable?.store ?? store,
    confirm: durable?.confirm,
    liveness,
    feed,
    clock,
  });
  const board = createDispatcherBoard(redis);
  const past = createTimeTravel({ feed, store });
  const app = createApi({
    title: 'Switchyard registry',
    version,
    routes: [
      ...instanceRoutes({ catalog, feed, hub, past, loads: liveness.loads }),
      ...liveness.routes,
      drainRoute({ store, board }),
      ...activationRoutes({ store, feed, clock }),
      ...leaseRoutes(createLeases(redis)),
      whyRoute({ feed, store, board }),
      dryRunRoute({ feed, store, clock }),
      ...serviceRoutes({ catalog, feed, hub, past }),
      ...trafficRoutes(catalog, feed, past),
      ...eventRoutes({ store, feed, hub, clock, logger }),
    ],
    health,
    metrics,
    logger,
    errorToRefusal: redisRefusal,
  });
  const components = [
    // before the feed, so that it hears everything
    hub,
    feed,
    watchFeed({ feed, health, metrics, clock, logger }),
    ...liveness.components,
    createEpochKeeper({ store, redis, feed, clock, logger }),
    createSeeder({ catalog, feed, redis, clock, logger }),
    createIntake({ catalog, subscriber: connections.connect('subscriber'), clock, logger }),
  ];
  return { app, upgrades: liveness.upgrades, components, store, redis };
}
