// The heartbeat-monitor: watches deadlines, probes suspects, evicts the dead. Wiring only.
import { createAgent } from '@switchyard/agent';
import { createApi, httpServer, probe } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import {
  beatByCheck,
  createCatalogFeed,
  createCatalogStore,
  createEpochKeeper,
  createFitnessWatch,
  createRedis,
  createRedisRegistrar,
  redisRefusal,
  redisSettingsOf,
} from '@switchyard/redis';
import { advertisedUrl, loadConfig, runService } from '@switchyard/runtime';
import { createActivationHooks } from './activation-hooks.ts';
import { createActivation } from './activation.ts';
import { createChecks } from './checks.ts';
import { monitorConfig } from './config.ts';
import { createDoubtIntake } from './doubts.ts';
import { createMonitorMetrics } from './monitor-metrics.ts';
import { createMonitor } from './monitor.ts';
import { patientProbe } from './patient-probe.ts';
import { monitorRoutes } from './routes.ts';
import { watchSweeps } from './sweep-health.ts';

await runService('heartbeat-monitor', ({ name, env, clock, logger, metrics, health, version, instanceId }) => {
  const config = loadConfig(monitorConfig, { env, app: name });
  const connections = createRedis(redisSettingsOf(config.redis), { logger, name: instanceId });
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, instanceId);
  const feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock, logger });
  const monitor = createMonitor({
    id: instanceId,
    redis,
    store,
    feed,
    probe: patientProbe(config.probeTimeoutMs),
    sweepMs: config.sweepMs,
    leaseMs: config.leaseMs,
    clock,
    logger,
    metrics: createMonitorMetrics(metrics),
  });
  const checks = createChecks({
    id: instanceId,
    monitor,
    store,
    feed,
    probe,
    beat: (beats) => beatByCheck(redis, beats),
    timeoutMs: config.probeTimeoutMs,
    random: Math.random,
    clock,
    logger,
    metrics,
  });
  const doubts = createDoubtIntake({ monitor, subscriber: connections.connect('subscriber'), metrics, clock, logger });
  const hooks = createActivationHooks({ allowExec: config.allowExec, clock, logger });
  const activation = createActivation({ id: instanceId, monitor, store, feed, hooks, clock, logger });
  const routes = monitorRoutes(instanceId, { monitor, checks, doubts });
  const server = httpServer({
    name: 'api',
    host: config.host,
    port: config.port,
    app: createApi({
      title: 'Switchyard heartbeat-monitor',
      version,
      routes,
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
    createFitnessWatch({ connections, redis, health, clock, logger }),
    server,
    feed,
    // also here: with every registry gone, a failover must not give a revision out twice
    createEpochKeeper({ store, redis, feed, clock, logger }),
    monitor,
    activation,
    doubts,
    checks,
    watchSweeps({ monitor, health, clock, logger }),
    createAgent({ service, id: instanceId, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
  ];
});
