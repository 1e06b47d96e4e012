import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createMetrics, systemClock } from '@switchyard/runtime';
import { fetchSnapshot } from '@switchyard/replication-link';
import { eventually, seededRandom, startRedis, type TestRedis } from '@switchyard/testing';
import { ok, refuse, type BackupManifest } from '@switchyard/protocol';
import { streamProofOf } from '@switchyard/backup';
import { createLiveArchive, type LiveArchiveOptions } from '../archive/live-archive.ts';
import { recordArchive, type RecordedArchive } from '../archive/recorded-archive-fixture.ts';
import { createOperationRunner } from '../operations/operation-runner.ts';
import { createOperations } from '../operations/operations.ts';
import { createBackupRepository } from '../repository/backup-repository.ts';
import { parseKeys } from '../repository/encryption-keys.ts';
import { createSegmentStore, type SegmentStore } from '../repository/segment-store.ts';
import { materialOf } from '../restore/restore-part.ts';
import { command, makeMaterialiser } from '../restore/restore-fixture.ts';
import { createProver } from '../scratch/prover.ts';
import type { SurveyedNode } from '../source/group-survey.ts';
import { quietLogger } from '../test-fixtures.ts';
import { createBaseStore } from './store-base.ts';
import { createBackupVerifier, type BackupVerifier, type Verified } from './verify-backup.ts';
import { createDailyProof } from './verify-backup-daily.ts';
import { createStreamProver } from './verify-backup-stream.ts';

const clock = systemClock;
const never = new AbortController().signal;
let redis: TestRedis;
let archive: RecordedArchive;
let scratch: string;
let end: () => Promise<void>;
let verify: BackupVerifier;
let older: BackupManifest;
let newer: BackupManifest;
const root = (): string => archive.store.place;

// With an empty memory each time, as after a restart.
const streamsOf = () => ({
  repository: archive.backups,
  segments: { segments: (...of: Parameters<SegmentStore['segments']>) => freshSegments().segments(...of) },
});
const freshSegments = (): SegmentStore => createSegmentStore({ store: archive.store });

const proverIn = (directory: string) =>
  createProver({ command, scratchDirectory: directory, deadlineMs: 30_000, clock });

// Two backups, and between them what is hard to repeat: times to live, scripts, transactions, another database, a flush.
beforeAll(async () => {
  redis = await startRedis({ args: ['--databases', '100'] });
  await redis.cli('EVAL', "for i = 1, 400 do redis.call('SET', 'old:' .. i, string.rep('v' .. i, 9)) end", 0);
  archive = await recordArchive(redis);
  const write = async (): Promise<void> => {
    await redis.cli('EVAL', "for i = 1, 40 do redis.call('SET', 'key:' .. i, math.random(), 'PX', 90000) end", 0);
    await redis.cli('EVAL', "redis.call('SELECT', 77); redis.call('HINCRBY', 'hash', 'a', 7)", 0);
    await redis.cli('SET', 'soon', 'gone', 'PX', 1);
    await redis.cli('LPUSH', 'list', 'a', 'b', 'c');
    await redis.cli('XADD', 'stream', '*', 'field', 'value');
    await archive.caughtUp();
    await archive.seal();
  };
  for (let piece = 0; piece < 2; piece += 1) await write();
  await redis.cli('FLUSHDB');
  for (let piece = 0; piece < 2; piece += 1) await write();
  const snapshot = await fetchSnapshot({ host: redis.host, port: redis.port, deadlineMs: 10_000, signal: never });
  const { replicationId, offset, rdb } = snapshot;
  const server = { kind: 'redis', version: '7.0.15' };
  const source = { name: 'r1', host: redis.host, port: redis.port, role: 'primary', server } as SurveyedNode;
  const made = await makeMaterialiser(
    materialOf(archive.backups, {
      stream: (range, signal) =>
        createLiveArchive({
          group: 'main',
          segments: createSegmentStore({ store: archive.store }),
        } as unknown as LiveArchiveOptions).stream(range, signal),
    }),
  );
  ({ directory: scratch, end } = made);
  const bases = createBaseStore({ repository: archive.backups, prover: proverIn(scratch), clock, writer: 'test' });
  const draft = await bases.draft({ group: 'main', source, rdb, replicationId, offset }, { signal: never });
  await draft.publish({ signal: never, timeline: () => Promise.resolve(archive.timeline) });
  snapshot.close();
  await write();
  verify = createBackupVerifier({
    repository: archive.backups,
    prover: proverIn(scratch),
    streams: createStreamProver({ ...streamsOf(), materialise: made.materialise, clock }),
    clock,
    logger: quietLogger,
  });
  const listed = (await archive.backups.list('main')).backups.map(({ manifest }) => manifest);
  const [first, second] = listed.toSorted((a, b) => a.source.offset - b.source.offset);
  if (first === undefined || second === undefined) throw new Error('two backups were expected');
  [older, newer] = [first, second];
}, 30_000);
afterAll(async () => {
  await end();
  await archive.end();
  await redis.stop();
});

