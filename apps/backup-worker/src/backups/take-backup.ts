// How is a backup taken? Copy a replica over the network, store it, load what was stored, and only then call it a backup.
import { ok, refuse, RefusalError, type Result } from '@switchyard/protocol';
import { backupFiles, buildManifest, chooseSource, verificationOf } from '@switchyard/backup';
import type { SourceChoice, SourceRules, StoredBackup } from '@switchyard/backup';
import type { FullResync, SnapshotRequest } from '@switchyard/replication-link';
import type { Clock } from '@switchyard/runtime';
import type { BackupDraft, BackupRepository } from '../repository/backup-repository.ts';
import type { GroupSurvey, SurveyedNode } from '../source/group-survey.ts';
import type { Prover } from '../scratch/prover.ts';
import { compressInto, type StoredFile } from '../repository/stored-file.ts';

/** Says how far work is: the step's index in its plan. */
export type Report = (step: number, progress: { readonly fraction?: number; readonly detail?: string }) => void;

/** Everything that taking a backup needs. */
export interface BackupTakerOptions {
  readonly survey: () => Promise<GroupSurvey>;
  readonly fetchSnapshot: (request: SnapshotRequest) => Promise<FullResync>;
  readonly credentials: Pick<SnapshotRequest, 'username' | 'password'>;
  readonly repository: BackupRepository;
  readonly prover: Prover;
  readonly clock: Clock;
  readonly rules: SourceRules;
  /** How long to wait for a fit replica. */
  readonly patienceMs: number;
  readonly copyDeadlineMs: number;
  /** Name and version of this program. */
  readonly writer: string;
}

/** Takes one full backup of `group`. Refusals are expected outcomes; I/O errors and the signal's reason reject. Leaves no trace unless it succeeds. */
export type BackupTaker = (
  group: string,
  work: { readonly report: Report; readonly signal: AbortSignal },
) => Promise<Result<StoredBackup>>;

/** Indices of `backupPlan`. */
const steps = { choose: 0, wait: 1, copy: 2, prove: 3, write: 4 } as const;
const askAgainMs = 1_000;

/** A taker of backups. */
export function createBackupTaker(options: BackupTakerOptions): BackupTaker {
  const { repository, prover, clock } = options;

  return async (group, { report, signal }) => {
    report(steps.choose, {});
    // Asked first: without a server to prove it with, the copy would be for nothing.
    const provenBy = await prover.version(signal);
    const choice = await chooseWithPatience(options, { report, signal });
    if (!choice.ok) return choice;
    const { source } = choice.value;
    report(steps.choose, { detail: `${source.name}, ${source.role}, ${source.lagBytes ?? 0} bytes behind` });

    const expectedBytes = await usualSize(repository, group);
    report(steps.wait, { detail: `${source.name} prepares its snapshot` });
    const { host, port } = source;
    const { credentials, copyDeadlineMs: deadlineMs } = options;
    const snapshot = await options.fetchSnapshot({ host, port, ...credentials, deadlineMs, signal });
    const startedAtMs = clock.unixMs();
    let draft: BackupDraft | undefined;
    try {
      draft = await repository.begin(group, startedAtMs);
      const stored = await copy(snapshot, draft, { report, signal, expectedBytes });
      const startedProofMs = clock.monotonicMs();
      report(steps.prove, { detail: `${provenBy} loads it` });
      const outcome = await prover.load(draft.dataPath, {
        rawBytes: stored.rawBytes,
        signal,
        onFraction: (fraction) => report(steps.prove, { fraction }),
      });
      if (outcome.kind === 'broken')
        return refuse('backup_failed', 'What was copied does not load.', { why: [outcome.problem] });
      report(steps.write, { detail: draft.label });
      const finishedAtMs = clock.unixMs();
      const { replicationId, offset } = snapshot;
      const manifest = buildManifest({
        label: draft.label,
        group,
        startedAtMs,
        // A wall clock may be set back while a backup is taken.
        finishedAtMs: Math.max(startedAtMs, finishedAtMs),
        source: { host, port, role: source.role === 'primary' ? 'primary' : 'replica', replicationId, offset },
        server: serverOfSource(source),
        files: [{ path: backupFiles.data, ...stored, compression: 'zstd' }],
        keys: outcome.content.keys,
        digest: outcome.content.digest,
        writer: `${options.writer}, proven by ${provenBy}`,
      });
      if (!manifest.ok) return manifest;
      const tookMs = Math.round(clock.monotonicMs() - startedProofMs);
      const verification = verificationOf(manifest.value, outcome, { atMs: finishedAtMs, tookMs });
      signal.throwIfAborted();
      const backup = { manifest: manifest.value, verification };
      await draft.publish(backup);
      draft = undefined;
      return ok(backup);
    } finally {
      snapshot.close();
      await draft?.discard();
    }
  };
}

async function chooseWithPatience(
  { survey, clock, rules, patienceMs }: BackupTakerOptions,
  { report, signal }: { readonly report: Report; readonly signal: AbortSignal },
): Promise<Result<SourceChoice<SurveyedNode>>> {
  const giveUpAtMs = clock.monotonicMs() + patienceMs;
  for (;;) {
    const { nodes, problems } = await survey();
    signal.throwIfAborted();
    const choice = chooseSource(nodes, rules);
    if (choice.ok) return choice;
    const why = [...(choice.error.why ?? []), ...problems];
    if (clock.monotonicMs() + askAgainMs > giveUpAtMs) return { ok: false, error: { ...choice.error, why } };
    report(steps.choose, { detail: `waiting for a fit replica: ${why.join('; ')}`.slice(0, 300) });
    await clock.sleep(askAgainMs, signal);
  }
}

async function copy(
  snapshot: FullResync,
  draft: BackupDraft,
  {
    report,
    signal,
    expectedBytes,
  }: { readonly report: Report; readonly signal: AbortSignal; readonly expectedBytes: number },
): Promise<StoredFile> {
  const onBytes = (rawBytes: number): void =>
    report(steps.copy, {
      fraction: expectedBytes === 0 ? 0 : Math.min(0.99, rawBytes / expectedBytes),
      detail: `${(rawBytes / 1_000_000).toFixed(1)} MB copied`,
    });
  return compressInto(draft.dataPath, snapshot.rdb, { signal, onBytes });
}

// The size of the next backup is guessed by that of the last one: a streamed data set does not announce its length.
async function usualSize(repository: BackupRepository, group: string): Promise<number> {
  const { backups } = await repository.list(group);
  return backups[0]?.manifest.files[0]?.rawBytes ?? 0;
}

function serverOfSource(source: SurveyedNode): NonNullable<SurveyedNode['server']> {
  if (source.server !== null) return source.server;
  throw new RefusalError({ code: 'backup_failed', detail: `${source.name} did not say which server it is.` });
}
