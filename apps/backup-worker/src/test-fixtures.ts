// What do the tests of this worker share? A manifest of a small backup and a repository in a temporary directory.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { BackupManifest, BackupVerification } from '@switchyard/protocol';
import type { Logger } from '@switchyard/runtime';
import { createLogger } from '@switchyard/runtime';
import { createBackupRepository, type BackupRepository } from './repository/backup-repository.ts';
import { directoryStore } from './repository/directory-store.ts';

/** A logger for tests: only what must never happen. */
export const quietLogger: Logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'fatal' } });

/** A verification that found everything as it should be. */
export const good: BackupVerification = {
  atMs: 2,
  ok: true,
  tookMs: 1,
  keys: 3,
  digest: 'b'.repeat(40),
  problem: null,
};

/** A manifest as `buildManifest` makes it. */
export function manifestOf(label: string, facts: Partial<BackupManifest> = {}): BackupManifest {
  return {
    formatVersion: 1,
    kind: 'full',
    label,
    group: 'main',
    startedAtMs: 1,
    finishedAtMs: 2,
    source: { host: '10.0.0.2', port: 6379, role: 'replica', replicationId: 'a'.repeat(40), offset: 7 },
    server: { kind: 'redis', version: '7.0.15' },
    files: [{ path: 'data.rdb.zst', bytes: 4, rawBytes: 10, sha256: '0'.repeat(64), compression: 'zstd' }],
    keys: { total: 3, perDatabase: { '0': 1, '10': 1, '9': 1 } },
    digest: 'b'.repeat(40),
    writer: 'switchyard test',
    ...facts,
  };
}

/** A repository in a directory. */
export type TestRepository = BackupRepository & { readonly root: string };

/** A repository of its own; `end` removes it. */
export async function temporaryRepository(): Promise<{ repository: TestRepository; end: () => Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), 'switchyard-test-repository-'));
  const repository = { ...createBackupRepository({ store: directoryStore(root) }), root };
  return { repository, end: () => rm(root, { recursive: true, force: true }) };
}

/** Publishes a small backup whose data is from `atMs`; resolves with its label. */
export async function publishSmall(repository: BackupRepository, atMs: number, group = 'main'): Promise<string> {
  const draft = await repository.begin(group, atMs);
  const signal = AbortSignal.timeout(10_000);
  const data = await draft.store(Readable.from([Buffer.from('data')]), { signal });
  const manifest = manifestOf(draft.label, { group, startedAtMs: atMs, finishedAtMs: atMs + 1, files: [data] });
  await draft.publish({ manifest, verification: good });
  return draft.label;
}
