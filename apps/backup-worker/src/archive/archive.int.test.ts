// The archive against real groups: every byte, over failovers, invisible to those who count replicas.
import { eventually, startRedis, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { archived, following, pipeline, startArchive, type TestArchive } from './archive-fixture.ts';

const soon = (): AbortSignal => AbortSignal.timeout(30_000);
const sets = (from: number, count: number): string[][] =>
  Array.from({ length: count }, (_, index) => ['SET', `key:${(from + index) % 500}`, String(from + index)]);

async function flushed({ archive }: TestArchive, node: TestRedis): Promise<void> {
  const offset = Number(await node.info('replication', 'master_repl_offset'));
  const head = await archive.flush({ untilOffset: offset, signal: soon() });
  if (!head.ok) throw new Error(JSON.stringify(head.error));
}

/** Resolves when every Sentinel sees all nodes well: the next failover does not depend on what is left of the last one. */
async function settled(group: SentinelGroup): Promise<void> {
  const field = (facts: readonly string[], name: string): string | undefined => facts[facts.indexOf(name) + 1];
  await eventually(
    async () => {
      for (const sentinel of group.sentinels) {
        const replicas = (await sentinel.cli('SENTINEL', 'REPLICAS', group.group)) as string[][];
        const master = (await sentinel.cli('SENTINEL', 'MASTER', group.group)) as string[];
        const isWell = replicas.every(
          (facts) => field(facts, 'flags') === 'slave' && field(facts, 'master-link-status') === 'ok',
        );
        if (!isWell || replicas.length !== 2 || field(master, 'flags') !== 'master') return false;
      }
      return true;
    },
    { timeoutMs: 60_000, what: 'Sentinels that see all nodes well' },
  );
}

describe('the archive of a group with Sentinels', () => {
  let group: SentinelGroup;
  let test: TestArchive;

  beforeEach(async () => {
    group = await startSentinelGroup({
      replicas: 2,
      sentinels: 3,
      downAfterMs: 1_000,
      failoverTimeoutMs: 3_000,
      args: ['--repl-backlog-size', '64mb'],
    });
    test = await startArchive({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
  });
  afterEach(async () => {
    await test.stop();
    await group.stop();
  });

  it('holds every write, with the event that a person looks for, and nobody takes it for a replica', async () => {
    const primary = await group.primary();
    const source = await following(test);
    expect(source).not.toBe(`${primary.host}:${primary.port}`);
    for (const sentinel of group.sentinels) await sentinel.cli('SENTINEL', 'DEBUG', 'INFO-PERIOD', 100);
    expect(await pipeline(primary, [...sets(0, 1_499), ['FLUSHALL'], ...sets(1_499, 1_500)])).toBe(3_000);
    await flushed(test, primary);
    const { counts, values } = await archived(test);
    expect([counts['SET'], counts['FLUSHALL']]).toEqual([2_999, 1]);
    expect(values).toEqual(Array.from({ length: 2_999 }, (_, index) => String(index)));
    const [timeline] = await test.archive.timelines(soon());
    const events = (await test.archive.segments(timeline?.timeline.id ?? '', soon())).flatMap((one) => one.events);
    expect(events).toMatchObject([{ kind: 'flush', command: 'FLUSHALL' }]);
    // Two replicas and no third one, for WAIT, for min-replicas and for every Sentinel.
    expect(await primary.cli('WAIT', 3, 200)).toBe(2);
    expect(await primary.info('replication', 'connected_slaves')).toBe('2');
    for (const sentinel of group.sentinels)
      expect(await sentinel.cli('SENTINEL', 'REPLICAS', group.group)).toHaveLength(2);
    await eventually(() => test.archive.status().rpoMs === 0);
    const listed = await eventually(async () => {
      const { backups } = await test.repository.backups.list('main');
      return backups.length > 0 ? backups : null;
    });
    expect(listed).toMatchObject([
      {
        manifest: { timeline: timeline?.timeline.id, source: { offset: timeline?.timeline.start.offset } },
        verification: { ok: true },
      },
    ]);
  });

  const failovers = Number(process.env['SWITCHYARD_TEST_FAILOVERS'] ?? 2);
  it(
    `goes on without a gap over ${failovers} failovers under load`,
    async () => {
      let written = 0;
      const over = new AbortController();
      const acknowledged: number[] = [];
      await following(test);
      const writer = (async () => {
        while (!over.signal.aborted) {
          const primary = await group.primary().catch(() => undefined);
          const count = primary === undefined ? 0 : await pipeline(primary, sets(written, 200)).catch(() => 0);
          for (let index = 0; index < count; index += 1) acknowledged.push(written + index);
          written += 200;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      })();
      try {
        for (let round = 0; round < failovers; round += 1) {
          const primary = await group.primary();
          await primary.kill();
          const next = await group.primaryOtherThan(primary, 60_000);
          await primary.restart();
          // As a manager does at once; Sentinel itself waits for ten seconds.
          await primary.cli('REPLICAOF', next.host, next.port);
          await eventually(async () => (await primary.info('replication', 'master_link_status')) === 'up', {
            timeoutMs: 60_000,
          });
          await eventually(async () => (await next.info('replication', 'connected_slaves')) !== '0', {
            timeoutMs: 60_000,
          });
          await following(test, `${next.host}:${next.port}`);
          await settled(group);
        }
      } finally {
        over.abort();
        await writer;
      }
      const primary = await group.primary();
      await flushed(test, primary);
      const timelines = await test.archive.timelines(soon());
      // A failover that loses writes which are archived already is the only reason for a gap: that history has no successor.
      const told = timelines.map(({ timeline, ranges }) => [timeline.reason, timeline.detail, ranges.length]);
      const isLoss = (index: number): boolean => told[index]?.[1]?.toString().includes('a failover lost') === true;
      expect(told.filter((_, index) => index > 0 && !isLoss(index))).toEqual([]);
      expect(told.filter(([, , ranges]) => ranges !== 1)).toEqual([]);
      const losses = told.length - 1;
      if (losses > 0) process.stderr.write(`${losses} of ${failovers} failovers lost writes that were archived\n`);
      const lists = await Promise.all(timelines.map(({ timeline }) => test.archive.segments(timeline.id, soon())));
      const events = lists.flat().flatMap((one) => one.events);
      expect(events.filter(({ kind }) => kind === 'failover').length).toBeGreaterThanOrEqual(failovers - losses);
      // Everything that the group holds is in the archive; what the old primary alone had is in neither.
      const { values } = await archived(test);
      const keys = ((await primary.cli('KEYS', 'key:*')) as string[]).slice(0, 20);
      for (const key of keys) expect(values).toContain(await primary.cli('GET', key));
      expect(acknowledged.length).toBeGreaterThan(0);
      for (const sentinel of group.sentinels)
        expect(await sentinel.cli('SENTINEL', 'REPLICAS', group.group)).toHaveLength(2);
    },
    60_000 * (failovers + 1),
  );
});

describe('the archive of a single node', () => {
  it('acknowledges what is archived, and begins a new timeline when nobody can go on', async () => {
    const node = await startRedis();
    const test = await startArchive({ SWITCHYARD_REDIS_URL: node.url });
    try {
      await following(test);
      expect(await pipeline(node, sets(0, 100))).toBe(100);
      await flushed(test, node);
      // Our own acknowledgement counts here: a WAIT for one copy means that it is in the archive.
      await eventually(async () => (await node.cli('WAIT', 1, 1_500)) === 1);
      await node.kill();
      await node.restart();
      await eventually(async () => (await test.archive.timelines(soon())).length === 2, { timeoutMs: 30_000 });
      await following(test);
      expect(await pipeline(node, sets(100, 50))).toBe(50);
      await flushed(test, node);
      const [first, second] = await test.archive.timelines(soon());
      expect(second?.timeline).toMatchObject({ reason: 'gap', previous: { timeline: first?.timeline.id } });
      expect(second?.timeline.previous?.offset).toBe(first?.ranges.at(-1)?.to);
      expect((await archived(test)).counts['SET']).toBe(150);
    } finally {
      await test.stop();
      await node.stop();
    }
  });
});
