// What do people see of a backup?
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
