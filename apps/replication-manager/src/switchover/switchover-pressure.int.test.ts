// Does a switchover hold what it promises under the most that clients can do, and wait where something else is under way?
import { createConnection } from 'node:net';
import { createRedis, type RedisConnections } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { wholeAgain } from '../group-ledger-fixture.ts';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';
import { envOf, isOk, path, post, switchOver } from './switchover-group-fixture.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

describe('a switchover under pressure', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let connections: RedisConnections;
  const nameOf = (node: TestRedis): string => `r${String(group.nodes.indexOf(node) + 1)}`;
  const aReplica = async (): Promise<TestRedis> => {
    const primary = await wholeAgain(group);
    return group.nodes.find((node) => node !== primary) as TestRedis;
  };
  const blockersFor = async (to: TestRedis): Promise<readonly string[]> => {
    const { body } = await manager.get(path, post({ dryRun: true, to: nameOf(to) }));
    return (body as { blockers: readonly string[] }).blockers;
  };

  beforeAll(async () => {
    group = await startSentinelGroup({ downAfterMs: 4_000 });
    manager = await startManager(envOf(group));
    const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
    connections = createRedis({ kind: 'sentinel', sentinels, group: group.group }, { logger, name: 'test' });
    await isOk(manager);
  }, 60_000);
  afterAll(async () => {
    await connections.stop();
    await cleanUp();
    await group.stop();
  }, 30_000);

  it('loses nothing of writers that do not pause, and gives no element of blocked clients twice or never', async () => {
    const over = new AbortController();
    const acked: string[] = [];
    const writing = Array.from({ length: 64 }, async (_none, writer) => {
      const redis = connections.connect('commands');
      for (let at = 0; !over.signal.aborted; at += 1) {
        const key = `w:${String(writer)}:${String(at)}`;
        const said = await redis.set(key, key).catch(() => null);
        if (said === 'OK') acked.push(key);
        // what is refused at once must not starve everybody else
        else await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    const popped: string[] = [];
    const popping = Array.from({ length: 4 }, async () => {
      const redis = connections.connect('worker');
      while (!over.signal.aborted) {
        const element = await redis.bzpopmin('jobs', 1).catch(() => null);
        if (element) popped.push(element[1]);
      }
    });
    try {
      await eventually(() => acked.length > 1_000, { timeoutMs: 20_000 });
      const operation = await switchOver(manager);
      expect(operation).toMatchObject({ state: 'succeeded', result: { outcome: 'switched' } });
      const primary = await group.primary();
      const elements = Array.from({ length: 40 }, (_none, at) => `job ${String(at)}`);
      for (const [at, element] of elements.entries()) await primary.cli('ZADD', 'jobs', at, element);
      await eventually(() => expect(popped.toSorted()).toEqual(elements.toSorted()), { timeoutMs: 20_000 });
    } finally {
      over.abort();
      await Promise.all([...writing, ...popping]);
    }
    const primary = await wholeAgain(group);
    let lost = 0;
    for (let from = 0; from < acked.length; from += 1_000) {
      const keys = acked.slice(from, from + 1_000);
      const values = (await primary.cli('MGET', ...keys)) as (string | null)[];
      lost += keys.filter((key, at) => values[at] !== key).length;
    }
    expect({ lost, many: acked.length > 1_000 }).toEqual({ lost: 0, many: true });
  }, 120_000);

  it('does not begin while a backup reads the stream of the one that is to take over', async () => {
    const target = await aReplica();
    await isOk(manager);
    const backup = createConnection({ host: target.host, port: target.port });
    backup.on('error', () => undefined).on('data', () => undefined);
    backup.write('SYNC\r\n');
    try {
      await eventually(async () => expect(await blockersFor(target)).toEqual(['no_backup_running']), {
        timeoutMs: 20_000,
      });
      const refused = await manager.get(path, post({ to: nameOf(target) }));
      expect(refused.status).toBeGreaterThanOrEqual(400);
      expect(JSON.stringify(refused.body)).toContain('backup');
    } finally {
      backup.destroy();
    }
    await eventually(async () => expect(await blockersFor(target)).toEqual([]), { timeoutMs: 20_000 });
  }, 90_000);

  it('does not begin while a forced FAILOVER hangs, in which nobody is primary', async () => {
    const target = await aReplica();
    await isOk(manager);
    const primary = await group.primary();
    target.freeze();
    try {
      await primary.cli('FAILOVER', 'TO', target.host, target.port, 'FORCE', 'TIMEOUT', 1);
      await eventually(async () =>
        expect(await primary.info('replication', 'master_failover_state')).not.toBe('no-failover'),
      );
      const other = group.nodes.find((node) => node !== target && node !== primary) as TestRedis;
      await eventually(
        async () => {
          expect(await blockersFor(other)).not.toEqual([]);
          expect((await manager.get(path, post({ to: nameOf(other) }))).status).toBeGreaterThanOrEqual(400);
        },
        { timeoutMs: 20_000 },
      );
    } finally {
      await primary.cli('FAILOVER', 'ABORT');
      target.resume();
    }
    expect(await wholeAgain(group)).toBe(primary);
  }, 90_000);
});
