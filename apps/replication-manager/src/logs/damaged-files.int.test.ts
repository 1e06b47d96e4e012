import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, startRedis, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const damageBytes = async (file: string): Promise<void> => {
  const bytes = await readFile(file);
  bytes.fill('X', Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 8);
  await writeFile(file, bytes);
};

describe('a replica whose files are damaged', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let directory: string;
  let node: TestRedis;
  const settled = (): Promise<unknown> =>
    eventually(
      async () => {
        const { nodes, problems } = await manager.group();
        expect(nodes.map(({ state }) => state)).toEqual(['ok', 'ok', 'ok']);
        expect(problems.map(({ code }) => code)).not.toContain('corrupt_data_files');
      },
      { timeoutMs: 40_000 },
    );
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-test-damage-'));
    group = await startSentinelGroup({ replicas: 1 });
    const [primary] = group.nodes as [TestRedis];
    await primary.cli('EVAL', `for i = 1, 2000 do redis.call('SET', 'key:' .. i, string.rep(i, 10)) end`, 0);
    const args = ['--appendonly', 'yes', '--logfile', join(directory, 'redis.log')];
    node = await startRedis({ args, dir: directory, replicaOf: primary });
    manager = await startManager({
      SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
      SWITCHYARD_REPLICATION_LOG_FILES: `${node.host}:${String(node.port)}=${join(directory, 'redis.log')}`,
    });
    await eventually(async () => expect((await manager.group()).nodes).toHaveLength(3), { timeoutMs: 30_000 });
    await settled();
  }, 60_000);
  afterAll(async () => {
    await Promise.all([node.stop(), group.stop()]);
    await rm(directory, { recursive: true, force: true });
  }, 20_000);

  it('is told with the file and what to do, and is compared when it is back', async () => {
    const [primary] = group.nodes as [TestRedis];
    await eventually(async () => (await node.info('persistence', 'aof_rewrite_in_progress')) === '0');
    await node.kill();
    const folder = join(directory, 'appendonlydir');
    const base = (await readdir(folder)).find((file) => file.endsWith('.base.rdb')) ?? '';
    await damageBytes(join(folder, base));
    await expect(node.restart()).rejects.toThrow();
    await eventually(
      async () => {
        const found = (await manager.group()).problems.find(({ code }) => code === 'corrupt_data_files');
        expect(found).toMatchObject({
          detail: expect.stringContaining('could not start because its data files are damaged: '),
          next: expect.stringContaining(`cd ${directory}`),
        });
      },
      { timeoutMs: 30_000 },
    );
    // As the words of the problem say.
    await mkdir(join(directory, 'damaged'));
    await rename(folder, join(directory, 'damaged', 'appendonlydir'));
    await node.restart();
    await settled();
    expect(await node.cli('DBSIZE')).toBe(await primary.cli('DBSIZE'));
    const checks = await manager.get('/v1/redis/groups/main/checks');
    expect(JSON.stringify(checks.body)).toContain('began anew: its files were damaged');
    expect((await manager.group()).lastCheck?.verdict).toBe('same');
  }, 100_000);
});
