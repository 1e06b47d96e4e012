import { backupViewSchema } from '@switchyard/protocol';
import { viewBackup, type StoredBackup } from './backup-list.ts';
import { labelFor } from './label.ts';

function stored(atMs: number, ok: boolean | null, group = 'main'): StoredBackup {
  return {
    manifest: {
      formatVersion: 1,
      kind: 'full',
      label: labelFor(atMs, () => false),
      group,
      startedAtMs: atMs,
      finishedAtMs: atMs + 1_000,
      source: { host: '10.0.0.2', port: 6379, role: 'replica', replicationId: 'a'.repeat(40), offset: atMs },
      server: { kind: 'redis', version: '7.0.15' },
      files: [{ path: 'data.rdb.zst', bytes: 2, rawBytes: 10, sha256: '0'.repeat(64), compression: 'zstd' }],
      keys: { total: 3, perDatabase: { '0': 3 } },
      digest: 'b'.repeat(40),
      writer: 'switchyard 0.1.0',
    },
    verification:
      ok === null ? null : { atMs, ok, tookMs: 1, keys: 3, digest: null, problem: ok ? null : 'data.rdb.zst: x' },
  };
}

describe('viewBackup', () => {
  it.each([
    [null, 'unverified'],
    [true, 'verified'],
    [false, 'corrupt'],
  ])('calls a backup with verification %s %s', (ok, state) => {
    const view = viewBackup(stored(0, ok));
    expect(backupViewSchema.parse(view)).toMatchObject({
      state,
      bytes: 2,
      rawBytes: 10,
      keys: 3,
      startedAt: '1970-01-01T00:00:00.000Z',
    });
  });
});