const verified = async (): Promise<Verified> => {
  const found = await verify({ label: newer.label, group: 'main' }, { report: () => undefined, signal: never });
  if (!found.ok) throw new Error(JSON.stringify(found.error));
  return found.value;
};
const segmentFiles = async (): Promise<string[]> => {
  const folder = join(root(), 'main', 'stream', archive.timeline);
  return (await readdir(folder))
    .filter((name) => name.endsWith('.segment'))
    .map((name) => join(folder, name))
    .toSorted();
};
const dataOf = ({ label }: BackupManifest): string => join(root(), 'main', label, 'data.rdb.zst');
const manifestOf = ({ label }: BackupManifest): string => join(root(), 'main', label, 'manifest.json');

/** Does something to files and undoes it. */
async function damaged<T>(
  files: readonly string[],
  damage: () => Promise<unknown>,
  look: () => Promise<T>,
): Promise<T> {
  const whole = await Promise.all(files.map((file) => readFile(file)));
  try {
    await damage();
    return await look();
  } finally {
    for (const [index, file] of files.entries()) await writeFile(file, whole[index] ?? '');
  }
}

describe('a verification', () => {
  it('proves that the backup before and the stream meet the backup at its exact offset, and records it', async () => {
    const { verification, refusal } = await verified();
    expect(refusal).toBeNull();
    expect(verification).toMatchObject({
      ok: true,
      digest: newer.digest,
      stream: {
        ok: true,
        from: older.label,
        offset: newer.source.offset,
        streamBytes: newer.source.offset - older.source.offset,
        keys: newer.keys.total,
        digest: newer.digest,
        problem: null,
      },
    });
    expect(await archive.backups.find(newer.label)).toMatchObject({ value: { verification } });
  });

  it('finds a segment that is missing, cut off or taken from elsewhere, and names it', async () => {
    const segments = await segmentFiles();
    const [first = '', second = ''] = segments.slice(1);
    const cases: readonly [string, () => Promise<unknown>, RegExp][] = [
      ['missing', () => rm(first), /no bytes from \d+ to \d+/],
      ['cut', async () => writeFile(first, (await readFile(first)).subarray(0, -9)), /\d{16}-\d{16}\.segment/],
      ['swapped', async () => writeFile(first, await readFile(second)), /its head says that it is/],
    ];
    for (const [what, damage, problem] of cases) {
      const { verification, refusal } = await damaged([first], damage, verified);
      expect({ what, code: refusal?.code, own: verification.ok }).toEqual({ what, code: 'backup_corrupt', own: true });
      expect(verification.stream).toMatchObject({ ok: false, problem: expect.stringMatching(problem) });
    }
    expect((await verified()).verification.stream?.ok).toBe(true);
  });

  it('finds by the content what all hashes hide: a command that was changed before it was stored', async () => {
    const { backups } = await archive.backups.list('main');
    const proof = streamProofOf(backups, newer.label);
    if (proof === undefined) throw new Error('no proof');
    const forged = await makeMaterialiser({
      ...materialOf(archive.backups, { stream: () => (async function* () {})() }),
      stream: async function* (range, signal) {
        const live = createLiveArchive({
          group: 'main',
          segments: createSegmentStore({ store: archive.store }),
        } as unknown as LiveArchiveOptions);
        for await (const chunk of live.stream(range, signal))
          yield Buffer.from(chunk.toString('latin1').replaceAll('field', 'fjeld'), 'latin1');
      },
    });
    const prover = createStreamProver({ ...streamsOf(), materialise: forged.materialise, clock });
    const outcome = await prover.prove(newer.label, { group: 'main', signal: never });
    expect(outcome).toMatchObject({ ok: true, value: { ok: false, problem: expect.stringContaining('digest') } });
    await forged.end();
  });

  it.each([
    ['key_missing', true],
    ['not_restorable', true],
    ['refused_for_safety', false],
    ['overloaded', false],
  ] as const)('takes %s for the data’s fault: %s', async (code, isDamage) => {
    const materialise = () => Promise.resolve(refuse(code, 'the reason'));
    const prover = createStreamProver({ ...streamsOf(), materialise, clock });
    const outcome = await prover.prove(newer.label, { group: 'main', signal: never });
    if (isDamage) expect(outcome).toMatchObject({ ok: true, value: { ok: false, problem: 'the reason' } });
    else expect(outcome).toMatchObject({ ok: false, error: { code } });
  });

  it('names the key that is not here, and says nothing about the backup', async () => {
    const locked = createBackupRepository({ store: archive.store, keys: parseKeys('1f'.repeat(32)) });
    const draft = await locked.begin('locked', 5_000);
    const file = await draft.store(Readable.from([await readFile(dataOf(newer))]), { signal: never });
    const manifest = { ...newer, group: 'locked', label: draft.label, startedAtMs: 5_000, files: [file] };
    await draft.publish({ manifest, verification: null });
    const { label } = draft;
    await expect(verify({ label, group: 'locked' }, { report: () => undefined, signal: never })).rejects.toMatchObject({
      refusal: { code: 'key_missing', why: [`key ${file.encryption?.keyId}`] },
    });
    expect(await archive.backups.find(label)).toMatchObject({ value: { verification: null } });
    await locked.remove('locked', label);
  });

  it('proves nothing where no stream leads to it', async () => {
    const prover = createStreamProver({
      ...streamsOf(),
      materialise: () => Promise.resolve(refuse('internal', 'not asked')),
      clock,
    });
    expect(await prover.prove(older.label, { group: 'main', signal: never })).toEqual(ok(null));
  });
});

