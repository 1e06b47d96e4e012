// What do the tests of restoring share? A real server whose history is recorded: its data set, and the stream after it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { ok, type BackupManifest, type RestorePoint } from '@switchyard/protocol';
import { followStream, type FollowedStream } from '@switchyard/replication-link';
import { systemClock } from '@switchyard/runtime';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { good, manifestOf } from '../test-fixtures.ts';
import type { MaterialSource } from './load.ts';
import { createMaterialiser, type MaterialiserOptions } from './materialiser.ts';
import type { Materialised, Materialiser, MaterialiseWork } from './materialise.ts';

export const timeline = '20260102T030405.678Z';
export const label = '20260102T030405.678Z-full';
export const command = process.env['SWITCHYARD_REDIS_SERVER'] ?? 'redis-server';
const never = new AbortController().signal;

/** A recorded history. */
export interface Recording {
  readonly redis: TestRedis;
  /** Everything that was recorded so far, for a materialiser. */
  readonly source: MaterialSource;
  readonly manifest: BackupManifest;
  /** The data set of the base. */
  readonly pieces: readonly Buffer[];
  /** Where the history is now, once everything has been recorded. */
  now(): Promise<RestorePoint>;
  /** The moment of the base. */
  base(): RestorePoint;
  /** The stream since the base. */
  stream(): Buffer;
  stop(): Promise<void>;
}

/** Starts a server, lets `fill` write to it, and records from there on. */
export async function record(
  fill: (redis: TestRedis) => Promise<unknown>,
  args: readonly string[] = [],
): Promise<Recording> {
  const redis = await startRedis({ args });
  await fill(redis);
  const end = new AbortController();
  const followed: FollowedStream = await followStream({ host: redis.host, port: redis.port, signal: end.signal });
  if (followed.start.kind !== 'full') throw new Error('a data set was expected');
  const { replicationId, offset } = followed.start;
  const rdb = Buffer.concat((await followed.start.rdb.toArray()) as Buffer[]);
  const chunks: Buffer[] = [];
  const reading = (async () => {
    for await (const chunk of followed.bytes()) chunks.push(chunk);
  })().catch(() => undefined);
  const manifest = manifestOf(label, {
    source: { host: redis.host, port: redis.port, role: 'primary', replicationId, offset },
    server: { kind: 'redis', version: (await redis.info('server', 'redis_version')) ?? '' },
    files: [{ path: 'data.rdb.zst', bytes: 1, rawBytes: rdb.length, sha256: '0'.repeat(64), compression: 'zstd' }],
    timeline,
  });
  const stream = (): Buffer => Buffer.concat(chunks);
  const at = (until: number): RestorePoint => ({
    group: 'main',
    timeline,
    offset: until,
    replicationId,
    at: '2026-01-02T03:04:05.678Z',
    base: label,
    streamBytes: until - offset,
  });
  return {
    redis,
    manifest,
    pieces: [...pieces(rdb)],
    stream,
    source: {
      find: () => Promise.resolve(ok({ manifest, verification: good })),
      data: () => Readable.from(pieces(rdb)),
      stream: ({ from, to }) => Readable.from(pieces(stream().subarray(from - offset, to - offset))),
    },
    base: () => at(offset),
    now: async () => {
      const there = Number(await redis.info('replication', 'master_repl_offset'));
      await eventually(() => offset + stream().length >= there);
      return at(there);
    },
    stop: async () => {
      end.abort(new Error('the test is over'));
      followed.close();
      await reading;
      await redis.stop();
    },
  };
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length; from += 65_536) yield bytes.subarray(from, from + 65_536);
}

/** A materialiser of its own in a temporary directory. */
export async function makeMaterialiser(
  source: MaterialSource,
  options: Partial<MaterialiserOptions> = {},
): Promise<{ materialise: Materialiser; directory: string; end: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-test-materialise-'));
  const clock = systemClock;
  const materialise = createMaterialiser({
    command,
    scratchDirectory: directory,
    source,
    clock,
    deadlineMs: 60_000,
    ...options,
  });
  return { materialise, directory, end: () => rm(directory, { recursive: true, force: true }) };
}

/** Materialises or fails the test. */
export async function made(
  materialise: Materialiser,
  point: RestorePoint,
  work: Partial<MaterialiseWork> = {},
): Promise<Materialised> {
  const result = await materialise(point, { signal: never, ...work });
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}
