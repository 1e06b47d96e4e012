import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import { connectServer } from '../scratch/server-connection.ts';
import { startScratchGroup } from './scratch-group.ts';

const command = process.env['SWITCHYARD_REDIS_SERVER'] ?? 'redis-server';
const never = new AbortController().signal;
let directory: string;
let dataPath: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-test-group-'));
  const redis = await startRedis({ dir: join(directory, 'source') });
  await redis.cli('EVAL', "for i = 1, 3000 do redis.call('SET', 'key:' .. i, i) end", 0);
  await redis.cli('SAVE');
  await redis.stop();
  dataPath = join(directory, 'source', 'dump.rdb');
});
afterAll(() => rm(directory, { recursive: true, force: true }));
const scratch = (): string => join(directory, 'scratch');
const options = () => ({
  group: 'main',
  command,
  directory: scratch(),
  dataPath,
  clock: systemClock,
  deadlineMs: 30_000,
});

describe('startScratchGroup', () => {
  it('has the data on both nodes, is watched by its Sentinel, lets nobody in without password, and leaves nothing', async () => {
    const group = await startScratchGroup({ ...options(), signal: never });
    try {
      for (const address of group.nodes) {
        const connection = await connectServer(address, { signal: never });
        expect(await connection.ask('DBSIZE')).toBe(3_000);
        connection.close();
        const { host, port } = address;
        await expect(connectServer({ host, port }, { signal: never })).rejects.toThrow(/NOAUTH/);
      }
      const [at] = group.settings.sentinels;
      const { password = '' } = group.settings;
      const sentinel = await connectServer({ host: at?.host ?? '', port: at?.port ?? 0, password }, { signal: never });
      const named = await sentinel.ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', group.settings.group);
      expect(String(named)).toBe(`127.0.0.1,${group.nodes[0]?.port}`);
      sentinel.close();
    } finally {
      await group.close();
    }
    expect(await readdir(scratch())).toEqual([]);
    const [first] = group.nodes;
    await expect(connectServer(first ?? { socketPath: '' }, { signal: never })).rejects.toThrow(/reached/);
  });

  it('leaves nothing when it is given up, or cannot be started', async () => {
    await expect(startScratchGroup({ ...options(), signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
    await expect(startScratchGroup({ ...options(), command: '/nowhere/redis', signal: never })).rejects.toThrow(
      'ENOENT',
    );
    await expect(
      startScratchGroup({ ...options(), dataPath: join(directory, 'nothing'), signal: never }),
    ).rejects.toThrow('ENOENT');
    expect(await readdir(scratch())).toEqual([]);
  });

  it('leaves no server and no file when the whole process is killed', async () => {
    const module = join(dirname(fileURLToPath(import.meta.url)), 'scratch-group.ts');
    const script = `const { startScratchGroup } = await import(${JSON.stringify(module)});
      const { systemClock: clock } = await import('@switchyard/runtime');
      const group = await startScratchGroup({ ...${JSON.stringify({ ...options(), clock: undefined })}, clock, signal: new AbortController().signal });
      console.log(group.nodes.map(({ port }) => port).join(','));
      setInterval(() => {}, 1000);`;
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
      {
        cwd: dirname(module),
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const text = await new Promise<string>((resolve) => child.stdout.setEncoding('utf8').once('data', resolve));
    const ports = text.trim().split(',').map(Number);
    expect(ports).toHaveLength(2);
    child.kill('SIGKILL');
    for (const port of ports)
      await eventually(
        async () => {
          await expect(connectServer({ host: '127.0.0.1', port }, { signal: never })).rejects.toThrow(/reached/);
        },
        { timeoutMs: 15_000 },
      );
    await eventually(async () => (await readdir(scratch())).length === 0, { timeoutMs: 15_000 });
  });
});
