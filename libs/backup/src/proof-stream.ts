// Does the stream between two backups lead from one to the other? Two independent snapshots of the source and every command between them:
// the older one and the commands, applied up to the newer one's offset, must hold what the newer one holds.
import type { RestorePoint, StreamVerification } from '@switchyard/protocol';
import { stateOf, type StoredBackup } from './backup-list.ts';
import { differences, type ProofOutcome } from './proof.ts';

/** What is proven: `newer` is where `older` and the stream have to arrive. */
export interface StreamProof {
  readonly older: StoredBackup;
  readonly newer: StoredBackup;
  /** `newer`'s moment, reached from `older`. */
  readonly point: RestorePoint;
}

/** The proof that ends at `label`; undefined when no older good backup lies on the same timeline. */
export function streamProofOf(backups: readonly StoredBackup[], label: string): StreamProof | undefined {
  const newer = backups.find(({ manifest }) => manifest.label === label);
  const timeline = newer?.manifest.timeline;
  if (newer === undefined || timeline === undefined) return undefined;
  const { group, source, startedAtMs } = newer.manifest;
  const older = backups
    .filter(({ manifest, verification }) => {
      if (manifest.group !== group || manifest.timeline !== timeline || stateOf(verification) === 'corrupt')
        return false;
      return manifest.source.offset < source.offset;
    })
    .reduce<StoredBackup | undefined>(
      (best, one) => (best !== undefined && best.manifest.source.offset >= one.manifest.source.offset ? best : one),
      undefined,
    );
  if (older === undefined) return undefined;
  return {
    older,
    newer,
    point: {
      group,
      timeline,
      offset: source.offset,
      replicationId: source.replicationId,
      at: new Date(startedAtMs).toISOString(),
      base: older.manifest.label,
      streamBytes: source.offset - older.manifest.source.offset,
    },
  };
}

/** The newest proof of a group that can be made, once none was made for `everyMs`; undefined while none is due. Missed ones count as due. */
export function dueStreamProof(
  backups: readonly StoredBackup[],
  options: { readonly group: string; readonly everyMs: number; readonly nowMs: number },
): StreamProof | undefined {
  const { group, everyMs, nowMs } = options;
  const own = backups.filter(({ manifest }) => manifest.group === group);
  const last = newestStreamProof(own);
  // A proof of the future is one that a wall clock dated wrongly.
  if (last !== undefined && last.atMs <= nowMs && nowMs - last.atMs < everyMs) return undefined;
  const newestFirst = own.toSorted((a, b) => b.manifest.startedAtMs - a.manifest.startedAtMs);
  for (const { manifest, verification } of newestFirst) {
    const proof = stateOf(verification) === 'corrupt' ? undefined : streamProofOf(own, manifest.label);
    if (proof !== undefined) return proof;
  }
  return undefined;
}

/** The outcome of the proof that was made last. */
export function newestStreamProof(backups: readonly StoredBackup[]): StreamVerification | undefined {
  return backups
    .map(({ verification }) => verification?.stream)
    .filter((stream) => stream !== undefined)
    .reduce<StreamVerification | undefined>(
      (best, one) => (best !== undefined && best.atMs >= one.atMs ? best : one),
      undefined,
    );
}

/** The document of an outcome; `ok` only when nothing differs. */
export function streamVerificationOf(
  { older, newer, point }: StreamProof,
  outcome: ProofOutcome,
  times: { readonly atMs: number; readonly tookMs: number },
): StreamVerification {
  const facts = { ...times, from: older.manifest.label, offset: point.offset, streamBytes: point.streamBytes };
  if (outcome.kind === 'broken') return { ...facts, ok: false, keys: null, digest: null, problem: outcome.problem };
  const { keys, digest } = outcome.content;
  const found = differences(newer.manifest, outcome.content);
  return {
    ...facts,
    ok: found.length === 0,
    keys: keys.total,
    digest,
    problem: found.length === 0 ? null : found.join(' '),
  };
}
