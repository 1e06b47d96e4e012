// What do the tests of restore points look into? The archive of a real server, made by the parts that the archiver is made of.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { RestorePoint } from '@switchyard/protocol';
import { followStream } from '@switchyard/replication-link';
import { systemClock } from '@switchyard/runtime';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { createBackupRepository, type BackupRepository } from '../repository/backup-repository.ts';
import { directoryStore } from '../repository/directory-store.ts';
import type { ObjectStore } from '../repository/object-store.ts';
import { chainStart, extendChain } from '../repository/segment-chain.ts';
import { createSegmentStore, type SegmentStore } from '../repository/segment-store.ts';
import { good, manifestOf } from '../test-fixtures.ts';
import { createStreamCollector } from './stream-collector.ts';

/** The archive of a server. */
export interface RecordedArchive {
  readonly store: ObjectStore;
  readonly segments: SegmentStore;
  readonly backups: BackupRepository;
  readonly timeline: string;
  /** Resolves when everything that the server has written so far has arrived. */
  caughtUp(): Promise<void>;
  /** Stores what has arrived as a segment. */
  seal(): Promise<void>;
  /** A server of its own that holds a moment. To be stopped. */
  restore(point: RestorePoint): Promise<TestRedis>;
  end(): Promise<void>;
}

/** Follows a server from now on; its data set becomes the first backup. */
export async function recordArchive(node: TestRedis): Promise<RecordedArchive> {
  const root = await mkdtemp(join(tmpdir(), 'switchyard-test-archive-'));
  const store = directoryStore(root);
  const segments = createSegmentStore({ store });
  const backups = createBackupRepository({ store });
  const stop = new AbortController();
  const { signal } = stop;
  const followed = await followStream({ host: node.host, port: node.port, signal });
  if (followed.start.kind !== 'full') throw new Error('The server continued a history that nobody has.');
  const { replicationId, offset } = followed.start;
  const startedAtMs = Date.now();
  const rdb = await buffer(followed.start.rdb);
  const timeline = new Date(startedAtMs).toISOString().replaceAll(/[-:]/g, '');
  const draft = await backups.begin('main', startedAtMs);
  const file = await draft.store(Readable.from([rdb]), { signal });
  const source = { host: node.host, port: node.port, role: 'primary' as const, replicationId, offset };
  const manifest = manifestOf(draft.label, {
    startedAtMs,
    finishedAtMs: startedAtMs + 1,
    source,
    files: [file],
    timeline,
  });
  await draft.publish({ manifest, verification: good });
  await segments.begin(
    {
      formatVersion: 1,
      id: timeline,
      group: 'main',
      startedAtMs,
      start: { replicationId, offset },
      server: { kind: 'redis', version: '7.0.15' },
      reason: 'first',
      detail: 'there was none before',
      previous: null,
    },
    signal,
  );
  const collector = createStreamCollector({ offset, replicationId, database: 0 }, systemClock);
  const reading = (async (): Promise<void> => {
    for await (const chunk of followed.bytes()) collector.push(chunk);
  })().catch(() => undefined);
  let chain = chainStart(timeline);

  return {
    store,
    segments,
    backups,
    timeline,
    caughtUp: async () => {
      const wanted = Number(await node.info('replication', 'master_repl_offset'));
      await eventually(() => followed.receivedOffset() >= wanted && collector.boundary().offset >= wanted, {
        timeoutMs: 30_000,
        what: 'The stream',
      });
    },
    seal: async () => {
      const piece = collector.seal();
      if (piece === undefined) return;
      const { raw, sha256, ...facts } = piece;
      const parts = [{ from: piece.from, to: piece.to, sha256 }];
      const after = extendChain(chain, parts);
      const place = { group: 'main', timeline, parts, chain: { before: chain, after } };
      await segments.put({ ...facts, ...place }, raw, signal);
      chain = after;
    },
    restore: async (point) => {
      const pieces: Buffer[] = [];
      const listed = await segments.segments('main', timeline, signal);
      for (const segment of listed.segments)
        for await (const chunk of segments.read(segment, signal)) pieces.push(chunk);
      const stream = Buffer.concat(pieces).subarray(0, point.offset - offset);
      return loadAppendOnly(root, { rdb, stream });
    },
    end: async () => {
      stop.abort(new Error('the test is over'));
      await reading;
      await rm(root, { recursive: true, force: true });
    },
  };
}

// A data set and the commands after it are what an append-only directory consists of.
async function loadAppendOnly(root: string, { rdb, stream }: { rdb: Buffer; stream: Buffer }): Promise<TestRedis> {
  const directory = await mkdtemp(join(root, 'restored-'));
  const files = join(directory, 'appendonlydir');
  await mkdir(files);
  await writeFile(join(files, 'base.rdb'), rdb);
  await writeFile(join(files, 'incr.aof'), stream);
  const manifest = 'file base.rdb seq 1 type b\nfile incr.aof seq 1 type i\n';
  await writeFile(join(files, 'appendonly.aof.manifest'), manifest);
  return startRedis({ dir: directory, args: ['--appendonly', 'yes'] });
}
