// Is a backup still good? First its bytes, then its content: hashes, then a server that loads it, counts and digests; at last the
// stream that leads to it.
import { refuse, ok } from '@switchyard/protocol';
import type { BackupVerification, Refusal, Result, StreamVerification } from '@switchyard/protocol';
import { verificationOf, type ProofOutcome, type StoredBackup } from '@switchyard/backup';
import type { Clock, Logger } from '@switchyard/runtime';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { Prover } from '../scratch/prover.ts';
import type { Report } from './take-backup.ts';
import { refusalOfStream, type StreamProver } from './verify-backup-stream.ts';

/** What a verification found, also when the backup is not good. */
export interface Verified {
  readonly backup: StoredBackup;
  readonly verification: BackupVerification;
  /** Set when the backup, or the stream that leads to it, is not good. */
  readonly refusal: Refusal | null;
}

/** Verifies one backup and writes the outcome beside its manifest. Refuses when there is no such backup or its manifest cannot be believed. */
export type BackupVerifier = (
  place: { readonly label: string; readonly group?: string | undefined },
  work: { readonly report: Report; readonly signal: AbortSignal },
) => Promise<Result<Verified>>;

/** Indices of `verifyPlan`. */
const steps = { hash: 0, load: 1, stream: 2, record: 3 } as const;

/** A verifier of the backups in a repository. */
export function createBackupVerifier(options: {
  readonly repository: BackupRepository;
  readonly prover: Prover;
  /** Without it only the backup itself is proven. */
  readonly streams?: StreamProver;
  readonly clock: Clock;
  readonly logger: Logger;
}): BackupVerifier {
  const { repository, prover, streams, clock, logger } = options;

  /** The proof of the stream before it; the one that is there already when none can be made. */
  const proveStream = async (
    { manifest, verification }: StoredBackup,
    { report, signal }: { readonly report: Report; readonly signal: AbortSignal },
  ): Promise<Result<StreamVerification | undefined>> => {
    report(steps.stream, {});
    const proven = await streams?.prove(manifest.label, {
      group: manifest.group,
      signal,
      onProgress: (progress) => report(steps.stream, progress),
    });
    if (proven?.ok === false) return proven;
    return ok(proven?.value ?? verification?.stream);
  };

  const prove = async (
    { manifest }: StoredBackup,
    { report, signal }: { readonly report: Report; readonly signal: AbortSignal },
  ): Promise<ProofOutcome> => {
    for (const file of manifest.files) {
      report(steps.hash, { detail: file.path });
      const problem = await repository.check(manifest, file, signal);
      if (problem !== undefined) return { kind: 'broken', problem: `${file.path}: ${problem}` };
    }
    const [data] = manifest.files;
    if (data === undefined) return { kind: 'broken', problem: 'It names no file.' };
    report(steps.load, { detail: data.path });
    const outcome = await prover.load((reading) => repository.read(manifest, data, reading), {
      rawBytes: data.rawBytes,
      signal,
      onFraction: (fraction) => report(steps.load, { fraction }),
    });
    return outcome.kind === 'broken' ? { kind: 'broken', problem: `${data.path}: ${outcome.problem}` } : outcome;
  };

  return async (place, work) => {
    const found = await repository.find(place.label, place.group);
    if (!found.ok) return found;
    const { manifest } = found.value;
    const startedMs = clock.monotonicMs();
    const outcome = await prove(found.value, work);
    const tookMs = Math.round(clock.monotonicMs() - startedMs);
    const own = verificationOf(manifest, outcome, { atMs: clock.unixMs(), tookMs });
    // A damaged backup is no measure for a stream.
    const proven = own.ok ? await proveStream(found.value, work) : ok(found.value.verification?.stream);
    const stream = proven.ok ? proven.value : found.value.verification?.stream;
    const verification = { ...own, ...(stream === undefined ? {} : { stream }) };
    work.report(steps.record, {});
    work.signal.throwIfAborted();
    try {
      await repository.recordVerification(manifest, verification);
    } catch (error) {
      // What was found is worth more than its record: a repository that became read-only must not hide damage.
      logger.error({ err: error, label: manifest.label }, 'verification.not_recorded');
    }
    // That the stream could not be tried says nothing about it; that the backup is good is recorded all the same.
    if (!proven.ok) return proven;
    const refusal = own.ok
      ? stream === undefined
        ? null
        : refusalOfStream(manifest.label, stream)
      : refuse('backup_corrupt', `The backup ${manifest.label} is not what its manifest says.`, {
          why: [own.problem ?? 'unknown'],
        }).error;
    return ok({ backup: { manifest, verification }, verification, refusal });
  };
}
