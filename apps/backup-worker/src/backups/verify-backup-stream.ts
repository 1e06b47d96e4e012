// Does the archive lead from one backup to the next? The older one and the stream after it are materialised up to exactly the offset of the
// newer one, and must hold the same: the strongest proof that there is, because the newer one was made by the source alone.
import { ok, type Refusal, type Result, type StreamVerification } from '@switchyard/protocol';
import { streamProofOf, streamVerificationOf, type ProofOutcome, type StreamProof } from '@switchyard/backup';
import type { Clock } from '@switchyard/runtime';
import type { BackupRepository } from '../repository/backup-repository.ts';
import type { SegmentStore } from '../repository/segment-store.ts';
import type { Materialiser } from '../restore/materialise.ts';

/** Proves the stream before a backup. */
export interface StreamProver {
  /**
   * Null when no stream leads to it. A stream that is damaged is an outcome; refuses when it could not be tried (no room, no server,
   * overloaded), which says nothing about it.
   */
  prove(label: string, work: StreamProofWork): Promise<Result<StreamVerification | null>>;
}

/** News and end of a proof. */
export interface StreamProofWork {
  readonly group: string;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly fraction: number; readonly detail: string }) => void;
}

/** Refusals that speak against the data. */
const damage: ReadonlySet<string> = new Set(['backup_corrupt', 'key_missing', 'not_found', 'not_restorable']);
const mostNamed = 3;
/** Share of the time until the moment is reached; the rest is counting and digesting. */
const reachedFraction = 0.6;

/** A prover over a repository. */
export function createStreamProver(options: {
  readonly repository: Pick<BackupRepository, 'list'>;
  readonly materialise: Materialiser;
  /** To name objects that cannot be used. */
  readonly segments: Pick<SegmentStore, 'segments'>;
  readonly clock: Clock;
}): StreamProver {
  const { repository, materialise, segments, clock } = options;

  /** Objects that cannot be used, which to the stream is the same as if they were missing. */
  const unusable = async (group: string, timeline: string, signal: AbortSignal): Promise<readonly string[]> => {
    const { problems } = await segments.segments(group, timeline, signal);
    return problems.slice(0, mostNamed).map(({ detail }) => detail);
  };

  const outcomeOf = async (
    { point }: StreamProof,
    { signal, onProgress }: StreamProofWork,
  ): Promise<Result<ProofOutcome>> => {
    const made = await materialise(point, {
      signal,
      background: true,
      report: ({ fraction, detail }) => onProgress?.({ fraction: fraction * reachedFraction, detail }),
    });
    if (!made.ok) {
      if (!damage.has(made.error.code)) return made;
      const known = point.timeline === null ? [] : await unusable(point.group, point.timeline, signal);
      const said = new Set([made.error.detail, ...(made.error.why ?? []), ...known]);
      return ok({ kind: 'broken', problem: [...said].join(' ') });
    }
    try {
      onProgress?.({ fraction: reachedFraction, detail: 'count and digest' });
      const { keys, digest } = await made.value.content(signal);
      return ok({ kind: 'loaded', content: { keys, digest } });
    } finally {
      await made.value.close();
    }
  };

  return {
    prove: async (label, work) => {
      const { backups } = await repository.list(work.group);
      const proof = streamProofOf(backups, label);
      if (proof === undefined) return ok(null);
      const startedMs = clock.monotonicMs();
      const outcome = await outcomeOf(proof, work);
      if (!outcome.ok) return outcome;
      const tookMs = Math.round(clock.monotonicMs() - startedMs);
      return ok(streamVerificationOf(proof, outcome.value, { atMs: clock.unixMs(), tookMs }));
    },
  };
}

/** The refusal that a proof which failed stands for; null when it did not. */
export function refusalOfStream(label: string, stream: StreamVerification): Refusal | null {
  if (stream.ok) return null;
  return {
    code: 'backup_corrupt',
    detail: `The stream from ${stream.from} does not lead to ${label}.`,
    why: [stream.problem ?? 'unknown'],
    next: 'Moments between the two may be wrong; each backup is verified on its own. Look at the disk of the repository.',
  };
}
