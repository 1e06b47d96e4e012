// Do huge keys, functions and replicas that cannot keep up change what a failover does? On real nodes, with a manager.
import { eventually, startSentinelGroup, type SentinelGroup } from '@switchyard/testing';
import { createGroupLedger, wholeAgain, type GroupLedger } from './group-ledger-fixture.ts';
import { cleanUp, startManager, type TestManager } from './manager-fixture.ts';

const megabyte = 1024 * 1024;
const library = `#!lua name=shop
redis.register_function('price', function() return 'from the library' end)`;

describe('a group with heavy data', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let ledger: GroupLedger;

  beforeAll(async () => {
    group = await startSentinelGroup({ downAfterMs: 3_000 });
    ledger = createGroupLedger(group);
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
  }, 60_000);
  afterAll(async () => {
    await cleanUp();
    await group.stop();
  }, 30_000);

  it('gets a replica back that overflows its output buffer again and again, without a failover', async () => {
    const primary = await group.primary();
    const { epoch } = await manager.group();
    const fullSyncs = async (): Promise<number> => Number(await primary.info('stats', 'sync_full'));
    const before = await fullSyncs();
    const limit = `replica ${String(megabyte)} ${String(megabyte)} 1`;
    await primary.cli('CONFIG', 'SET', 'client-output-buffer-limit', limit);
    // so short that no replica finds its place again: every overflow costs a full resynchronisation
    await primary.cli('CONFIG', 'SET', 'repl-backlog-size', 64 * 1024);
    await eventually(
      async () => {
        await primary.cli(
          'EVAL',
          "redis.call('SET', KEYS[1], string.rep('x', tonumber(ARGV[1])))",
          1,
          'b',
          2 * megabyte,
        );
        return (await fullSyncs()) >= before + 4;
      },
      { timeoutMs: 30_000, intervalMs: 200, what: 'Replicas that are given up and start anew' },
    );
    await primary.cli('CONFIG', 'SET', 'client-output-buffer-limit', 'replica 256mb 64mb 60');
    expect(await wholeAgain(group)).toBe(primary);
    await eventually(
      async () => expect(await manager.group()).toMatchObject({ epoch, primary: { port: primary.port } }),
      {
        timeoutMs: 20_000,
      },
    );
  }, 240_000);

  it('has a huge string, a huge hash and its functions also on the new primary', async () => {
    const old = await wholeAgain(group);
    await old.cli('FUNCTION', 'LOAD', library);
    await old.cli('EVAL', "redis.call('SET', KEYS[1], string.rep('x', tonumber(ARGV[1])))", 1, 'string', 32 * megabyte);
    // in pieces: a script that runs for longer than Sentinel's patience is a death of its own
    for (let from = 0; from < 100_000; from += 5_000) {
      const fields = Array.from({ length: 5_000 }, (_none, at) => from + at);
      await old.cli('HSET', 'hash', ...fields.flatMap((field) => [field, field]));
    }
    await ledger.write('after the heavy ones', { copies: 2 });
    await old.kill();
    const now = await group.primaryOtherThan(old, 90_000);
    expect([await now.cli('STRLEN', 'string'), await now.cli('HLEN', 'hash')]).toEqual([32 * megabyte, 100_000]);
    expect(await now.cli('FCALL', 'price', 0)).toBe('from the library');
    expect(await ledger.lost(now)).toEqual([]);
  }, 240_000);
});
