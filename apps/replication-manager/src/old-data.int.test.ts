// A primary that is killed and back at once with an append-only file of before: does its past replace the present of the others?
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually, startSentinelGroup } from '@switchyard/testing';
import { createGroupLedger, wholeAgain } from './group-ledger-fixture.ts';
import { cleanUp, startManager } from './manager-fixture.ts';

describe('a primary that comes back with old data', () => {
  it('is locked and gives way to a replica that has more, with the boot lock', async () => {
    // Sentinel is slow to judge: nothing but the lock stands between the old file and the replicas
    const args = ['--appendonly', 'yes', '--appendfsync', 'always'];
    const group = await startSentinelGroup({ downAfterMs: 8_000, args });
    try {
      const manager = await startManager({
        SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
        SWITCHYARD_REPLICATION_BOOT_LOCK: 'enforce',
      });
      await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 20_000 });
      const ledger = createGroupLedger(group);
      const old = await group.primary();
      const files = join(old.dir, 'appendonlydir');
      await ledger.write('long ago', { copies: 2 });
      await cp(files, `${files}-of-before`, { recursive: true });
      await ledger.write('today', { copies: 2 });
      // the manager has looked at its settings and at what everybody has
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      await old.kill();
      await rm(files, { recursive: true });
      await cp(`${files}-of-before`, files, { recursive: true });
      await old.restart();
      const now = await group.primaryOtherThan(old, 90_000);
      expect(await ledger.lost(now)).toEqual([]);
      const primary = await wholeAgain(group);
      expect(await ledger.lost(primary)).toEqual([]);
      await eventually(async () => expect(await ledger.lost(old)).toEqual([]), { timeoutMs: 20_000 });
    } finally {
      await cleanUp();
      await group.stop();
    }
  }, 240_000);
});
