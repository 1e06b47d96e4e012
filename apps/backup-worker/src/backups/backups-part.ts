// How do backups come into being here? The taker, the verifier, the schedule and the routes, put together.
import type { Result } from '@switchyard/protocol';
import { fetchSnapshot } from '@switchyard/replication-link';
import type { OperationRecord } from '@switchyard/backup';
import type { BackupConfig } from '../config.ts';
import type { OpenRepository } from '../repository/open-repository.ts';
import { createPins } from '../repository/pins.ts';
import type { Materialiser } from '../restore/materialise.ts';
import { createProver } from '../scratch/prover.ts';
import { createGroupProbe } from '../source/group-probe.ts';
import { createGroupSurvey, whyNoBackup } from '../source/group-survey.ts';
import type { WorkerPart, WorkerTools } from '../worker-part.ts';
import type { ArchivePart } from '../archive/archive-part.ts';
import { createBaseGate } from './base-gate.ts';
import { createBaseOnGrowth } from './base-on-growth.ts';
import { createBackupMetrics } from './backup-metrics.ts';
import { createBackupQueue } from './backup-queue.ts';
import { backupRoutes } from './backup-routes.ts';
import { createBackupWork } from './backup-work.ts';
import { createPruner } from './prune.ts';
import { pruneRoutes } from './prune-routes.ts';
import { createBaseStore } from './store-base.ts';
import { createBackupTaker } from './take-backup.ts';
import { createUpkeep } from './upkeep.ts';
import { createBackupVerifier } from './verify-backup.ts';
import { createDailyProof } from './verify-backup-daily.ts';
import { createStreamProver } from './verify-backup-stream.ts';

/** The part, and how an operation is cancelled, whoever runs it. */
export interface BackupsPart extends WorkerPart {
  cancel(id: string): Promise<Result<OperationRecord>>;
}

/** Removing ends by itself after so long; the next run goes on. */
const pruneDeadlineMs = 300_000;

/** Backups of the group in the settings. */
export function backupsPart(
  tools: WorkerTools,
  options: {
    readonly config: BackupConfig;
    readonly repository: OpenRepository;
    /** Backups lie on its timeline where they can, and are taken when it has grown. */
    readonly archive?: Pick<ArchivePart, 'archive' | 'isProvingBase' | 'timelineOf'>;
    /** With it the stream between backups is proven, too; daily by the worker that archives it. */
    readonly proof?: { readonly materialise: Materialiser; readonly isOurs: () => boolean };
  },
): BackupsPart {
  const { config, archive, proof } = options;
  const { backups: repository, segments, store } = options.repository;
  const pins = createPins(store);
  const { settings, group, connections, operations, runner, scratchDirectory, clock, health, logger, writer } = tools;
  const { username, password } = settings;
  const credentials = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
  const metrics = createBackupMetrics(tools.metrics, repository, logger);
  const { redisServer: command, proofDeadlineMs: deadlineMs, everyMs } = config;
  const prover = createProver({ command, scratchDirectory, deadlineMs, clock });
  const probe = createGroupProbe(settings, { name: `${tools.instanceId}:survey`, clock, logger });
  const takeBackup = createBackupTaker({
    survey: createGroupSurvey({ settings, probe, clock }),
    fetchSnapshot,
    credentials,
    repository,
    bases: createBaseStore({ repository, prover, clock, writer }),
    clock,
    rules: { maxLagBytes: config.maxLagBytes, primaryAllowed: settings.kind === 'single' },
    whyNotNow: createBaseGate({ group, connections }),
    ...(archive === undefined ? {} : { timelineOf: archive.timelineOf }),
    copyBytesPerSecond: config.copyBytesPerSecond,
    patienceMs: config.patienceMs,
    copyDeadlineMs: config.copyDeadlineMs,
  });
  const streams = proof && createStreamProver({ repository, segments, materialise: proof.materialise, clock });
  const verifyBackup = createBackupVerifier({ repository, prover, ...(streams && { streams }), clock, logger });
  const daily =
    proof &&
    createDailyProof({
      ...tools,
      everyMs: config.proveStreamEveryMs,
      isOurs: proof.isOurs,
      repository,
      verifyBackup,
    });
  const prune = createPruner({
    repository,
    segments,
    pins,
    policy: config,
    windowMs: config.keepStreamForMs,
    clock,
    logger,
  });
  const work = createBackupWork({
    operations,
    takeBackup,
    verifyBackup,
    prune: async (pruned) => {
      const { removed } = await prune(pruned, { dryRun: false, signal: AbortSignal.timeout(pruneDeadlineMs) });
      return removed?.backups ?? [];
    },
    metrics,
    clock,
    logger,
  });
  const cannot = whyNoBackup(settings);
  const queue = createBackupQueue({
    connections,
    operations,
    runner,
    work,
    group,
    everyMs,
    cannot,
    clock,
    health,
    logger,
  });
  return {
    routes: [
      ...pruneRoutes({ repository, prune, pins, clock }),
      ...backupRoutes({ repository, queue, group, cannot, clock }),
    ],
    components: [
      createUpkeep({ repository, scratchDirectory, prover, operations, metrics, clock, health, logger }),
      queue,
      ...(archive === undefined
        ? []
        : [
            createBaseOnGrowth({
              ...archive,
              mostStreamBytes: config.mostStreamBytes,
              everyMs,
              repository,
              operations,
              queue,
              clock,
              logger,
            }),
          ]),
      ...(daily === undefined ? [] : [daily]),
    ],
    cancel: (id) => queue.cancel(id),
  };
}