describe('the daily proof', () => {
  it('is made once when it is due, and shown', async () => {
    const operations = createOperations(join(scratch, 'operations'), quietLogger);
    const runner = createOperationRunner({ operations, clock, logger: quietLogger });
    const metrics = createMetrics();
    const checks: { ok: boolean; detail?: string }[] = [];
    let isOurs = false;
    const daily = (everyMs: number) =>
      createDailyProof({
        group: 'main',
        everyMs,
        isOurs: () => isOurs,
        repository: archive.backups,
        verifyBackup: verify,
        operations,
        runner,
        metrics,
        health: { set: (_name: string, check: { ok: boolean; detail?: string }) => checks.push(check) } as never,
        clock,
        logger: quietLogger,
        lookEveryMs: 20,
      });
    const ended = (count: number): Promise<unknown> =>
      eventually(() => operations.list().filter(({ state }) => state === 'succeeded').length >= count, {
        timeoutMs: 20_000,
      });
    const first = daily(1);
    await first.start?.(never);
    await eventually(() => checks.length > 2);
    expect(operations.list()).toEqual([]);
    isOurs = true;
    await ended(2);
    await first.stop?.();
    await Promise.all(operations.list().map(({ id }) => runner.ended(id)));
    const made = operations.list().length;
    expect(operations.list()[0]).toMatchObject({ kind: 'prove-stream', subject: newer.label });
    checks.length = 0;
    const second = daily(3_600_000);
    await second.start?.(never);
    await eventually(() => checks.length > 2);
    await second.stop?.();
    expect(operations.list().length).toBe(made);
    expect(checks.at(-1)).toMatchObject({ ok: true, detail: expect.stringContaining(older.label) });
    expect(await metrics.text()).toMatch(/switchyard_backup_stream_proof_ok\{group="main"\} 1/);
    await rm(join(scratch, 'operations'), { recursive: true, force: true });
  }, 30_000);
});

