// The backup-worker: takes backups from a replica, proves them, keeps them. Wiring only.
import { join, resolve } from 'node:path';
import { createAgent } from '@switchyard/agent';
import { createApi, httpServer } from '@switchyard/http';
import { instanceInputSchema, platformService } from '@switchyard/protocol';
import { createCatalogStore, createRedis, createRedisRegistrar, redisSettingsOf } from '@switchyard/redis';
import { fetchSnapshot } from '@switchyard/replication-link';
import { advertisedUrl, loadConfig, runService } from '@switchyard/runtime';
import { createBackupMetrics } from './backups/backup-metrics.ts';
import { createBackupQueue } from './backups/backup-queue.ts';
import { createBackupRepository } from './repository/backup-repository.ts';
import { backupRoutes } from './backups/backup-routes.ts';
import { createBackupWork } from './backups/backup-work.ts';
import { backupConfig } from './config.ts';
import { createGroupProbe } from './source/group-probe.ts';
import { createGroupSurvey, whyNoBackup } from './source/group-survey.ts';
import { operationRoutes } from './operations/operation-routes.ts';
import { createOperations } from './operations/operations.ts';
import { createProver } from './scratch/prover.ts';
import { createPruner } from './backups/prune.ts';
import { createBackupTaker } from './backups/take-backup.ts';
import { createUpkeep } from './backups/upkeep.ts';
import { createBackupVerifier } from './backups/verify-backup.ts';
import { refusalOfWork } from './work-refusal.ts';

await runService('backup-worker', ({ name, env, clock, logger, metrics, health, version, instanceId }) => {
  const config = loadConfig(backupConfig, { env, app: 'backup', logger });
  const settings = redisSettingsOf(config.redis);
  const { group, username, password } = settings;
  const credentials = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
  const connections = createRedis(settings, { logger, name: instanceId });
  const repository = createBackupRepository(resolve(config.repository));
  const operations = createOperations(join(repository.root, '.operations'), logger);
  const backupMetrics = createBackupMetrics(metrics, repository, logger);
  const scratchDirectory = resolve(config.scratch ?? join(repository.root, '.scratch'));
  const { redisServer: command, proofDeadlineMs: deadlineMs } = config;
  const prover = createProver({ command, scratchDirectory, deadlineMs, clock });
  const probe = createGroupProbe(settings, { name: `${instanceId}:survey`, clock, logger });
  const takeBackup = createBackupTaker({
    survey: createGroupSurvey({ settings, probe, clock }),
    fetchSnapshot,
    credentials,
    repository,
    prover,
    clock,
    rules: { maxLagBytes: config.maxLagBytes, primaryAllowed: settings.kind === 'single' },
    patienceMs: config.patienceMs,
    copyDeadlineMs: config.copyDeadlineMs,
    writer: `switchyard ${version}`,
  });
  const policy = { keepNewest: config.keepNewest, keepForMs: config.keepForMs };
  const work = createBackupWork({
    operations,
    takeBackup,
    verifyBackup: createBackupVerifier({ repository, prover, clock, logger }),
    prune: createPruner({ repository, policy, clock, logger }),
    metrics: backupMetrics,
    clock,
    logger,
  });
  const { everyMs } = config;
  const cannot = whyNoBackup(settings);
  const queue = createBackupQueue({ connections, operations, work, group, everyMs, cannot, clock, health, logger });
  const routes = [
    ...backupRoutes({ repository, queue, group, cannot, clock }),
    ...operationRoutes({ operations, queue, clock }),
  ];
  const server = httpServer({
    name: 'api',
    host: config.host,
    port: config.port,
    app: createApi({
      title: 'Switchyard backup-worker',
      version,
      routes,
      health,
      metrics,
      logger,
      errorToRefusal: refusalOfWork,
    }),
  });
  const service = platformService(name);
  const id = instanceId;
  const redis = connections.connect('commands');
  const url = advertisedUrl({ bindHost: config.host, advertiseHost: config.advertiseHost, port: config.port });
  const input = instanceInputSchema.parse({ url, version, check: { type: 'http', path: '/livez' } });
  const registrar = createRedisRegistrar({ store: createCatalogStore(redis, id), redis, service, id, input });
  return [
    connections,
    server,
    createUpkeep({ repository, scratchDirectory, prover, operations, metrics: backupMetrics, clock, health, logger }),
    createAgent({ service, id, registrar, clock, logger, ttlMs: 3_000, drainDelayMs: 200, health }),
    queue,
  ];
});
