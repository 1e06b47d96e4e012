// The archive when something goes wrong around it: its worker is killed, a second one waits, the disk is full, no replica is left.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, startRedis, startSentinelGroup } from '@switchyard/testing';
import { directoryStore } from '../repository/directory-store.ts';
import { createSegmentStore } from '../repository/segment-store.ts';
import {
  archived,
  following,
  pipeline,
  replies,
  startArchive,
  startWorker,
  type TestWorker,
} from './archive-fixture.ts';
import { newestOf } from './archive-end.ts';

const soon = (): AbortSignal => AbortSignal.timeout(30_000);
const sets = (from: number, count: number): string[][] =>
  Array.from({ length: count }, (_, index) => ['SET', `key:${(from + index) % 500}`, String(from + index)]);
const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));

describe('workers on one repository', () => {
  it('go on without a gap when the one that writes is killed, and never write both', async () => {
    const root = await mkdtemp(join(tmpdir(), 'switchyard-test-workers-'));
    const node = await startRedis({ args: ['--repl-backlog-size', '64mb'] });
    const env = { SWITCHYARD_REDIS_URL: node.url, SWITCHYARD_BACKUP_REPOSITORY: root };
    const workers: TestWorker[] = [];
    const start = async (id: string): Promise<TestWorker> => {
      const worker = await startWorker({ ...env, SWITCHYARD_INSTANCE_ID: id });
      workers.push(worker);
      return worker;
    };
    const says = (worker: TestWorker, what: RegExp): Promise<boolean> =>
      eventually(async () => what.test(await worker.archive()), { timeoutMs: 60_000, what: String(what) });
    const segments = createSegmentStore({ store: directoryStore(root) });
    let written = 0;
    const write = async (count: number): Promise<void> => {
      expect(await pipeline(node, sets(written, count))).toBe(count);
      written += count;
    };
    try {
      const first = await start('first');
      await says(first, /^following/);
      const second = await start('second');
      await says(second, /^standby; .*first on /);
      await write(300);
      await first.kill();
      await write(300);
      // The same machine sees that the owner is gone: its next life does not wait for ten seconds of silence.
      const third = await start('third');
      await says(third, /^following/);
      await write(300);
      await says(second, /^standby; .*third on /);
      await third.kill();
      await write(300);
      await says(second, /^following/);
      await write(300);
      const offset = Number(await node.info('replication', 'master_repl_offset'));
      await eventually(async () => ((await newestOf(segments, 'main', soon()))?.last?.to ?? 0) >= offset, {
        timeoutMs: 15_000,
      });
    } finally {
      for (const worker of workers) await worker.kill();
      await node.stop();
    }
    const reader = await startArchive(
      { SWITCHYARD_REDIS_URL: node.url, SWITCHYARD_BACKUP_ARCHIVE: 'false' },
      { directory: root },
    );
    try {
      const timelines = await reader.archive.timelines(soon());
      expect(timelines.map(({ timeline, ranges }) => [timeline.reason, ranges.length])).toEqual([['first', 1]]);
      expect((await archived(reader)).values).toEqual(numbers(written));
      const [timeline] = timelines;
      if (timeline !== undefined) expect(await segments.checkChain(timeline.timeline, soon())).toEqual([]);
    } finally {
      await reader.stop();
      await rm(root, { recursive: true, force: true });
    }
  });
});

