// The registry: the catalog's API over HTTP and pub/sub. Wiring only.
import { createAgent } from '@switchyard/agent';
import { createApi, httpServer } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import {
  createCatalogFeed,
  createCatalogStore,
  createEpochKeeper,
  createRedis,
  createRedisRegistrar,
  redisRefusal,
  redisSettingsOf,
} from '@switchyard/redis';
import { advertisedUrl, loadConfig, runService } from '@switchyard/runtime';
import { createCatalogService } from './catalog-service.ts';
import { registryConfig } from './config.ts';
import { eventRoutes } from './event-routes.ts';
import { watchFeed } from './feed-health.ts';
import { instanceRoutes } from './instance-routes.ts';
import { createIntake } from './intake.ts';
import { createSeeder } from './seed.ts';
import { serviceRoutes, trafficRoutes } from './setting-routes.ts';

await runService('registry', ({ name, env, clock, logger, metrics, health, version, instanceId }) => {
  const config = loadConfig(registryConfig, { env, app: name });
  const connections = createRedis(redisSettingsOf(config.redis), { logger, name: instanceId });
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, instanceId);
  const feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock, logger });
  const catalog = createCatalogService({ store, redis, feed, clock });
  const server = httpServer({
    name: 'api',
    host: config.host,
    port: config.port,
    app: createApi({
      title: 'Switchyard registry',
      version,
      routes: [
        ...instanceRoutes(catalog, feed),
        ...serviceRoutes(catalog, feed),
        ...trafficRoutes(catalog, feed),
        ...eventRoutes(store, feed, logger),
      ],
      health,
      metrics,
      logger,
      errorToRefusal: redisRefusal,
    }),
  });
  const service = platformService(name);
  const url = advertisedUrl({ bindHost: config.host, advertiseHost: config.advertiseHost, port: config.port });
  const input = instanceInputSchema.parse({ url, version, check: { type: 'http', path: '/livez' } });
  const registrar = createRedisRegistrar({ store, redis, service, id: instanceId, input });
  return [
    connections,
    server,
    feed,
    watchFeed({ feed, health, metrics, clock, logger }),
    createEpochKeeper({ store, redis, feed, clock, logger }),
    createSeeder({ catalog, feed, redis, clock, logger }),
    createIntake(catalog, connections.connect('subscriber'), logger),
    createAgent({ service, id: instanceId, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
  ];
});
