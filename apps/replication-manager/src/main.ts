// The replication-manager: watches the Redis group, follows its failovers, tells who is primary. Wiring only.
import { join } from 'node:path';
import { createAgent } from '@switchyard/agent';
import { createApi, httpServer } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import {
  createCatalogStore,
  createRedis,
  createRedisHistory,
  createRedisRegistrar,
  redisRefusal,
  redisGroupSettingsOf,
} from '@switchyard/redis';
import { advertisedUrl, loadConfig, runService } from '@switchyard/runtime';
import { replicationConfig } from './config.ts';
import { createGroupMetrics } from './group-metrics.ts';
import { createGroupWatch } from './group-watch.ts';
import { createHistory } from './history.ts';
import { createJournal } from './journal.ts';
import { nodeNamesOf } from './node-names.ts';
import { createObserver } from './observer.ts';
import { redisRoutes } from './routes.ts';

await runService('replication-manager', ({ name, env, clock, logger, metrics, health, version, instanceId }) => {
  const config = loadConfig(replicationConfig, { env, app: 'replication' });
  const settings = redisGroupSettingsOf(config.redis, name);
  const { group } = settings;
  const connections = createRedis(settings, { logger, name: instanceId });
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, instanceId);

  const history = createHistory({
    group,
    journal: createJournal(join(config.stateDir, 'failovers.jsonl'), logger),
    shared: createRedisHistory({ redis, group, holder: instanceId }),
    store,
    health,
    clock,
    logger,
  });
  const observer = createObserver({
    settings,
    names: nodeNamesOf(config.nodeNames),
    clock,
    logger,
    onMessage: (message) => watch.hear(message),
    onTurn: () => watch.turn(),
  });
  const watch = createGroupWatch({
    group,
    observer,
    history,
    metrics: createGroupMetrics(metrics, group),
    health,
    pollMs: config.pollMs,
    clock,
    logger,
  });

  const server = httpServer({
    name: 'api',
    host: config.host,
    port: config.port,
    app: createApi({
      title: 'Switchyard replication-manager',
      version,
      routes: redisRoutes([{ watch, history }]),
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
    history,
    watch,
    server,
    createAgent({ service, id: instanceId, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
  ];
});
