// What if the manager is killed at any step of a switchover? The next one takes it back or finishes it, and nothing stays paused.
import { operationSchema, type Operation } from '@switchyard/protocol';
import { eventually, startSentinelGroup, type SentinelGroup } from '@switchyard/testing';
import { z } from 'zod';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';
import { envOf, nothingIsLeft, path, post, primaries } from './switchover-group-fixture.ts';
import { startLedger, type Ledger } from './switchover-ledger-fixture.ts';

const steps = [
  'target-preferred:sent',
  'writes-paused',
  'writes-paused:sent',
  'replicas-level',
  'old-bounded:sent',
  'promoted',
  'promoted:sent',
  'old-fenced',
  'old-fenced:sent',
  'writes-resumed:sent',
  'followers-moved',
  'named',
  'settings-restored:sent',
  'probed',
];
const listSchema = z.object({ operations: z.array(operationSchema) });

describe('a manager that is killed in the middle of a switchover', () => {
  let group: SentinelGroup;
  let ledger: Ledger;
  let stateDir: string | undefined;

  beforeAll(async () => {
    group = await startSentinelGroup({ downAfterMs: 3_000 });
    ledger = await startLedger(group);
  }, 60_000);
  afterAll(async () => {
    await ledger.stop();
    await cleanUp();
    await group.stop();
  }, 30_000);

  const ready = async (manager: TestManager): Promise<void> => {
    // Managers that die in the middle see changes that nobody planned, one after the other.
    await manager.get('/v1/redis/groups/main/acknowledge', post({ reason: 'it is a test' }));
    await eventually(
      async () => {
        const answer = await manager.get(path, post({ dryRun: true }));
        expect(answer.body).toMatchObject({ blockers: [] });
      },
      { timeoutMs: 30_000, intervalMs: 100 },
    );
  };

  it.each(steps)(
    'at %s: the next one mends it within 10 s',
    async (step) => {
      const doomed = await startManager({ ...envOf(group), SWITCHYARD_REPLICATION_TEST_KILL_AT: step }, stateDir);
      stateDir = doomed.stateDir;
      await ready(doomed);
      // On a busy machine one may be refused or taken back before it gets so far: then it is asked again.
      await eventually(
        async () => {
          if (doomed.process.running()) await doomed.get(`${path}?wait=20s`, post({})).catch(() => null);
          return !doomed.process.running();
        },
        { timeoutMs: 45_000, what: `The end of the manager at ${step}` },
      );

      const next = await startManager(envOf(group), stateDir);
      const backAtMs = performance.now();
      const operation = await eventually(
        async (): Promise<Operation | null> => {
          const { operations } = listSchema.parse((await next.get('/v1/redis/operations')).body);
          const mine = operations.find(
            ({ kind, createdAt }) => kind === 'switchover' && Date.parse(createdAt) > Date.now() - 60_000,
          );
          return mine === undefined || mine.finishedAt === null ? null : mine;
        },
        { timeoutMs: 15_000 },
      );
      const tookMs = Math.round(performance.now() - backAtMs);
      process.stdout.write(`killed at ${step}: ${operation.state} after ${String(tookMs)} ms\n`);
      expect(tookMs).toBeLessThan(10_000);
      expect(['succeeded', 'failed']).toContain(operation.state);
      await nothingIsLeft(group);
      const [port, ...more] = await primaries(group);
      expect(more).toEqual([]);
      const primary = group.nodes.find((node) => node.port === port);
      expect(await primary?.cli('SET', 'after', step)).toBe('OK');
      await next.stop();
    },
    60_000,
  );

  it('loses no acknowledged write by any of that', async () => {
    const final = await group.primary();
    const acked = ledger.acked();
    const lost = await ledger.lostAt(final);
    process.stdout.write(`${String(acked)} acknowledged, ${String(lost)} lost\n`);
    expect(lost).toBe(0);
  }, 60_000);
});
