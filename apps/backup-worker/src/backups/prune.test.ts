import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Timeline } from '@switchyard/protocol';
import { manualClock } from '@switchyard/testing';
import { createBackupRepository, type BackupRepository } from '../repository/backup-repository.ts';
import { directoryStore } from '../repository/directory-store.ts';
import type { ObjectStore } from '../repository/object-store.ts';
import { createPins } from '../repository/pins.ts';
import { chainStart, extendChain, sha256Of } from '../repository/segment-chain.ts';
import { createSegmentStore, type SegmentStore } from '../repository/segment-store.ts';
import { good, manifestOf, publishSmall, quietLogger } from '../test-fixtures.ts';
import { createPruner, type Pruner } from './prune.ts';

const signal = new AbortController().signal;
let root: string;
let store: ObjectStore;
let repository: BackupRepository;
let segments: SegmentStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'switchyard-test-prune-'));
  store = directoryStore(root);
  repository = createBackupRepository({ store });
  segments = createSegmentStore({ store });
});
afterEach(() => rm(root, { recursive: true, force: true }));

const pruner = (nowMs: number, windowMs = 0): Pruner =>
  createPruner({
    repository,
    segments,
    pins: createPins(store),
    policy: { keepNewest: 1, keepForMs: 0 },
    windowMs,
    clock: manualClock({ unixMs: nowMs }),
    logger: quietLogger,
  });
const labels = async (): Promise<string[]> => (await repository.list()).backups.map(({ manifest }) => manifest.label);
const bad = { ...good, ok: false, problem: 'data.rdb.zst: it is missing' };

describe('createPruner', () => {
  it('removes from one group what its rules do not keep, and never the last good one', async () => {
    const made: string[] = [];
    for (const atMs of [1_000, 2_000, 3_000, 4_000]) made.push(await publishSmall(repository, atMs));
    const other = await publishSmall(repository, 500, 'other');
    for (const label of made.slice(2)) await repository.recordVerification(manifestOf(label), bad);
    const prune = pruner(9_000);
    const dry = await prune('main', { dryRun: true, signal });
    expect(dry).toMatchObject({ removed: null, remove: [{}, {}, { label: made[0] }] });
    expect(await labels()).toHaveLength(5);
    const done = await prune('main', { dryRun: false, signal });
    expect([done.keep, done.remove]).toEqual([dry.keep, dry.remove]);
    expect(done.removed).toEqual({ backups: [made[3], made[2], made[0]], segments: 0 });
    expect(await labels()).toEqual([made[1], other]);
  });

  it('leaves what is pinned, until it is not', async () => {
    const [old, newer] = [await publishSmall(repository, 1_000), await publishSmall(repository, 2_000)];
    const pins = createPins(store);
    await pins.pin({ group: 'main', label: old }, { atMs: 3_000, reason: 'audit' }, signal);
    expect(await pruner(9_000)('main', { dryRun: false, signal })).toMatchObject({
      keep: [{ label: newer }, { label: old, reason: 'pinned' }],
      remove: [],
    });
    await pins.unpin({ group: 'main', label: old }, signal);
    expect((await pruner(9_000)('main', { dryRun: false, signal })).removed?.backups).toEqual([old]);
  });

  it('removes the stream before the backup from which the oldest moment of the window is restored', async () => {
    const id = '19700101T000000.001Z';
    const timeline: Timeline = {
      formatVersion: 1,
      id,
      group: 'main',
      startedAtMs: 1,
      start: { replicationId: 'a'.repeat(40), offset: 0 },
      server: { kind: 'redis', version: '7.0.15' },
      reason: 'first',
      detail: '',
      previous: null,
    };
    await segments.begin(timeline, signal);
    let chain = chainStart(id);
    for (let index = 0; index < 5; index += 1) {
      const raw = Buffer.from('0123456789');
      const [from, to] = [index * 10, index * 10 + 10];
      const parts = [{ from, to, sha256: sha256Of(raw) }];
      const facts = { from, to, startedAtMs: index * 1_000, endedAtMs: (index + 1) * 1_000, parts };
      const after = extendChain(chain, parts);
      await segments.put(
        {
          group: 'main',
          timeline: id,
          ...facts,
          histories: [{ from, replicationId: 'a'.repeat(40) }],
          database: 0,
          times: [],
          commands: 1,
          commandCounts: {},
          events: [],
          moreEvents: 0,
          chain: { before: chain, after },
        },
        raw,
        signal,
      );
      chain = after;
    }
    const draft = await repository.begin('main', 3_000);
    const data = await draft.store(Readable.from([Buffer.from('data')]), { signal });
    const source = { ...manifestOf(draft.label).source, offset: 30 };
    const facts = { startedAtMs: 3_000, finishedAtMs: 3_001, files: [data], timeline: id, source };
    await draft.publish({ manifest: manifestOf(draft.label, facts), verification: good });

    const dry = await pruner(5_000, 1_500)('main', { dryRun: true, signal });
    expect(dry.stream).toMatchObject([{ timeline: id, keep: 2, remove: 3, removeTo: 30 }]);
    expect(await pruner(5_000, 4_500)('main', { dryRun: true, signal })).toMatchObject({
      stream: [{ remove: 3, keep: 2 }],
    });
    const done = await pruner(5_000, 1_500)('main', { dryRun: false, signal });
    expect(done.removed).toEqual({ backups: [], segments: 3 });
    expect(await readdir(join(root, 'main', 'stream', id))).toEqual([
      '0000000000000030-0000000000000040.segment',
      '0000000000000040-0000000000000050.segment',
      'timeline.json',
    ]);
    expect(await segments.checkChain(timeline, signal)).toEqual([]);
  });
});
