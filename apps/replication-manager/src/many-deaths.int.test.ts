// Does a group come through deaths that follow each other, and through restarts in any order? Each promised write is looked for.
import { eventually, seededRandom, startSentinelGroup, type SentinelGroup } from '@switchyard/testing';
import { createGroupLedger, wholeAgain, type GroupLedger } from './group-ledger-fixture.ts';
import { cleanUp, startManager, type TestManager } from './manager-fixture.ts';

/** A Sentinel that was starved for two seconds tilts and does nothing for the next thirty. */
const patienceMs = 90_000;
const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

describe('a group that keeps its data on disk', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let ledger: GroupLedger;

  beforeAll(async () => {
    // `everysec` holds writes back in the process while the disk is busy: killed with all others it would lose them
    group = await startSentinelGroup({
      args: ['--appendonly', 'yes', '--appendfsync', 'always'],
      failoverTimeoutMs: 5_000,
    });
    ledger = createGroupLedger(group);
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
  }, 60_000);
  afterAll(async () => {
    await cleanUp();
    await group.stop();
  }, 30_000);

  it('survives a new primary that dies as soon as it is there, and loses nothing that a replica had', async () => {
    const first = await group.primary();
    await ledger.write('before');
    await first.kill();
    const second = await group.primaryOtherThan(first, patienceMs);
    await ledger.write('between');
    await second.kill();
    const third = await group.primaryOtherThan(second, patienceMs);
    expect([first, second]).not.toContain(third);
    expect(await ledger.lost(third)).toEqual([]);
    for (const node of [first, second]) await node.restart();
    const primary = await wholeAgain(group);
    expect(await ledger.lost(primary)).toEqual([]);
    await eventually(async () => expect((await manager.history()).length).toBeGreaterThanOrEqual(2), {
      timeoutMs: 15_000,
    });
  }, 300_000);

  it('does not follow an old primary that comes back just when the new one dies', async () => {
    const old = await wholeAgain(group);
    await old.kill();
    const now = await group.primaryOtherThan(old, patienceMs);
    await ledger.write('while it was away');
    await now.kill();
    await old.restart();
    const survivor = group.nodes.find((node) => node !== old && node !== now);
    await eventually(async () => expect(await group.primary()).toBe(survivor), { timeoutMs: patienceMs });
    const primary = await wholeAgain(group);
    expect(await ledger.lost(primary)).toEqual([]);
    await now.restart();
    expect(await ledger.lost(await wholeAgain(group))).toEqual([]);
  }, 300_000);

  it('is the same after all nodes died and came back in any order', async () => {
    const random = seededRandom();
    for (let round = 1; round <= 2; round += 1) {
      await wholeAgain(group);
      // all have it: with a copy that is late there would be an order in which it wins
      await ledger.write(`round ${String(round)}`, { copies: 2 });
      await Promise.all(group.nodes.map((node) => node.kill()));
      const order = group.nodes.map((node) => ({ node, at: random() })).toSorted((one, other) => one.at - other.at);
      for (const { node } of order) {
        await pause(random.integer(0, 1_500));
        await node.restart();
      }
      const primary = await wholeAgain(group);
      expect({ seed: random.seed, lost: await ledger.lost(primary) }).toEqual({ seed: random.seed, lost: [] });
    }
  }, 300_000);
});

describe('a Sentinel that dies in the middle of its failover', () => {
  it.each(['crash-after-election', 'crash-after-promotion'])(
    'leaves a group that the others mend: %s',
    async (kind) => {
      const group = await startSentinelGroup({ failoverTimeoutMs: 3_000 });
      try {
        const manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
        const ledger = createGroupLedger(group);
        const old = await group.primary();
        await ledger.write(kind);
        for (const sentinel of group.sentinels) await sentinel.cli('SENTINEL', 'SIMULATE-FAILURE', kind);
        await old.kill();
        const dead = await eventually(() => group.sentinels.find((one) => !one.running()) ?? null, {
          timeoutMs: 30_000,
          what: 'The death of the elected Sentinel',
        });
        for (const sentinel of group.sentinels.filter((one) => one !== dead)) {
          // any word that is no failure ends the simulation
          await sentinel.cli('SENTINEL', 'SIMULATE-FAILURE', 'help');
        }
        const now = await group.primaryOtherThan(old, patienceMs);
        expect(await ledger.lost(now)).toEqual([]);
        await dead.restart();
        await old.restart();
        const primary = await wholeAgain(group);
        expect(await ledger.lost(primary)).toEqual([]);
        await eventually(
          async () => {
            const view = await manager.group();
            expect({ state: view.state, port: view.primary?.port }).toEqual({ state: 'ok', port: primary.port });
          },
          { timeoutMs: 30_000 },
        );
      } finally {
        await cleanUp();
        await group.stop();
      }
    },
    180_000,
  );
});
