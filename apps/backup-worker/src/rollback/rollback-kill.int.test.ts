// A worker that is killed with SIGKILL in the middle of a rollback, before and after the order: the next one ends it well by itself. And a primary that
// dies in the middle of one.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, startOwned, startSentinelGroup, type OwnedProcess, type SentinelGroup } from '@switchyard/testing';
import { digestOf, fill, sameEverywhere } from './rollback-fixture.ts';

const program = join(dirname(fileURLToPath(import.meta.url)), 'rollback-process-fixture.ts');

describe('a rollback whose worker is killed', () => {
  let group: SentinelGroup;
  let directory: string;
  const running: OwnedProcess[] = [];

  const start = async (step = ''): Promise<OwnedProcess> => {
    await rm(join(directory, 'request.json'), { force: true });
    const owned = await startOwned({
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', program, directory, group.sentinelAddresses, step],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    running.push(owned);
    await says(owned, 'ready');
    return owned;
  };
  const request = (offset: number): Promise<void> =>
    writeFile(join(directory, 'request.json'), JSON.stringify({ to: { offset } }));
  const says = (owned: OwnedProcess, what: string): Promise<boolean> =>
    eventually(() => owned.output().includes(what), {
      timeoutMs: 40_000,
      what: `That the worker says ${what}`,
    });
  const kill = async (owned: OwnedProcess): Promise<void> => {
    owned.signal('SIGKILL');
    await owned.ended();
  };
  const patience = async (): Promise<string[]> =>
    Promise.all(
      group.sentinels.map(async (sentinel) => {
        const facts = (await sentinel.cli('SENTINEL', 'MASTER', 'main')) as string[];
        return String(facts[facts.indexOf('down-after-milliseconds') + 1]);
      }),
    );

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-test-rollback-'));
    group = await startSentinelGroup({ replicas: 2, sentinels: 3 });
    await fill(await group.primary(), 200);
  }, 60_000);

  afterAll(async () => {
    for (const owned of running) await owned.end();
    await group?.stop();
    await rm(directory, { recursive: true, force: true });
  }, 30_000);

  it.each<[string, 'before' | 'target']>([
    ['point-sealed', 'before'],
    ['data-proven', 'target'],
  ])(
    'at %s ends with the data of %s, and nothing stays set',
    async (step, expected) => {
      const primary = await group.primary();
      const first = await start(step);
      await primary.cli('SET', 'step', step);
      const target = await digestOf(primary);
      const offset = Number(await primary.info('replication', 'master_repl_offset'));
      await primary.cli('SET', 'later', step);
      const before = await digestOf(primary);
      await request(offset);
      await says(first, 'reached');
      await kill(first);
      const second = await start();
      await says(second, 'step ended');
      expect(await sameEverywhere(group.nodes)).toBe(expected === 'before' ? before : target);
      expect(await patience()).toEqual(['1000', '1000', '1000']);
      expect((await group.primary()).port).toBe(primary.port);
      expect(await primary.info('replication', 'role')).toBe('master');
      await primary.cli('SET', 'later', 'again');
      await kill(second);
    },
    120_000,
  );

  it('goes on with the data of before when the primary dies while it takes the old ones', async () => {
    const primary = await group.primary();
    const worker = await start('data-proven');
    await primary.cli('SET', 'step', 'the death of the primary');
    const offset = Number(await primary.info('replication', 'master_repl_offset'));
    await primary.cli('SET', 'later', 'kept');
    await primary.cli('WAIT', 2, 2_000);
    const before = await digestOf(primary);
    await request(offset);
    await says(worker, 'reached');
    await primary.kill();
    await kill(worker);
    const second = await start();
    await says(second, 'step ended');
    const heir = await group.primaryOtherThan(primary, 30_000);
    expect(await digestOf(heir)).toBe(before);
    expect(await patience()).toEqual(['1000', '1000', '1000']);
    await heir.cli('SET', 'it', 'goes on');
  }, 120_000);
});
