// When is the stream proven without being asked? Once in so long, for the newest backup that a stream leads to; after a time in which the
// worker was down, at once.
import { ok } from '@switchyard/protocol';
import { dueStreamProof, isFinished, newestStreamProof, verifyPlan } from '@switchyard/backup';
import { createTicker, type Clock, type Component, type Health, type Logger, type Metrics } from '@switchyard/runtime';
import type { OperationRunner } from '../operations/operation-runner.ts';
import type { Operations } from '../operations/operations.ts';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { BackupVerifier } from './verify-backup.ts';

/** What the daily proof needs. */
export interface DailyProofOptions {
  readonly group: string;
  readonly everyMs: number;
  /** Whether it is for this worker to do: one of those that share a repository. */
  readonly isOurs: () => boolean;
  readonly repository: Pick<BackupRepository, 'list'>;
  readonly verifyBackup: BackupVerifier;
  readonly operations: Pick<Operations, 'list'>;
  readonly runner: OperationRunner;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly clock: Clock;
  readonly logger: Logger;
  /** So often it is looked whether one is due; a minute. */
  readonly lookEveryMs?: number;
}

/** Not that of the queue: it runs without one. */
const kind = 'prove-stream';

/** Keeps the check `stream-proof` and its metrics true, and the proofs young. */
export function createDailyProof(options: DailyProofOptions): Component {
  const { group, everyMs, repository, verifyBackup, operations, runner, health, clock, logger } = options;
  const labels = { labels: ['group'], maxSeries: 1 } as const;
  const { metrics } = options;
  const at = metrics.gauge(
    'backup_stream_last_proven_timestamp_seconds',
    'When a stream was last proven; 0 = never',
    labels,
  );
  const age = metrics.gauge(
    'backup_stream_proof_age_seconds',
    'Time since a stream was last proven; -1 = never',
    labels,
  );
  const took = metrics.gauge('backup_stream_proof_seconds', 'How long the last proof of a stream took', labels);
  const good = metrics.gauge('backup_stream_proof_ok', '1 = the last proof of a stream succeeded', labels);

  const show = async (): Promise<void> => {
    const { backups } = await repository.list(group);
    const last = newestStreamProof(backups);
    at.set({ group }, (last?.atMs ?? 0) / 1_000);
    age.set({ group }, last === undefined ? -1 : Math.max(0, clock.unixMs() - last.atMs) / 1_000);
    if (last === undefined)
      return health.set('stream-proof', { ok: true, detail: 'none was due yet', critical: false });
    took.set({ group }, last.tookMs / 1_000);
    good.set({ group }, last.ok ? 1 : 0);
    const when = new Date(last.atMs).toISOString();
    const detail = last.ok
      ? `${last.streamBytes} bytes after ${last.from}, at ${when}`
      : `${when}: ${last.problem ?? ''}`;
    health.set('stream-proof', { ok: last.ok, detail, critical: false });
  };

  const isUnderWay = (): boolean => operations.list().some((record) => record.kind === kind && !isFinished(record));

  const look = async (): Promise<void> => {
    await show();
    if (everyMs === 0 || !options.isOurs() || isUnderWay()) return;
    const { backups } = await repository.list(group);
    const due = dueStreamProof(backups, { group, everyMs, nowMs: clock.unixMs() });
    if (due === undefined) return;
    const { label } = due.newer.manifest;
    const begun = await runner.begin({
      kind,
      subject: label,
      plan: verifyPlan,
      run: async ({ report, signal }) => {
        const verified = await verifyBackup({ label, group }, { report, signal });
        if (!verified.ok) return verified;
        const { verification, refusal } = verified.value;
        const { stream } = verification;
        await show();
        logger.info({ group, label, stream }, 'stream.proven');
        const result = { label, group, ok: refusal === null, stream };
        return refusal === null ? ok(result) : { ok: false, error: refusal, result };
      },
    });
    if (!begun.ok) logger.warn({ code: begun.error.code, detail: begun.error.detail }, 'stream.not_proven');
  };

  return createTicker({
    name: 'stream-proof',
    everyMs: options.lookEveryMs ?? 60_000,
    run: look,
    clock,
    logger,
  });
}
