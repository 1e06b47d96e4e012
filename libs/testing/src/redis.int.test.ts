import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';
import { startRedis } from './redis.ts';
import { startSentinelGroup } from './sentinel-group.ts';

const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('startRedis', () => {
  it('answers, and leaves neither process nor directory', async () => {
    const redis = await startRedis();
    expect(await redis.cli('SET', 'a', '1')).toBe('OK');
    expect(await redis.cli('GET', 'a')).toBe('1');
    await expect(redis.cli('NOSUCH')).rejects.toThrow('unknown command');
    await redis.stop();
    expect([alive(redis.pid), existsSync(redis.dir)]).toEqual([false, false]);
    await redis.stop();
  });

  it('keeps its data and port over a crash and a restart when it persists', async () => {
    const redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    try {
      await redis.cli('SET', 'a', '1');
      const before = redis.pid;
      await redis.kill();
      await expect(redis.cli('PING')).rejects.toThrow('ECONNREFUSED');
      await redis.restart();
      expect(await redis.cli('GET', 'a')).toBe('1');
      expect(redis.pid).not.toBe(before);
    } finally {
      await redis.stop();
    }
  });

  it('says what is wrong and what to do when there is no redis-server', async () => {
    const before = process.env['SWITCHYARD_REDIS_SERVER'];
    process.env['SWITCHYARD_REDIS_SERVER'] = '/nowhere/redis-server';
    try {
      await expect(startRedis()).rejects.toThrow(/\/nowhere\/redis-server could not be started.*npm test/);
    } finally {
      if (before === undefined) delete process.env['SWITCHYARD_REDIS_SERVER'];
      else process.env['SWITCHYARD_REDIS_SERVER'] = before;
    }
  });

  it.each(['', 'await redis.kill();'])(
    'does not outlive a test process that is killed (after: "%s")',
    async (before) => {
      const module = join(dirname(fileURLToPath(import.meta.url)), 'index.ts');
      const script = `const { startRedis } = await import(${JSON.stringify(module)});
      const redis = await startRedis(); ${before} console.log(JSON.stringify({ pid: redis.pid, dir: redis.dir }));
      setInterval(() => {}, 1000);`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const line = await new Promise<string>((resolve) => {
        child.stdout.setEncoding('utf8').once('data', resolve);
      });
      const redis = JSON.parse(line) as { pid: number; dir: string };
      expect([alive(redis.pid), existsSync(redis.dir)]).toEqual([before === '', true]);
      child.kill('SIGKILL');
      await eventually(() => !alive(redis.pid) && !existsSync(redis.dir), { what: 'The end of the orphan' });
    },
  );
});

describe('startSentinelGroup', () => {
  it('fails over when the primary is killed, and the old one comes back as a replica', async () => {
    const group = await startSentinelGroup({ replicas: 2, sentinels: 3, downAfterMs: 300 });
    try {
      const old = await group.primary();
      expect(old).toBe(group.nodes[0]);
      await old.cli('SET', 'a', '1');
      await eventually(async () => expect(Number(await old.cli('WAIT', 2, 1_000))).toBe(2));
      await old.kill();
      const now = await group.primaryOtherThan(old);
      expect(await now.cli('GET', 'a')).toBe('1');
      await old.restart();
      await eventually(async () => (await old.info('replication', 'role')) === 'slave', { timeoutMs: 15_000 });
    } finally {
      await group.stop();
    }
    expect([...group.nodes, ...group.sentinels].filter((node) => alive(node.pid) || existsSync(node.dir))).toEqual([]);
  });
});