describe('the archive in trouble', () => {
  it('says that the disk is full, stops reading, and goes on without a gap', async () => {
    const node = await startRedis({ args: ['--repl-backlog-size', '64mb'] });
    const test = await startArchive({ SWITCHYARD_REDIS_URL: node.url, SWITCHYARD_BACKUP_SEAL_BYTES: '1MiB' });
    try {
      await following(test);
      test.disk.isFull = true;
      const value = 'x'.repeat(100_000);
      const large = Array.from({ length: 400 }, (_, index) => ['SET', `large:${index % 10}`, `${index}:${value}`]);
      expect(await pipeline(node, large)).toBe(400);
      await eventually(() => test.archive.status().state === 'blocked');
      await eventually(() => test.health.report().checks['archive']?.detail?.includes('no space left') === true);
      expect(test.health.report().checks['archive']?.ok).toBe(false);
      expect(test.archive.status().rpoMs).toBeGreaterThan(0);
      // Forty megabytes were written, and no more than the bound is here.
      await eventually(() => (test.archive.status().lagBytes ?? 0) > 20_000_000);
      test.disk.isFull = false;
      const offset = Number(await node.info('replication', 'master_repl_offset'));
      expect(await test.archive.flush({ untilOffset: offset, signal: soon() })).toMatchObject({ ok: true });
      expect(await test.archive.timelines(soon())).toHaveLength(1);
      expect((await archived(test)).counts['SET']).toBe(400);
      expect(test.archive.status().state).toBe('following');
      await eventually(() => test.archive.status().rpoMs === 0);
    } finally {
      await test.stop();
      await node.stop();
    }
  });

  it('leaves a source that froze for another replica, without a gap', async () => {
    const group = await startSentinelGroup({ replicas: 2, sentinels: 1, downAfterMs: 20_000 });
    const test = await startArchive({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
    const [primary] = group.nodes;
    if (!primary) throw new Error('The group is incomplete.');
    try {
      const source = await following(test);
      const frozen = group.nodes.find(({ host, port }) => `${host}:${port}` === source);
      expect(await pipeline(primary, sets(0, 100))).toBe(100);
      frozen?.freeze();
      expect(await pipeline(primary, sets(100, 100))).toBe(100);
      await following(test, source);
      const offset = Number(await primary.info('replication', 'master_repl_offset'));
      expect(await test.archive.flush({ untilOffset: offset, signal: soon() })).toMatchObject({ ok: true });
      frozen?.resume();
      expect(await test.archive.timelines(soon())).toHaveLength(1);
      expect((await archived(test)).values).toEqual(numbers(200));
    } finally {
      await test.stop();
      for (const node of group.nodes) node.resume();
      await group.stop();
    }
  });

  it('records a gap for a transaction that is longer than may be held, and goes on behind it', async () => {
    const node = await startRedis();
    const test = await startArchive({
      SWITCHYARD_REDIS_URL: node.url,
      SWITCHYARD_BACKUP_LONGEST_TRANSACTION_BYTES: '1MiB',
    });
    try {
      await following(test);
      expect(await pipeline(node, [...sets(0, 10), ['SET', 'huge', 'x'.repeat(3_000_000)]])).toBe(11);
      const timelines = await eventually(
        async () => {
          const list = await test.archive.timelines(soon());
          return list.length === 2 ? list : null;
        },
        { timeoutMs: 20_000 },
      );
      expect(timelines[1]?.timeline).toMatchObject({
        reason: 'gap',
        detail: expect.stringContaining('LONGEST_TRANSACTION'),
      });
      await following(test);
      expect(await pipeline(node, sets(10, 10))).toBe(10);
      expect(await test.archive.flush({ signal: soon() })).toMatchObject({ ok: true });
      await eventually(async () => (await archived(test)).values.length === 20);
    } finally {
      await test.stop();
      await node.stop();
    }
  });

  it('follows a primary without replicas late and loudly, uncounted, and leaves it without a gap when one is back', async () => {
    const group = await startSentinelGroup({ replicas: 1, sentinels: 1, args: ['--repl-backlog-size', '64mb'] });
    const [primary, replica] = group.nodes;
    const [sentinel] = group.sentinels;
    if (!primary || !replica || !sentinel) throw new Error('The group is incomplete.');
    const test = await startArchive({
      SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
      SWITCHYARD_BACKUP_ARCHIVE_PRIMARY_AFTER: '1s',
    });
    try {
      await sentinel.cli('SENTINEL', 'DEBUG', 'INFO-PERIOD', 100);
      await following(test);
      await replica.kill();
      await following(test, `${replica.host}:${replica.port}`);
      expect(test.archive.status()).toMatchObject({ isPrimary: true, source: `${primary.host}:${primary.port}` });
      await eventually(() => test.health.report().checks['archive']?.detail?.includes('PRIMARY') === true);
      expect(await pipeline(primary, sets(0, 200))).toBe(200);
      expect(await test.archive.flush({ signal: soon() })).toMatchObject({ ok: true });
      // Neither for WAIT nor for min-replicas are we a copy of the data.
      expect(await replies(primary, [...sets(200, 1), ['WAIT', '1', '200']])).toEqual(['+OK', ':0']);
      await primary.cli('CONFIG', 'SET', 'min-replicas-to-write', 1, 'min-replicas-max-lag', 1);
      await eventually(
        async () => (await replies(primary, [['SET', 'not', 'taken']]))[0]?.startsWith('-NOREPLICAS') === true,
      );
      await primary.cli('CONFIG', 'SET', 'min-replicas-to-write', 0);
      expect(await sentinel.cli('SENTINEL', 'REPLICAS', group.group)).toHaveLength(1);
      await replica.restart();
      await replica.cli('REPLICAOF', primary.host, primary.port);
      await following(test, `${primary.host}:${primary.port}`);
      expect(await pipeline(primary, sets(201, 199))).toBe(199);
      const offset = Number(await primary.info('replication', 'master_repl_offset'));
      expect(await test.archive.flush({ untilOffset: offset, signal: soon() })).toMatchObject({ ok: true });
      expect(await test.archive.timelines(soon())).toHaveLength(1);
      expect((await archived(test)).values).toEqual(numbers(400));
      const known = (await sentinel.cli('SENTINEL', 'REPLICAS', group.group)) as string[][];
      expect(known.map((facts) => facts[1])).toEqual([`127.0.0.1:${replica.port}`]);
    } finally {
      await test.stop();
      await group.stop();
    }
  });
});
