// Does the manager see what Sentinel does not? A primary whose disk is full answers pings; tilted Sentinels count as usable.
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, startSentinelGroup, type SentinelGroup } from '@switchyard/testing';
import { wholeAgain } from './group-ledger-fixture.ts';
import { cleanUp, startManager, type TestManager } from './manager-fixture.ts';

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

describe('what Sentinel does not notice', () => {
  let folder: string;
  let group: SentinelGroup;
  let manager: TestManager;
  const codes = async (): Promise<readonly string[]> => (await manager.group()).problems.map(({ code }) => code);

  beforeAll(async () => {
    // A disk that is full, without one: files may not grow. Redis would die of the signal for that, which a full disk does not send.
    folder = await mkdtemp(join(tmpdir(), 'switchyard-test-server-'));
    const server = join(folder, 'redis-server');
    const real = process.env['SWITCHYARD_REDIS_SERVER'] ?? 'redis-server';
    await writeFile(server, `#!/bin/sh\ntrap '' XFSZ\nexec '${real}' "$@"\n`);
    await chmod(server, 0o755);
    const before = process.env['SWITCHYARD_REDIS_SERVER'];
    process.env['SWITCHYARD_REDIS_SERVER'] = server;
    try {
      group = await startSentinelGroup({ args: ['--appendonly', 'yes'], downAfterMs: 2_000 });
    } finally {
      if (before === undefined) delete process.env['SWITCHYARD_REDIS_SERVER'];
      else process.env['SWITCHYARD_REDIS_SERVER'] = before;
    }
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
  }, 60_000);
  afterAll(async () => {
    await cleanUp();
    await group.stop();
    await rm(folder, { recursive: true, force: true });
  }, 30_000);

  it('a primary whose disk is full refuses writes; the manager names it, and nobody is replaced', async () => {
    if (process.platform !== 'linux') {
      process.stderr.write(
        '\n*** NOT TRIED: a full disk, because limits of a running process are set by prlimit of Linux.\n\n',
      );
      return;
    }
    const primary = await wholeAgain(group);
    const { epoch } = await manager.group();
    const limit = (bytes: string): unknown =>
      execFileSync('prlimit', ['--pid', String(primary.pid), `--fsize=${bytes}:`]);
    limit('4096');
    try {
      await eventually(
        async () => {
          const refusal = await primary.cli('SET', 'big', 'x'.repeat(8_192)).catch((error: unknown) => String(error));
          expect(refusal).toContain('MISCONF');
        },
        { timeoutMs: 15_000, intervalMs: 100 },
      );
      await eventually(async () => expect(await codes()).toContain('save_failed'), { timeoutMs: 15_000 });
      expect(await group.primary()).toBe(primary);
    } finally {
      limit('unlimited');
    }
    await eventually(async () => expect(await primary.cli('SET', 'small', 'x')).toBe('OK'), { timeoutMs: 15_000 });
    await eventually(async () => expect(await codes()).not.toContain('save_failed'), { timeoutMs: 15_000 });
    expect(await manager.group()).toMatchObject({ epoch, primary: { port: primary.port } });
  }, 90_000);

  it('two of three Sentinels that were paused do not act; the manager says that the quorum is gone, and CKQUORUM that all is well', async () => {
    const [first, ...others] = group.sentinels;
    for (const sentinel of others) sentinel.freeze();
    await pause(3_000);
    for (const sentinel of others) sentinel.resume();
    await eventually(
      async () => {
        const { quorum, problems } = await manager.group();
        expect(quorum).toMatchObject({ reachable: 3, ok: false });
        expect(problems.filter(({ code }) => code === 'sentinel_tilted')).toHaveLength(2);
        expect(problems.map(({ code }) => code)).toContain('quorum_lost');
      },
      { timeoutMs: 10_000 },
    );
    await eventually(async () => expect(await first?.cli('SENTINEL', 'CKQUORUM', 'main')).toContain('OK 3 usable'), {
      timeoutMs: 10_000,
    });
  }, 60_000);
});
