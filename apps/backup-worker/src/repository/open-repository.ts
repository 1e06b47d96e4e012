// What does a worker work with that keeps backups? The stores that its settings name, with the backups and the stream in them.
import { resolve } from 'node:path';
import { ConfigError, type Clock } from '@switchyard/runtime';
import type { BackupConfig } from '../config.ts';
import { textOf } from '../system-error.ts';
import { createBackupRepository, type BackupRepository } from './backup-repository.ts';
import { directoryStore } from './directory-store.ts';
import { noKeys, parseKeys, type EncryptionKeys } from './encryption-keys.ts';
import { lazyStore } from './lazy-store.ts';
import type { ObjectStore } from './object-store.ts';
import { createRepositorySet, type RepositorySet } from './repository-set.ts';
import { parseS3Address } from './s3-address.ts';
import { createSegmentStore, type SegmentStore } from './segment-store.ts';

/** The repository and what lies beside it. */
export interface OpenRepository {
  /** Journals, points and pins lie in it under their own names. */
  readonly store: ObjectStore;
  readonly backups: BackupRepository;
  readonly segments: SegmentStore;
  readonly keys: EncryptionKeys;
  /** Several repositories; undefined when there is one. */
  readonly set: RepositorySet | undefined;
  /** Where this worker keeps what is its own: the memory of its operations, throw-away servers. */
  readonly stateDirectory: string;
}

type RepositoryConfig = Pick<BackupConfig, 'repository'> &
  Partial<Pick<BackupConfig, 'keys' | 's3AccessKey' | 's3SecretKey' | 'stateDirectory'>>;

/** Opens what the settings name. Touches nothing yet. Throws a ConfigError when an address or the keys make no sense. */
export function openRepository(config: RepositoryConfig, clock?: Clock): OpenRepository {
  const problems: string[] = [];
  const stores = config.repository.map((address) => storeOf(address, config, problems));
  const keys = keysOf(config.keys, problems);
  const [first, ...others] = stores;
  if (first === undefined) problems.push('SWITCHYARD_BACKUP_REPOSITORY names no repository');
  if (new Set(stores.map(({ place }) => place)).size < stores.length)
    problems.push('SWITCHYARD_BACKUP_REPOSITORY names a repository twice');
  if (problems.length > 0 || first === undefined) throw new ConfigError(problems);
  const monotonicMs = (): number => (clock === undefined ? performance.now() : clock.monotonicMs());
  const set = others.length === 0 ? undefined : createRepositorySet([first, ...others], monotonicMs);
  const store = set ?? first;
  const directory = config.repository.find((address) => !isUrl(address)) ?? '.switchyard/backup-worker';
  return {
    store,
    backups: createBackupRepository({ store, keys }),
    segments: createSegmentStore({ store, keys }),
    keys,
    set,
    stateDirectory: resolve(config.stateDirectory ?? directory),
  };
}

function isUrl(address: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(address);
}

function storeOf(address: string, config: RepositoryConfig, problems: string[]): ObjectStore {
  if (!isUrl(address)) return directoryStore(resolve(address));
  try {
    const place = parseS3Address(address);
    const { s3AccessKey: accessKey, s3SecretKey: secretKey } = config;
    if (accessKey === undefined || secretKey === undefined)
      throw new Error('needs SWITCHYARD_BACKUP_S3_ACCESS_KEY and SWITCHYARD_BACKUP_S3_SECRET_KEY (or _FILE)');
    return lazyStore(`s3://${place.bucket}/${place.prefix} at ${place.endpoint}`, async () => {
      const { s3Store } = await import('./s3-store.ts');
      return s3Store(place, { accessKey, secretKey });
    });
  } catch (error) {
    problems.push(`SWITCHYARD_BACKUP_REPOSITORY: ${address.replace(/\/\/[^/@]*@/, '//[redacted]@')} ${textOf(error)}`);
    return directoryStore('/nowhere');
  }
}

function keysOf(text: string | undefined, problems: string[]): EncryptionKeys {
  if (text === undefined) return noKeys;
  try {
    return parseKeys(text);
  } catch (error) {
    problems.push(`SWITCHYARD_BACKUP_KEY_FILE: ${textOf(error)}`);
    return noKeys;
  }
}
