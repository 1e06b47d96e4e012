import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RedisFailover } from '@switchyard/protocol';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

describe('a failover of real processes', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let directory: string;
  let old: TestRedis;

  /** The first entry, once it has been amended by everybody. */
  const entry = (): Promise<RedisFailover> =>
    eventually(
      async () => {
        const found = (await manager.history()).at(-1);
        return found?.verification === undefined || found.logs === undefined ? null : found;
      },
      { timeoutMs: 90_000, intervalMs: 200 },
    );

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-test-logs-'));
    // A relative name: each node writes it into its own directory, which it tells, too.
    group = await startSentinelGroup({ downAfterMs: 1_500, args: ['--logfile', 'node.log'] });
    old = group.nodes[0] as TestRedis;
    // The Sentinels of the fixture write to their standard output; the yard puts that into files and names them.
    const files = group.sentinels.map((sentinel, at) => [`s${String(at + 1)}`, sentinel] as const);
    await Promise.all(files.map(([name]) => writeFile(join(directory, `${name}.log`), '')));
    manager = await startManager({
      SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
      SWITCHYARD_REPLICATION_NODE_NAMES: group.nodes
        .map(({ host, port }, at) => `r${String(at + 1)}=${host}:${String(port)}`)
        .join(','),
      SWITCHYARD_REPLICATION_LOG_FILES: files.map(([name]) => `${name}=${join(directory, `${name}.log`)}`).join(','),
    });
    const pairs = Array.from({ length: 1_000 }, (_none, at) => [`key:${String(at)}`, 'x'.repeat(80)]).flat();
    await old.cli('MSET', ...pairs);
    await eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }), { timeoutMs: 20_000 });
    // So that what the nodes wrote when they started is older than the window.
    await eventually(async () => Number(await group.nodes[2]?.info('server', 'uptime_in_seconds')) > 4, {
      timeoutMs: 20_000,
    });
    await old.kill();
    await group.primaryOtherThan(old, 30_000);
    // As the yard does all the time.
    await eventually(
      async () => {
        for (const [name, sentinel] of files) await writeFile(join(directory, `${name}.log`), sentinel.output());
        expect((await manager.history()).length).toBeGreaterThan(0);
      },
      { timeoutMs: 30_000, intervalMs: 50 },
    );
  }, 120_000);
  afterAll(async () => {
    await cleanUp();
    await group.stop();
    await rm(directory, { recursive: true, force: true });
  }, 30_000);

  it('is looked at afterwards: writes arrive, one stream, all follow, the same data', async () => {
    const { verification, to } = await entry();
    const checks = new Map(verification?.checks.map(({ name, ok, detail }) => [name, { ok, detail }]));
    expect([...checks].filter(([, { ok }]) => ok === false)).toEqual([]);
    const replica = to.name === 'r2' ? 'r3' : 'r2';
    expect([...checks.keys()]).toEqual(
      expect.arrayContaining([
        'replicas follow',
        'lineage',
        `write to ${to.name}`,
        `arrival at ${replica}`,
        `lineage of ${replica}`,
        `data of ${replica}`,
        'data of r1',
      ]),
    );
    expect(checks.get('lineage')).toMatchObject({
      ok: true,
      detail: expect.stringContaining('continues the former stream'),
    });
    expect(checks.get(`data of ${replica}`)).toEqual({ ok: true, detail: 'all keys are the same' });
    // The killed one is not there: nobody knows what it has.
    expect(checks.get('data of r1')).toMatchObject({ ok: null });
    expect(verification?.ok).toBeNull();
  }, 100_000);

  it('is told with the lines of the logs of Sentinels and nodes around it, and only with those', async () => {
    const { logs = [], to, startedAtMs } = await entry();
    const linesOf = (source: string): readonly string[] => logs.find((one) => one.source === source)?.lines ?? [];
    const sentinels = ['s1', 's2', 's3'].flatMap(linesOf).join('\n');
    expect(sentinels).toMatch(/:X \d\d \w{3} \d{4} [\d:.]{12} # \+sdown master main 127\.0\.0\.1 /);
    expect(sentinels).toContain('+odown master main');
    expect(sentinels).toContain('+switch-master main');
    const promoted = linesOf(to.name).join('\n');
    // Valkey says PRIMARY
    expect(promoted).toMatch(/(?:MASTER|PRIMARY) MODE enabled/);
    const file = logs.find(({ source }) => source === to.name)?.from ?? '';
    expect(file).toMatch(/node\.log$/);
    // The node's own log begins with its start, long before.
    expect(await readFile(file, 'utf8')).toContain('Server initialized');
    expect(promoted).not.toContain('Server initialized');
    for (const { lines } of logs) {
      expect(lines.join('\n').length).toBeLessThan(9_000);
      for (const line of lines) {
        const clock = /(\d\d):(\d\d):(\d\d)\.\d{3}/.exec(line);
        if (clock === null) continue;
        const { 1: hours, 2: minutes, 3: seconds } = clock;
        const shown = new Date(startedAtMs).setHours(Number(hours), Number(minutes), Number(seconds));
        expect(Math.abs(shown - startedAtMs)).toBeLessThan(30_000);
      }
    }
  }, 100_000);

  it('keeps both over a restart of the manager', async () => {
    const before = await entry();
    await manager.stop();
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses }, manager.stateDir);
    const after = (await manager.history()).at(-1);
    expect(after?.verification).toEqual(before.verification);
    expect(after?.logs).toEqual(before.logs);
  }, 60_000);
});
