import { redisCheckSchema, type RedisCheck } from '@switchyard/protocol';
import { eventually, startCluster, type TestCluster, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

describe('the comparison of data in a Redis Cluster', () => {
  let cluster: TestCluster;
  let manager: TestManager;
  beforeAll(async () => {
    cluster = await startCluster({ nodeTimeoutMs: 15_000 });
    manager = await startManager({
      SWITCHYARD_REDIS_CLUSTER: cluster.addresses.split(',')[0],
      SWITCHYARD_LOG_LEVEL: 'warn',
      // In the background, as often as can be: nobody asks in the last test.
      SWITCHYARD_REPLICATION_CHECK_EVERY_MS: '2000',
      SWITCHYARD_REPLICATION_CHECK_DUTY_PERCENT: '50',
    });
    await eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }), { timeoutMs: 30_000 });
    for (let at = 0; at < 300; at += 1) {
      // Each key where it belongs; the others say where that is.
      for (const node of cluster.nodes) {
        if ((await node.cli('SET', `key:${String(at)}`, at).catch(() => null)) === 'OK') break;
      }
    }
  }, 90_000);
  afterAll(async () => {
    await cleanUp();
    await cluster.stop();
  }, 30_000);

  const check = (): Promise<RedisCheck> =>
    eventually(
      async () => {
        const answer = await manager.get('/v1/redis/groups/main/check?wait=30s', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{}',
          signal: AbortSignal.timeout(40_000),
        });
        // One of the background is under way.
        if (answer.status === 409) return null;
        expect(answer).toMatchObject({ status: 200, body: { state: 'succeeded' } });
        return redisCheckSchema.parse((answer.body as { result: unknown }).result);
      },
      { timeoutMs: 60_000, intervalMs: 200 },
    );
  const replicas = async (): Promise<readonly TestRedis[]> => {
    const roles = await Promise.all(cluster.nodes.map((node) => node.info('replication', 'role')));
    return cluster.nodes.filter((_node, at) => roles[at] === 'slave');
  };

  it('looks at each shard, and says that all is the same', async () => {
    const found = await check();
    expect(found.nodes.map(({ role, verdict }) => `${role} ${verdict}`).sort()).toEqual([
      ...Array.from({ length: 3 }, () => 'primary same'),
      ...Array.from({ length: 3 }, () => 'replica same'),
    ]);
    const keys = found.nodes.filter(({ role }) => role === 'primary').map((node) => node.keys ?? 0);
    expect(keys.reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(300);
    expect(found.checks.filter(({ ok }) => ok === false)).toEqual([]);
    expect(found.checks.filter(({ name, ok }) => name.startsWith('lineage') && ok === true)).toHaveLength(3);
  }, 90_000);

  it('finds in the background what differs on one replica, and says it in the group', async () => {
    const [replica] = (await replicas()) as [TestRedis];
    const [key] = (await replica.cli('KEYS', 'key:*')) as string[];
    // The one command that writes on a replica of a cluster; in a slot of its own shard.
    await replica.cli('DEBUG', 'POPULATE', 1, `{${String(key)}}extra`);
    await eventually(
      async () => {
        const view = await manager.group();
        expect(view.lastCheck?.verdict).toBe('different');
        expect(view.problems.find(({ code }) => code === 'data_differs')?.detail).toContain(
          `{${String(key)}}extra:0 (extra)`,
        );
        expect(view.nodes.find(({ port }) => port === replica.port)).toMatchObject({
          state: 'diverged',
          eligible: false,
        });
      },
      { timeoutMs: 60_000, intervalMs: 500 },
    );
  }, 90_000);
});
