// How does a data set that is on its way become a backup? Stored as it arrives, then loaded from where it was stored, and only then listed.
// Used by backups that are asked for and by the archive, which needs the data set that its stream begins with.
import { refuse, RefusalError, ok, type Result } from '@switchyard/protocol';
import { buildManifest, verificationOf, type StoredBackup } from '@switchyard/backup';
import type { StreamPosition } from '@switchyard/replication-link';
import type { Clock } from '@switchyard/runtime';
import type { Readable } from 'node:stream';
import type { BackupDraft, BackupFile, BackupRepository } from '../repository/backup-repository.ts';
import type { Prover } from '../scratch/prover.ts';
import type { SurveyedNode } from '../source/group-survey.ts';

/** A data set on its way, and whose it is. */
export interface IncomingDataSet extends StreamPosition {
  readonly group: string;
  readonly source: SurveyedNode;
  readonly rdb: Readable;
}

/** It is on the disk, and not a backup yet. */
export interface DraftedBase {
  readonly label: string;
  readonly rawBytes: number;
  /**
   * Loads it and makes it a backup. `timeline` is asked last: where it lies on the archive. Refuses with `backup_failed` when it does not
   * load. Discards it unless it succeeds.
   */
  publish(work: {
    readonly signal: AbortSignal;
    readonly timeline: () => Promise<string | undefined>;
    readonly onProof?: (fraction: number) => void;
    readonly onWrite?: (label: string) => void;
  }): Promise<Result<StoredBackup>>;
  /** Removes every trace. */
  discard(): Promise<void>;
}

/** Stores data sets. */
export interface BaseStore {
  /** Kind and version of the server that will prove it; rejects when there is none. */
  provenBy(signal: AbortSignal): Promise<string>;
  /** Reads the data set to its end. Leaves no trace when it rejects. */
  draft(
    incoming: IncomingDataSet,
    work: { readonly signal: AbortSignal; readonly onBytes?: (rawBytes: number) => void },
  ): Promise<DraftedBase>;
}

/** Stores data sets as backups in `repository`; `writer` is the name and version of this program. */
export function createBaseStore(options: {
  readonly repository: BackupRepository;
  readonly prover: Prover;
  readonly clock: Clock;
  readonly writer: string;
}): BaseStore {
  const { repository, prover, clock, writer } = options;

  const publish = async (
    { draft, stored, startedAtMs }: { draft: BackupDraft; stored: BackupFile; startedAtMs: number },
    { group, source, replicationId, offset }: IncomingDataSet,
    work: Parameters<DraftedBase['publish']>[0],
  ): Promise<Result<StoredBackup>> => {
    const { signal } = work;
    const provenBy = await prover.version(signal);
    const startedProofMs = clock.monotonicMs();
    const { onProof } = work;
    const outcome = await prover.load((reading) => draft.read(stored, reading), {
      rawBytes: stored.rawBytes,
      signal,
      ...(onProof === undefined ? {} : { onFraction: onProof }),
    });
    if (outcome.kind === 'broken')
      return refuse('backup_failed', 'What was copied does not load.', { why: [outcome.problem] });
    const tookMs = Math.round(clock.monotonicMs() - startedProofMs);
    work.onWrite?.(draft.label);
    const timeline = await work.timeline();
    const finishedAtMs = clock.unixMs();
    const { host, port, role } = source;
    const manifest = buildManifest({
      label: draft.label,
      group,
      startedAtMs,
      // A wall clock may be set back while a backup is taken.
      finishedAtMs: Math.max(startedAtMs, finishedAtMs),
      source: { host, port, role: role === 'primary' ? 'primary' : 'replica', replicationId, offset },
      server: serverOfSource(source),
      files: [stored],
      ...(timeline === undefined ? {} : { timeline }),
      keys: outcome.content.keys,
      digest: outcome.content.digest,
      writer: `${writer}, proven by ${provenBy}`,
    });
    if (!manifest.ok) return manifest;
    const verification = verificationOf(manifest.value, outcome, { atMs: finishedAtMs, tookMs });
    signal.throwIfAborted();
    const backup = { manifest: manifest.value, verification };
    await draft.publish(backup);
    return ok(backup);
  };

  return {
    provenBy: (signal) => prover.version(signal),
    draft: async (incoming, { signal, onBytes }) => {
      const startedAtMs = clock.unixMs();
      const draft = await repository.begin(incoming.group, startedAtMs);
      let stored: BackupFile;
      try {
        const onRaw = onBytes === undefined ? {} : { onBytes };
        stored = await draft.store(incoming.rdb, { signal, ...onRaw });
      } catch (error) {
        await draft.discard();
        throw error;
      }
      return {
        label: draft.label,
        rawBytes: stored.rawBytes,
        publish: async (work) => {
          let published = false;
          try {
            const result = await publish({ draft, stored, startedAtMs }, incoming, work);
            published = result.ok;
            return result;
          } finally {
            if (!published) await draft.discard();
          }
        },
        discard: () => draft.discard(),
      };
    },
  };
}

function serverOfSource(source: SurveyedNode): NonNullable<SurveyedNode['server']> {
  if (source.server !== null) return source.server;
  throw new RefusalError({ code: 'backup_failed', detail: `${source.name} did not say which server it is.` });
}
