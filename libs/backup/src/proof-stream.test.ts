import { backupManifestSchema, streamVerificationSchema } from '@switchyard/protocol';
import type { StoredBackup } from './backup-list.ts';
import { dueStreamProof, newestStreamProof, streamProofOf, streamVerificationOf } from './proof-stream.ts';

const timeline = '20260102T000000.000Z';
const hourMs = 3_600_000;

/** A backup of hour `hour`, at offset `hour` * 100. */
function backup(
  hour: number,
  facts: { readonly timeline?: string | null; readonly ok?: boolean; readonly provenAtMs?: number } = {},
): StoredBackup {
  const startedAtMs = Date.UTC(2026, 0, 2, hour);
  const label = `${new Date(startedAtMs).toISOString().replaceAll(/[-:]/g, '')}-full`;
  const on = facts.timeline === undefined ? timeline : facts.timeline;
  const manifest = backupManifestSchema.parse({
    formatVersion: 1,
    label,
    kind: 'full',
    group: 'main',
    startedAtMs,
    finishedAtMs: startedAtMs,
    source: { host: 'h', port: 1, role: 'replica', replicationId: 'a'.repeat(40), offset: hour * 100 },
    server: { kind: 'redis', version: '7.0.15' },
    files: [],
    ...(on === null ? {} : { timeline: on }),
    keys: { total: 1, perDatabase: { '0': 1 } },
    digest: 'b'.repeat(40),
    writer: 'test',
  });
  const { ok = true, provenAtMs } = facts;
  const base = { atMs: 1, tookMs: 1, ok, keys: 1, digest: null, problem: null };
  const stream =
    provenAtMs === undefined ? {} : { stream: { ...base, atMs: provenAtMs, from: 'x', offset: 1, streamBytes: 1 } };
  return { manifest, verification: { ...base, ...stream } };
}

const proofOf = (backups: readonly StoredBackup[], hour: number): string | undefined =>
  streamProofOf(backups, backup(hour).manifest.label)?.point.base;
const labelOf = (hour: number): string => backup(hour).manifest.label;

describe('streamProofOf', () => {
  it('begins with the backup directly before, up to exactly the offset of the newer one', () => {
    const backups = [backup(5), backup(3), backup(4), backup(6)];
    expect(proofOf(backups, 5)).toBe(labelOf(4));
    expect(streamProofOf(backups, labelOf(5))?.point).toMatchObject({ offset: 500, streamBytes: 100, timeline });
  });

  it('is not made across timelines, from damaged backups, or where nothing leads to it', () => {
    expect(proofOf([backup(5)], 5)).toBeUndefined();
    expect(proofOf([backup(5), backup(6)], 5)).toBeUndefined();
    expect(proofOf([backup(4, { timeline: '20260101T000000.000Z' }), backup(5)], 5)).toBeUndefined();
    expect(proofOf([backup(4), backup(5, { timeline: null })], 5)).toBeUndefined();
    expect(proofOf([backup(3), backup(4, { ok: false }), backup(5)], 5)).toBe(labelOf(3));
    expect(proofOf([backup(4)], 5)).toBeUndefined();
  });
});

describe('dueStreamProof', () => {
  const due = (backups: readonly StoredBackup[], nowMs: number): string | undefined =>
    dueStreamProof(backups, { group: 'main', everyMs: 24 * hourMs, nowMs })?.newer.manifest.label;
  const nowMs = Date.UTC(2026, 0, 3, 12);

  it('is the newest that can be made, when none was made for so long or ever', () => {
    expect(due([backup(4), backup(5)], nowMs)).toBe(labelOf(5));
    expect(due([backup(4), backup(5, { provenAtMs: nowMs - 25 * hourMs }), backup(6)], nowMs)).toBe(labelOf(6));
    expect(due([backup(4), backup(5), backup(6, { timeline: null })], nowMs)).toBe(labelOf(5));
  });

  it('is none while one is young enough, or none can be made', () => {
    expect(due([backup(4), backup(5, { provenAtMs: nowMs - hourMs }), backup(6)], nowMs)).toBeUndefined();
    expect(due([backup(4)], nowMs)).toBeUndefined();
    expect(due([], nowMs)).toBeUndefined();
  });

  it('does not wait for ever after a clock that was wrong', () => {
    expect(due([backup(4), backup(5, { provenAtMs: nowMs + 1_000 * hourMs })], nowMs)).toBe(labelOf(5));
  });
});

describe('streamVerificationOf', () => {
  const proof = streamProofOf([backup(4), backup(5)], labelOf(5));
  if (proof === undefined) throw new Error('no proof');
  const times = { atMs: 9, tookMs: 8 };
  const { keys, digest } = proof.newer.manifest;

  it('is good only when the newer backup holds the same', () => {
    const good = streamVerificationOf(proof, { kind: 'loaded', content: { keys, digest } }, times);
    expect(good).toMatchObject({ ok: true, from: labelOf(4), offset: 500, streamBytes: 100, keys: 1, problem: null });
    const other = streamVerificationOf(proof, { kind: 'loaded', content: { keys, digest: 'c'.repeat(40) } }, times);
    expect(other).toMatchObject({ ok: false, problem: expect.stringContaining('digest') });
    const broken = streamVerificationOf(proof, { kind: 'broken', problem: 'The segment 1-2 is missing.' }, times);
    expect(broken).toMatchObject({ ok: false, keys: null, problem: 'The segment 1-2 is missing.' });
    for (const one of [good, other, broken]) expect(streamVerificationSchema.safeParse(one).success).toBe(true);
    expect(newestStreamProof([backup(4, { provenAtMs: 5 }), backup(5, { provenAtMs: 7 })])?.atMs).toBe(7);
  });
});
