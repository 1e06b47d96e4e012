import { backupSize, buildManifest, readManifest, type ManifestFacts } from './manifest.ts';

const place = { group: 'main', label: '20260102T030405.678Z-full' };
const facts: ManifestFacts = {
  ...place,
  startedAtMs: 1_767_323_045_678,
  finishedAtMs: 1_767_323_046_000,
  source: { host: '10.0.0.2', port: 6379, role: 'replica', replicationId: 'a'.repeat(40), offset: 1_104_357 },
  server: { kind: 'redis', version: '7.0.15' },
  files: [{ path: 'data.rdb.zst', bytes: 200, rawBytes: 1000, sha256: '0'.repeat(64), compression: 'zstd' }],
  keys: { total: 3, perDatabase: { '0': 1, '9': 2 } },
  digest: 'b'.repeat(40),
  writer: 'switchyard 0.1.0',
};

describe('buildManifest', () => {
  it('gives a document that its reader believes, through JSON', () => {
    const built = buildManifest(facts);
    if (!built.ok) throw new Error(built.error.detail);
    expect(built.value).toMatchObject({ formatVersion: 1, kind: 'full', ...facts });
    expect(readManifest(JSON.parse(JSON.stringify(built.value)), place)).toEqual(built);
    expect(backupSize(built.value)).toEqual({ bytes: 200, rawBytes: 1000 });
  });
});

describe('readManifest', () => {
  const document = { ...facts, formatVersion: 1, kind: 'full' };
  const [file] = facts.files;

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'is not valid'],
    ['a list', [], 'is not valid'],
    ['a foreign document', { name: 'something else' }, 'is not valid'],
    ['a newer format', { formatVersion: 2 }, 'has format version 2; this program reads version 1'],
    ['another group', { ...document, group: 'other' }, 'it lies in the folder of main'],
    [
      'a renamed folder',
      { ...document, label: '20260102T030405.679Z-full' },
      'it lies in the folder 20260102T030405.678Z-full',
    ],
    ['an end before its start', { ...document, finishedAtMs: 1 }, 'finishedAtMs: is before'],
    ['no files', { ...document, files: [] }, 'files: names none'],
    ['a file named twice', { ...document, files: [file, file] }, 'files: names one twice'],
    ['a file outside its folder', { ...document, files: [{ ...file, path: '../x' }] }, 'must be a plain file name'],
    ['itself as a file', { ...document, files: [{ ...file, path: 'manifest.json' }] }, 'files: names the manifest'],
    [
      'counts that do not add up',
      { ...document, keys: { total: 4, perDatabase: { '0': 1 } } },
      'hold 1, the total says 4',
    ],
    ['a short hash', { ...document, files: [{ ...file, sha256: 'abc' }] }, 'sha256'],
  ])('refuses %s and says why', (_what, value, reason) => {
    const read = readManifest(value, place);
    expect(read).toMatchObject({ ok: false, error: { code: 'backup_corrupt' } });
    expect(read.ok || [read.error.detail, ...(read.error.why ?? [])].join('\n')).toContain(reason);
  });

  it('takes fields that a later version added', () => {
    expect(readManifest({ ...document, segments: [] }, place).ok).toBe(true);
  });
});
