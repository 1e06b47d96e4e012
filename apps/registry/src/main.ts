// The registry: the catalog's API over HTTP and pub/sub. Wiring only.
import { createAgent } from '@switchyard/agent';
import { httpServer } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import { createFitnessWatch, createRedis, createRedisRegistrar, redisSettingsOf } from '@switchyard/redis';
import { advertisedUrl, loadConfig, runService } from '@switchyard/runtime';
import { registryConfig } from './config.ts';
import { connectionRoom } from './connection-room.ts';
import { createRegistry } from './registry.ts';

await runService('registry', (context) => {
  const { name, env, clock, logger, health, version, instanceId } = context;
  const config = loadConfig(registryConfig, { env, app: name });
  const connections = createRedis(redisSettingsOf(config.redis), { logger, name: instanceId });
  const { app, upgrades, components, store, redis } = createRegistry({
    ...context,
    connections,
    durability: config.durability,
  });
  const { env: setting } = registryConfig.maxConnections;
  const room = connectionRoom({ wanted: config.maxConnections, setting, clock, logger });
  const server = httpServer({ name: 'api', host: config.host, port: config.port, app, upgrades, ...room });
  const service = platformService(name);
  const url = advertisedUrl({ bindHost: config.host, advertiseHost: config.advertiseHost, port: config.port });
  const input = instanceInputSchema.parse({ url, version, check: { type: 'http', path: '/livez' } });
  const registrar = createRedisRegistrar({ store, redis, service, id: instanceId, input });
  return [
    connections,
    createFitnessWatch({ connections, redis, health, clock, logger }),
    server,
    ...components,
    createAgent({ service, id: instanceId, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
  ];
});