describe('1,000 random corruptions', () => {
  const random = seededRandom();
  const kinds = ['flipped', 'flipped', 'zeroed', 'cut', 'deleted', 'replaced'] as const;
  const change = (
    kind: Exclude<(typeof kinds)[number], 'deleted'>,
    bytes: Buffer,
    others: readonly Buffer[],
  ): Buffer => {
    if (kind === 'cut') return bytes.subarray(0, random.integer(0, bytes.length - 1));
    if (kind === 'replaced') return random.pick(others);
    const copy = Buffer.from(bytes);
    const at = random.integer(0, copy.length - 1);
    if (kind === 'zeroed') return copy.fill(0, at, Math.min(copy.length, at + random.integer(1, 64)));
    copy[at] = (copy[at] ?? 0) ^ (1 << random.integer(0, 7));
    return copy;
  };

  /** What a look at every hash finds wrong with each file, or what was read of it. */
  const look = async (
    segmentPaths: readonly string[],
  ): Promise<ReadonlyMap<string, { problem?: string; read?: string }>> => {
    const seen = new Map<string, { problem?: string; read?: string }>();
    const lookAt = async (which: BackupManifest): Promise<void> => {
      const found = await archive.backups.find(which.label, 'main');
      if (!found.ok) return void seen.set(manifestOf(which), { problem: found.error.detail });
      const { manifest } = found.value;
      seen.set(manifestOf(which), { read: JSON.stringify(manifest) });
      const [file] = manifest.files;
      const problem = file === undefined ? 'none' : await archive.backups.check(manifest, file, never);
      seen.set(dataOf(which), problem === undefined ? { read: 'whole' } : { problem });
    };
    const lookAtStream = async (): Promise<void> => {
      const segments = freshSegments();
      const listed = await segments.segments('main', archive.timeline, never);
      for (const path of segmentPaths) seen.set(path, { problem: 'it is missing' });
      for (const segment of listed.segments) {
        const path = segmentPaths.find((one) => one.includes(`${String(segment.from).padStart(16, '0')}-`));
        if (path === undefined) continue;
        try {
          const chunks: Buffer[] = [];
          for await (const chunk of segments.read(segment, never)) chunks.push(chunk);
          seen.set(path, { read: Buffer.concat(chunks).toString('latin1') });
        } catch (error) {
          seen.set(path, { problem: String(error) });
        }
      }
    };
    await Promise.all([lookAt(older), lookAt(newer), lookAtStream()]);
    return seen;
  };

  it('are all found: most by their hashes alone, 20 by the whole verification', async () => {
    const segmentPaths = (await segmentFiles()).slice(0, 4);
    const all = [dataOf(older), dataOf(newer), manifestOf(older), manifestOf(newer), ...segmentPaths];
    const whole = new Map(await Promise.all(all.map(async (file) => [file, await readFile(file)] as const)));
    const healthy = await look(segmentPaths);
    expect([...healthy.values()].filter(({ problem }) => problem !== undefined)).toEqual([]);

    /** Damages a file; undefined when that would change nothing. */
    const corrupt = async (file: string): Promise<string | undefined> => {
      const kind = random.pick(kinds);
      const bytes = whole.get(file) ?? Buffer.alloc(0);
      if (kind === 'deleted') await rm(file);
      else {
        const changed = change(kind, bytes, [...whole.values()]);
        if (changed.equals(bytes)) return undefined;
        await writeFile(file, changed);
      }
      return `${kind} ${file}`;
    };
    const mend = async (files: readonly string[]): Promise<void> => {
      await Promise.all(files.map((file) => writeFile(file, whole.get(file) ?? '')));
    };
    /** Whether it changes what is read: a last line end that is missing, for instance, does not. */
    const harms = (file: string, seen: Awaited<ReturnType<typeof look>>): boolean =>
      seen.get(file)?.problem !== undefined || seen.get(file)?.read !== healthy.get(file)?.read;

    let found = 0;
    while (found < 980) {
      // Of a backup whose manifest is damaged, nobody can say more.
      const files = [
        random.pick([dataOf(older), manifestOf(older)]),
        random.pick([dataOf(newer), manifestOf(newer)]),
        ...segmentPaths,
      ];
      const done = new Map<string, string>();
      for (const file of files) {
        const what = await corrupt(file);
        if (what !== undefined) done.set(file, what);
      }
      const seen = await look(segmentPaths);
      for (const [file, what] of done) {
        if (!harms(file, seen)) continue;
        found += 1;
        if (seen.get(file)?.problem === undefined) throw new Error(`not found: ${what} (seed ${random.seed})`);
      }
      await mend(files);
    }
    // Without the manifest of the older backup no stream leads to the newer one: that is seen in the list.
    const proven = all.filter((file) => file !== manifestOf(older));
    for (let round = 0; round < 20;) {
      const file = random.pick(proven);
      const what = await corrupt(file);
      if (what !== undefined && harms(file, await look(segmentPaths))) {
        const result = await verify({ label: newer.label, group: 'main' }, { report: () => undefined, signal: never });
        const refusal = result.ok ? result.value.refusal : result.error;
        const code = expect.stringMatching(/^(backup_corrupt|not_found)$/) as unknown;
        expect({ what, seed: random.seed, code: refusal?.code }).toEqual({ what, seed: random.seed, code });
        round += 1;
      }
      await mend([file]);
    }
    expect((await verified()).refusal).toBeNull();
  }, 120_000);
});
