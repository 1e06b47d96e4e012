import { backupVerificationSchema } from '@switchyard/protocol';
import { differences, keyCounts, verificationOf } from './proof.ts';

const manifest = { keys: { total: 3, perDatabase: { '0': 1, '9': 2 } }, digest: 'a'.repeat(40) };
const times = { atMs: 5, tookMs: 2 };

describe('differences', () => {
  it('finds none in the same content', () => {
    expect(differences(manifest, manifest)).toEqual([]);
  });

  it('names each field that differs, also keys that moved between databases', () => {
    expect(differences(manifest, { keys: { total: 2, perDatabase: { '0': 2 } }, digest: 'b'.repeat(40) })).toEqual([
      'It holds 2 keys; the manifest says 3.',
      'Database 0 holds 2 keys; the manifest says 1.',
      'Database 9 holds 0 keys; the manifest says 2.',
      `Its content has the digest ${'b'.repeat(40)}; the manifest says ${'a'.repeat(40)}.`,
    ]);
    const moved = { ...manifest, keys: { total: 3, perDatabase: { '0': 1, '5': 2 } } };
    expect(differences(manifest, moved)).toHaveLength(2);
  });
});

describe('verificationOf', () => {
  it('is good only without a difference', () => {
    const good = verificationOf(manifest, { kind: 'loaded', content: manifest }, times);
    expect(good).toEqual({ ...times, ok: true, keys: 3, digest: manifest.digest, problem: null });
    const changed = verificationOf(
      manifest,
      { kind: 'loaded', content: { ...manifest, digest: 'b'.repeat(40) } },
      times,
    );
    expect(changed).toMatchObject({ ok: false, keys: 3, problem: expect.stringContaining('digest') });
    const broken = verificationOf(manifest, { kind: 'broken', problem: 'data.rdb.zst: is missing' }, times);
    expect(broken).toEqual({ ...times, ok: false, keys: null, digest: null, problem: 'data.rdb.zst: is missing' });
    for (const one of [good, changed, broken]) expect(backupVerificationSchema.safeParse(one).success).toBe(true);
  });
});

describe('keyCounts', () => {
  it('reads INFO keyspace', () => {
    const info = '# Keyspace\r\ndb0:keys=20003,expires=1,avg_ttl=5\r\ndb9:keys=2,expires=0,avg_ttl=0,subexpiry=0\r\n';
    expect(keyCounts(info)).toEqual({ total: 20_005, perDatabase: { '0': 20_003, '9': 2 } });
    expect(keyCounts('# Keyspace\r\n')).toEqual({ total: 0, perDatabase: {} });
  });
});
