import { openDigestReader, type DigestReader } from '@switchyard/redis';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import type { CompareOptions } from './consistency-compare.ts';
import { compareSample } from './consistency-sample.ts';

describe('a sample of the keys', () => {
  const nodes: TestRedis[] = [];
  const readers: DigestReader[] = [];
  let options: CompareOptions;
  beforeAll(async () => {
    const primary = await startRedis();
    nodes.push(primary);
    const replica = await startRedis({ replicaOf: primary });
    nodes.push(replica);
    await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up');
    await primary.cli('MSET', ...Array.from({ length: 500 }, (_none, at) => [`key:${String(at)}`, at]).flat());
    await eventually(async () => expect(await replica.cli('DBSIZE')).toBe(500));
    const open = async (node: TestRedis): Promise<DigestReader> => {
      const logger = createLogger('test', { level: 'silent' });
      const reader = await openDigestReader({ host: node.host, port: node.port, logger, clock: systemClock });
      readers.push(reader);
      return reader;
    };
    options = {
      primary: await open(primary),
      replicas: [await open(replica)],
      clock: systemClock,
      signal: new AbortController().signal,
      onProgress: () => undefined,
    };
  }, 30_000);
  afterAll(async () => {
    for (const reader of readers) reader.close();
    await Promise.all(nodes.map((node) => node.stop()));
  });

  it('is the same where nothing differs, and says that it was a sample', async () => {
    const { primary, replicas } = await compareSample(options, 100);
    expect(primary).toEqual({ digest: null, keys: 100 });
    expect(replicas).toEqual([expect.objectContaining({ digest: null, differing: 0, unsettled: 0, samples: [] })]);
    expect(replicas[0]?.keys).toBeGreaterThanOrEqual(100);
  });

  it('shows what the replica has and the primary has not, and the other way round', async () => {
    const [, replica] = nodes as [TestRedis, TestRedis];
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'no');
    await replica.cli('MSET', ...Array.from({ length: 500 }, (_none, at) => [`extra:${String(at)}`, at]).flat());
    await replica.cli('DEL', ...Array.from({ length: 250 }, (_none, at) => `key:${String(at)}`));
    const [found] = (await compareSample(options, 100)).replicas;
    expect(found?.differing).toBeGreaterThan(40);
    expect(found?.more).toBe(true);
    expect(new Set(found?.samples.map(({ kind }) => kind))).toEqual(new Set(['missing', 'extra']));
  }, 20_000);
});
