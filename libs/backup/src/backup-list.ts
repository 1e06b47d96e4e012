// What do people see of the backups: one by one, and as the moments that can be restored now?
import type { BackupManifest, BackupVerification, BackupView } from '@switchyard/protocol';
import { backupSize } from './manifest.ts';

/** A backup as it lies in the repository. */
export interface StoredBackup {
  readonly manifest: BackupManifest;
  /** Outcome of the latest verification; null when there was none yet. */
  readonly verification: BackupVerification | null;
}

/** The public document of a stored backup. Times are ISO 8601. */
export function viewBackup({ manifest, verification }: StoredBackup): BackupView {
  return {
    label: manifest.label,
    group: manifest.group,
    kind: manifest.kind,
    state: stateOf(verification),
    startedAt: new Date(manifest.startedAtMs).toISOString(),
    finishedAt: new Date(manifest.finishedAtMs).toISOString(),
    ...backupSize(manifest),
    keys: manifest.keys.total,
    verification,
    manifest,
  };
}

/** Whether a backup is proven: by the latest verification, not by hope. */
export function stateOf(verification: BackupVerification | null): BackupView['state'] {
  if (verification === null) return 'unverified';
  return verification.ok ? 'verified' : 'corrupt';
}

/** A moment to which the data can be brought back. */
export interface BackupPoint {
  readonly label: string;
  /** ISO 8601. */
  readonly at: string;
  readonly replicationId: string;
  readonly offset: number;
  readonly state: BackupView['state'];
}

/** What can be restored now. `continuous` is false while only the named points can be, not the time between them. */
export interface RestoreWindow {
  readonly group: string;
  readonly continuous: false;
  /** Oldest and newest point; null when there is none. */
  readonly from: string | null;
  readonly to: string | null;
  /** Oldest first. Corrupt backups are left out. */
  readonly points: readonly BackupPoint[];
}

/** The restorable points of a group. */
export function restoreWindow(group: string, backups: readonly StoredBackup[]): RestoreWindow {
  const points = backups
    .filter(({ manifest, verification }) => manifest.group === group && stateOf(verification) !== 'corrupt')
    .toSorted((a, b) => a.manifest.startedAtMs - b.manifest.startedAtMs)
    .map(({ manifest, verification }): BackupPoint => ({
      label: manifest.label,
      at: new Date(manifest.startedAtMs).toISOString(),
      replicationId: manifest.source.replicationId,
      offset: manifest.source.offset,
      state: stateOf(verification),
    }));
  return { group, continuous: false, from: points[0]?.at ?? null, to: points.at(-1)?.at ?? null, points };
}
