// Does a planned switchover keep every acknowledged write, whatever happens on its way? On real groups, with writers at work.
import { eventually, startSentinelGroup, type SentinelGroup } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';
import {
  envOf,
  fullSyncs,
  isOk,
  nothingIsLeft,
  path,
  post,
  primaries,
  switchOver,
} from './switchover-group-fixture.ts';
import { startLedger, type Ledger } from './switchover-ledger-fixture.ts';

describe('a switchover under writers', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let ledger: Ledger;

  beforeAll(async () => {
    group = await startSentinelGroup({ downAfterMs: 3_000 });
    manager = await startManager(envOf(group));
    await isOk(manager);
    ledger = await startLedger(group);
  }, 60_000);
  afterAll(async () => {
    await ledger.stop();
    await cleanUp();
    await group.stop();
  }, 30_000);

  it('tells in a dry run what would happen, and changes nothing', async () => {
    const answer = await manager.get(path, post({ dryRun: true, to: 'r3' }));
    expect(answer).toMatchObject({
      status: 200,
      body: { possible: true, from: { name: 'r1' }, to: { name: 'r3' }, way: 'sentinel', blockers: [] },
    });
    const { checks } = answer.body as { checks: { code: string; ok: boolean | null }[] };
    expect(checks.length).toBeGreaterThanOrEqual(20);
    expect(new Set(checks.map(({ code }) => code)).size).toBe(checks.length);
    expect(checks.filter(({ ok }) => ok === false)).toEqual([]);
  });

  it('moves the role to the node that is named, loses nothing, and copies nobody anew', async () => {
    const before = await fullSyncs(group);
    ledger.gapMs();
    const operation = await switchOver(manager, { to: 'r2' });
    expect(operation).toMatchObject({
      state: 'succeeded',
      kind: 'switchover',
      subject: 'main',
      result: {
        outcome: 'switched',
        from: { name: 'r1' },
        to: { name: 'r2' },
        epoch: 1,
        lostWrites: { verdict: 'none' },
      },
    });
    expect(operation.steps.map(({ state }) => state)).toEqual(operation.steps.map(() => 'done'));
    const gapMs = ledger.gapMs();
    process.stdout.write(
      `gap ${String(operation.result?.['gapMs'])} ms by the operation, ${String(gapMs)} ms by the writers\n`,
    );
    expect(await primaries(group)).toEqual([group.nodes[1]?.port]);
    expect((await fullSyncs(group)) - before).toBe(0);
    await nothingIsLeft(group);
    await isOk(manager);
    const [entry] = await manager.history();
    expect(entry).toMatchObject({ kind: 'switchover', from: { name: 'r1' }, to: { name: 'r2' } });
    await eventually(async () => expect((await manager.history())[0]).toMatchObject({ operation: operation.id }));
  }, 60_000);

  it('goes back and forth, and every acknowledged write is there', async () => {
    const before = await fullSyncs(group);
    const gaps: unknown[] = [];
    for (const to of ['r1', 'r2', 'r1', 'r2', 'r3']) {
      await isOk(manager);
      const operation = await switchOver(manager, { to });
      expect(operation).toMatchObject({ state: 'succeeded', result: { to: { name: to } } });
      gaps.push(operation.result?.['gapMs']);
    }
    process.stdout.write(`gaps ${gaps.join(', ')} ms\n`);
    expect((await fullSyncs(group)) - before).toBe(0);
    await nothingIsLeft(group);
    const final = await group.primary();
    expect(final.port).toBe(group.nodes[2]?.port);
    const acked = ledger.acked();
    expect(acked).toBeGreaterThan(1_000);
    expect(await ledger.lostAt(final)).toBe(0);
  }, 180_000);
});
