// What does a worker work with that keeps backups? The store that its settings name, with the backups and the stream in it.
import { resolve } from 'node:path';
import type { BackupConfig } from '../config.ts';
import { createBackupRepository, type BackupRepository } from './backup-repository.ts';
import { directoryStore } from './directory-store.ts';
import { noKeys, parseKeys, type EncryptionKeys } from './encryption-keys.ts';
import type { ObjectStore } from './object-store.ts';
import { createSegmentStore, type SegmentStore } from './segment-store.ts';

/** The repository and what lies beside it. */
export interface OpenRepository {
  /** Journals, points and pins lie in it under their own names. */
  readonly store: ObjectStore;
  readonly backups: BackupRepository;
  readonly segments: SegmentStore;
  readonly keys: EncryptionKeys;
  /** Where this worker keeps what is its own: the memory of its operations, throw-away servers. */
  readonly stateDirectory: string;
}

/** Opens what the settings name. Touches nothing yet. Throws when the key file holds no keys. */
export function openRepository(config: Pick<BackupConfig, 'repository' | 'keys'>): OpenRepository {
  const root = resolve(config.repository);
  const store = directoryStore(root);
  const keys = config.keys === undefined ? noKeys : parseKeys(config.keys);
  return {
    store,
    backups: createBackupRepository({ store, keys }),
    segments: createSegmentStore({ store, keys }),
    keys,
    stateDirectory: root,
  };
}
