import type { RedisGroupView } from '@switchyard/protocol';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const groups: SentinelGroup[] = [];
afterAll(() => Promise.all(groups.map((group) => group.stop())), 20_000);
const start = async (
  options: Parameters<typeof startSentinelGroup>[0],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly group: SentinelGroup; readonly manager: TestManager; readonly nodes: readonly TestRedis[] }> => {
  // Slow to judge: these tests are about replicas, and a busy machine must not look like a dead primary.
  const group = await startSentinelGroup({ downAfterMs: 3_000, ...options });
  groups.push(group);
  const manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses, ...env });
  return { group, manager, nodes: group.nodes };
};
const settingOf = async (node: TestRedis, name = 'min-replicas-to-write'): Promise<string> =>
  String(((await node.cli('CONFIG', 'GET', name)) as string[])[1]);
const becomes = (node: TestRedis, value: string, timeoutMs = 15_000): Promise<void> =>
  eventually(async () => expect(await settingOf(node)).toBe(value), { timeoutMs });
const codesOf = (view: RedisGroupView): readonly string[] => view.problems.map(({ code }) => code);
const stateOf = (view: RedisGroupView, node: TestRedis): string | undefined =>
  view.nodes.find(({ port }) => port === node.port)?.state;

describe('min-replicas-to-write of a managed group', () => {
  it('is raised, lowered when the last replica is lost, and raised again after one is back', async () => {
    const { manager, nodes } = await start({ replicas: 2 });
    const [primary, one, two] = nodes as [TestRedis, TestRedis, TestRedis];
    await becomes(primary, '1');
    expect(await settingOf(primary, 'min-replicas-max-lag')).toBe('3');
    // Their turn comes with their promotion.
    expect(await settingOf(one)).toBe('0');
    await one.kill();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await settingOf(primary)).toBe('1');

    const lostAtMs = performance.now();
    await two.kill();
    await eventually(async () => expect(await primary.cli('SET', 'alone', '1')).toBe('OK'), { timeoutMs: 10_000 });
    const refusedMs = performance.now() - lostAtMs;
    expect(refusedMs).toBeLessThan(5_000);
    await eventually(async () => {
      const view = await manager.group();
      expect(stateOf(view, primary)).toBe('wait-primary');
      expect(codesOf(view)).toContain('wait_primary');
      expect(view.state).toBe('degraded');
    });
    await one.restart();
    await becomes(primary, '1', 20_000);
    await eventually(async () => expect(stateOf(await manager.group(), primary)).toBe('ok'));
  }, 60_000);

  it('leaves the new primary of a pair that lost the other one free to write', async () => {
    const { group, manager, nodes } = await start({ replicas: 1, downAfterMs: 1_500 });
    const [old, other] = nodes as [TestRedis, TestRedis];
    await becomes(old, '1');
    await old.kill();
    await group.primaryOtherThan(old);
    await eventually(async () => expect(await other.cli('SET', 'a', '1')).toBe('OK'), { timeoutMs: 10_000 });
    expect(await settingOf(other)).toBe('0');
    await eventually(async () => expect(stateOf(await manager.group(), other)).toBe('wait-primary'));
    await old.restart();
    await becomes(other, '1', 30_000);
  }, 60_000);

  it('stays with the policy consistency: writes are refused, and why is said', async () => {
    const { manager, nodes } = await start({ replicas: 1 }, { SWITCHYARD_REPLICATION_POLICY: 'consistency' });
    const [primary, replica] = nodes as [TestRedis, TestRedis];
    await becomes(primary, '1');
    await becomes(replica, '1');
    await replica.kill();
    await eventually(async () => expect(codesOf(await manager.group())).toContain('wait_primary'));
    await expect(primary.cli('SET', 'a', '1')).rejects.toThrow('NOREPLICAS');
    const { problems } = await manager.group();
    expect(problems.find(({ code }) => code === 'wait_primary')?.detail).toContain('refuses writes');
    await replica.restart();
    await eventually(async () => expect(await primary.cli('SET', 'a', '1')).toBe('OK'), { timeoutMs: 15_000 });
  }, 60_000);

  it('stops a primary that is cut off from everybody else by itself, and the manager lets it', async () => {
    const { group, manager, nodes } = await start({ replicas: 1 });
    const [primary, replica] = nodes as [TestRedis, TestRedis];
    await becomes(primary, '1');
    const others = [replica, ...group.sentinels];
    for (const other of others) other.freeze();
    try {
      await eventually(async () => await expect(primary.cli('SET', 'a', '1')).rejects.toThrow('NOREPLICAS'), {
        timeoutMs: 15_000,
      });
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      await expect(primary.cli('SET', 'a', '1')).rejects.toThrow('NOREPLICAS');
      const { problems } = await manager.group();
      expect(problems.find(({ code }) => code === 'wait_primary')?.detail).toContain('no majority of the Sentinels');
    } finally {
      for (const other of others) other.resume();
    }
  }, 60_000);

  it('goes back to what the operator had, one by one', async () => {
    const args = ['--min-replicas-to-write', '2', '--min-replicas-max-lag', '5'];
    const { nodes } = await start({ replicas: 2, args });
    const [primary, one, two] = nodes as [TestRedis, TestRedis, TestRedis];
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect([await settingOf(primary), await settingOf(primary, 'min-replicas-max-lag')]).toEqual(['2', '5']);
    await one.kill();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await settingOf(primary)).toBe('2');
    await two.kill();
    await becomes(primary, '0');
    await one.restart();
    await becomes(primary, '1', 20_000);
    await two.restart();
    await becomes(primary, '2', 20_000);
  }, 60_000);

  it('is not touched in a group that is only observed', async () => {
    const { manager, nodes } = await start({ replicas: 1 }, { SWITCHYARD_REPLICATION_MANAGE: 'observe' });
    await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(await settingOf(nodes[0] as TestRedis)).toBe('0');
  }, 40_000);
});
