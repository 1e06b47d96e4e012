// The replication-manager: watches the Redis group, follows its failovers, tells who is primary. Wiring only.
import { createAgent } from '@switchyard/agent';
import { createApi, httpServer } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import {
  createCatalogStore,
  createRedis,
  createRedisRegistrar,
  redisRefusal,
  redisSettingsOf,
} from '@switchyard/redis';
import { advertisedUrl, loadConfig, runService } from '@switchyard/runtime';
import { bootLockRoutes } from './boot-lock/boot-lock-routes.ts';
import { createBackupWorkers } from './backups/backup-workers.ts';
import { clusterRoutes } from './cluster/cluster-routes.ts';
import { replicationConfig } from './config.ts';
import { groupRoutes } from './groups/group-routes.ts';
import { consistencyRoutes } from './consistency/consistency-routes.ts';
import { flappingRoutes } from './enforcer/flapping-routes.ts';
import { createGroups } from './groups/groups.ts';
import { healthPolicyRoutes } from './health-policy/health-policy-routes.ts';
import { mainGroup } from './main-group.ts';
import { redisOperationRoutes } from './redis-operation-routes.ts';
import { createRedisOperations } from './redis-operations.ts';
import { replicaRoutes } from './rebuild/replica-routes.ts';
import { redisRoutes } from './routes.ts';
import { switchoverRoutes } from './switchover/switchover-routes.ts';
import { maintenanceRoutes } from './switchover/maintenance-routes.ts';
import { salvageRoutes } from './salvage/salvage-routes.ts';

await runService('replication-manager', ({ name, env, clock, logger, metrics, health, version, instanceId }) => {
  const config = loadConfig(replicationConfig, { env, app: 'replication' });
  const settings = redisSettingsOf(config.redis);
  const connections = createRedis(settings, { logger, name: instanceId });
  const redis = connections.connect('commands');
  const store = createCatalogStore(redis, instanceId);

  const operations = createRedisOperations({ clock, logger });
  const main = mainGroup(config, settings);
  const groups = createGroups(main, {
    redis,
    instanceId,
    backups: createBackupWorkers({ store, url: config.backupUrl, clock, logger }),
    operations,
    stateDir: config.stateDir,
    pollMs: config.pollMs,
    enforcement: config,
    switchover: config,
    consistency: config,
    logEvidence: { ...config, group: main.name },
    clock,
    logger,
    metrics,
    health,
  });

  const server = httpServer({
    name: 'api',
    host: config.host,
    port: config.port,
    app: createApi({
      title: 'Switchyard replication-manager',
      version,
      routes: [
        ...redisRoutes(groups),
        ...salvageRoutes(groups),
        ...flappingRoutes(groups),
        ...bootLockRoutes(groups),
        ...groupRoutes({ groups, clock, logger }),
        ...redisOperationRoutes(operations),
        ...consistencyRoutes(groups, { operations, clock }),
        ...healthPolicyRoutes(groups, operations),
        ...replicaRoutes(groups, operations),
        ...clusterRoutes({ groups, operations }),
        ...switchoverRoutes({ groups, operations, nowUnixMs: () => clock.unixMs() }),
        ...maintenanceRoutes(groups),
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
    groups,
    operations,
    server,
    createAgent({ service, id: instanceId, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
  ];
});
