// How is a group switched over that has no Sentinel? Its primary hands over by FAILOVER, and the others are told.
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';
import { path, post, switchOver } from './switchover-group-fixture.ts';

describe('a switchover without Sentinels', () => {
  const nodes: TestRedis[] = [];
  let manager: TestManager;

  beforeAll(async () => {
    const first = await startRedis();
    nodes.push(first);
    nodes.push(await startRedis({ replicaOf: first }), await startRedis({ replicaOf: first }));
    const names = nodes.map(({ host, port }, at) => `r${String(at + 1)}=${host}:${String(port)}`).join(',');
    manager = await startManager({ SWITCHYARD_REDIS_URL: first.url, SWITCHYARD_REPLICATION_NODE_NAMES: names });
  }, 60_000);
  afterAll(async () => {
    await cleanUp();
    await Promise.all(nodes.map(async (node) => node.stop()));
  }, 30_000);
  const ready = async (to: string): Promise<void> => {
    await eventually(
      async () =>
        expect((await manager.get(path, post({ dryRun: true, to }))).body).toMatchObject({
          possible: true,
          blockers: [],
        }),
      { timeoutMs: 20_000, intervalMs: 100 },
    );
  };

  it('hands over, and the other replica follows the new primary', async () => {
    await ready('r2');
    expect((await manager.get(path, post({ dryRun: true, to: 'r2' }))).body).toMatchObject({ way: 'direct' });
    await nodes[0]?.cli('SET', 'before', '1');
    const operation = await switchOver(manager, { to: 'r2' });
    expect(operation).toMatchObject({
      state: 'succeeded',
      result: { outcome: 'switched', to: { name: 'r2' }, lostWrites: { verdict: 'none' } },
    });
    process.stdout.write(`gap without Sentinels: ${String(operation.result?.['gapMs'])} ms\n`);
    expect(await nodes[1]?.info('replication', 'role')).toBe('master');
    expect(await nodes[1]?.cli('GET', 'before')).toBe('1');
    await eventually(async () => {
      for (const node of [nodes[0], nodes[2]]) {
        expect(await node?.info('replication', 'master_port')).toBe(String(nodes[1]?.port));
        expect(await node?.info('replication', 'master_link_status')).toBe('up');
      }
    });
  }, 60_000);

  it('is taken back when the target is frozen, and no handover stays stuck', async () => {
    await ready('r3');
    const answer = manager.get(`${path}?wait=40s`, post({ to: 'r3' }));
    // It takes a few looks until the primary is told: by then the target says nothing any more.
    nodes[2]?.freeze();
    const ended = await answer;
    nodes[2]?.resume();
    const { state } = ended.body as { state?: string };
    expect([200, 409]).toContain(ended.status);
    await eventually(
      async () => expect(await nodes[1]?.info('replication', 'master_failover_state')).toBe('no-failover'),
      {
        timeoutMs: 10_000,
      },
    );
    if (state !== 'succeeded') {
      expect(await nodes[1]?.info('replication', 'role')).toBe('master');
      expect(await nodes[1]?.cli('SET', 'after', '1')).toBe('OK');
    }
  }, 60_000);
});
