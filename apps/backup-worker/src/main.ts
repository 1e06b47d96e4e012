// The backup-worker: takes backups from a replica, proves them, keeps them. Wiring only.
import { join, resolve } from 'node:path';
import { createAgent } from '@switchyard/agent';
import { createApi, httpServer } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import { createCatalogStore, createRedis, createRedisRegistrar, redisSettingsOf } from '@switchyard/redis';
import { advertisedUrl, loadConfig, runService } from '@switchyard/runtime';
import { restorePointsPart } from './archive/restore-points-part.ts';
import { archivePart } from './archive/archive-part.ts';
import { backupsPart } from './backups/backups-part.ts';
import { backupConfig } from './config.ts';
import { createOperationRunner } from './operations/operation-runner.ts';
import { createOperations } from './operations/operations.ts';
import { operationRoutes } from './operations/operation-routes.ts';
import { copiesPart } from './repository/copies-part.ts';
import { rehearsalPart } from './rehearsal/rehearsal-part.ts';
import { openRepository } from './repository/open-repository.ts';
import { restorePart } from './restore/restore-part.ts';
import { rollbackPart } from './rollback/rollback-part.ts';
import { refusalOfWork } from './work-refusal.ts';
import type { WorkerPart, WorkerTools } from './worker-part.ts';

await runService('backup-worker', ({ name, env, clock, logger, metrics, health, version, instanceId }) => {
  const config = loadConfig(backupConfig, { env, app: 'backup', logger });
  const settings = redisSettingsOf(config.redis);
  const connections = createRedis(settings, { logger, name: instanceId });
  const repository = openRepository(config, clock);
  const operations = createOperations(join(repository.stateDirectory, '.operations'), logger);
  const runner = createOperationRunner({ operations, clock, logger });
  const url = advertisedUrl({ bindHost: config.host, advertiseHost: config.advertiseHost, port: config.port });
  const tools: WorkerTools = {
    group: settings.group,
    settings,
    connections,
    operations,
    runner,
    scratchDirectory: resolve(config.scratch ?? join(repository.stateDirectory, '.scratch')),
    advertisedHost: new URL(url).hostname,
    bindHost: config.host,
    instanceId,
    writer: `switchyard ${version}`,
    clock,
    logger,
    metrics,
    health,
  };
  const archive = archivePart(tools, { config, repository });
  const restores = restorePart(tools, { config, repository: repository.backups, archive: archive.archive });
  const proof = { materialise: restores.materialise, isOurs: () => archive.archive.isFollowing() };
  const backups = backupsPart(tools, { config, repository, archive, proof });
  const restorePoints = restorePointsPart(tools, { repository, archive: archive.archive });
  const { store } = repository;
  const moments = { archive: archive.archive, materialise: restores.materialise, store };
  const rollbacks = rollbackPart(tools, moments);
  const rehearsals = rehearsalPart(tools, { config, ...moments });
  const parts: readonly WorkerPart[] = [
    restorePoints,
    archive,
    restores,
    rollbacks,
    rehearsals,
    backups,
    copiesPart(tools, repository),
  ];
  const server = httpServer({
    name: 'api',
    host: config.host,
    port: config.port,
    app: createApi({
      title: 'Switchyard backup-worker',
      version,
      routes: [
        ...parts.flatMap(({ routes }) => routes),
        ...operationRoutes({ operations, cancel: (id) => backups.cancel(id), clock }),
      ],
      health,
      metrics,
      logger,
      errorToRefusal: refusalOfWork,
    }),
  });
  const service = platformService(name);
  const id = instanceId;
  const redis = connections.connect('commands');
  const input = instanceInputSchema.parse({ url, version, check: { type: 'http', path: '/livez' } });
  const registrar = createRedisRegistrar({ store: createCatalogStore(redis, id), redis, service, id, input });
  return [
    connections,
    server,
    createAgent({ service, id, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
    runner,
    ...parts.flatMap(({ components }) => components),
  ];
});
