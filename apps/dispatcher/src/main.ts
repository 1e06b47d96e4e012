// The dispatcher: spreads the traffic of users over the instances, and brings each part of the control API to the service
// that owns it. Wiring only.
import { join } from 'node:path';
import { createAgent } from '@switchyard/agent';
import { httpServer, probe } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import { createMeters, type Target } from '@switchyard/proxy';
import {
  createCatalogFeed,
  createCatalogStore,
  createRedis,
  createRedisRegistrar,
  redisSettingsOf,
} from '@switchyard/redis';
import { advertisedUrl, createTicker, loadConfig, runService } from '@switchyard/runtime';
import { accessLogOf } from './access-log.ts';
import { dispatcherConfig } from './config.ts';
import { controlPolicy } from './control-policy.ts';
import { createEjections } from './ejections.ts';
import type { GoneInstance } from './gone-instances.ts';
import { createListeners, selfTarget } from './listeners.ts';
import { createOwnApi } from './own-api.ts';
import { createProbes } from './probes.ts';
import { createRequestLog } from './request-log.ts';
import { createTableFile } from './table-file.ts';
import { watchTable } from './table-health.ts';
import { createTableKeeper } from './table-keeper.ts';
import { trafficPolicy } from './traffic-policy.ts';

const keptRequests = 1_024;
const latencyWindowMs = 60_000;
const random = Math.random;

await runService('dispatcher', ({ name, env, clock, logger, metrics, health, version, instanceId: id }) => {
  const config = loadConfig(dispatcherConfig, { env, app: name, logger });
  const connections = createRedis(redisSettingsOf(config.redis), { logger, name: id });
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, id);
  const feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock, logger });
  const meters = createMeters();
  const file = createTableFile(join(config.stateDir, 'routing-table.json'));
  const ejections = createEjections({ clock, logger });
  const probes = createProbes({ feed, probe, ...config.probes, random, clock, logger });
  const onGone = ({ service, id: gone, reason }: GoneInstance): void => {
    for (const plane of [traffic, control]) plane.dropInstance(service, gone, reason);
  };
  const keeper = createTableKeeper({ feed, file, meters, ejections, probes, onGone, random, clock, logger });
  const log = createRequestLog(keptRequests);
  const accessLog = accessLogOf(config.accessLog, { random, clock, logger });

  let own: Target | undefined;
  const self = (): Target => (own ??= selfTarget({ id, address: server.address(), meters }));
  const current = () => keeper.current();
  const { traffic, control } = createListeners({
    config,
    traffic: trafficPolicy({ current, log, ejections }),
    control: controlPolicy({ current, self, log, ejections }),
    accessLog,
    clock,
    logger,
  });
  const state = { id, version, keeper, meters, ejections, planes: [traffic, control], log, probes, accessLog };
  const ownOrigin = () => self().origin;
  const app = createOwnApi({ ...state, ownOrigin, random, clock, health, metrics, logger });
  const server = httpServer({ name: 'api', host: config.host, port: config.port, app });

  const service = platformService(name);
  const url = advertisedUrl({ bindHost: config.host, advertiseHost: config.advertiseHost, port: config.port });
  const input = instanceInputSchema.parse({ url, version, check: { type: 'http', path: '/livez' } });
  const registrar = createRedisRegistrar({ store, redis, service, id, input });
  const turnLatencies = (): Promise<void> => Promise.resolve(meters.turn());
  return [
    connections,
    server,
    keeper,
    feed,
    probes,
    watchTable({ keeper, health, metrics, clock, logger }),
    createTicker({ name: 'latency-window', everyMs: latencyWindowMs, run: turnLatencies, clock, logger }),
    ...(accessLog ? [accessLog] : []),
    traffic,
    control,
    createAgent({ service, id, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
  ];
});
