// Does a planned switchover keep every acknowledged write, whatever happens on its way? On real groups, with writers at work.
import { operationSchema, type Operation } from '@switchyard/protocol';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from './manager-fixture.ts';
import { startLedger, type Ledger } from './switchover-ledger-fixture.ts';

const path = '/v1/redis/groups/main/switchover';
const namesOf = (nodes: readonly TestRedis[]): string =>
  nodes.map(({ host, port }, at) => `r${String(at + 1)}=${host}:${String(port)}`).join(',');
const envOf = (group: SentinelGroup): NodeJS.ProcessEnv => ({
  SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
  SWITCHYARD_REPLICATION_NODE_NAMES: namesOf(group.nodes),
  SWITCHYARD_LOG_LEVEL: 'silent',
});
const post = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
  signal: AbortSignal.timeout(50_000),
});
const isOk = async (manager: TestManager): Promise<void> => {
  await eventually(async () => expect((await manager.group()).state).toBe('ok'), {
    timeoutMs: 30_000,
    intervalMs: 100,
  });
};
/** Asks and waits for the end. */
const switchOver = async (manager: TestManager, body: Record<string, unknown> = {}): Promise<Operation> => {
  const answer = await manager.get(`${path}?wait=40s`, post(body));
  if (answer.status !== 200) throw new Error(`${String(answer.status)} ${JSON.stringify(answer.body)}`);
  return operationSchema.parse(answer.body);
};
const setting = async (node: TestRedis, name: string): Promise<string> => {
  const reply = await node.cli('CONFIG', 'GET', name);
  return Array.isArray(reply) ? String(reply[1]) : '';
};
const fullSyncs = async (group: SentinelGroup): Promise<number> => {
  const counts = await Promise.all(group.nodes.map(async (node) => Number(await node.info('stats', 'sync_full'))));
  return counts.reduce((sum, one) => sum + one, 0);
};
/** Nothing that a switchover sets may stay. */
const nothingIsLeft = async (group: SentinelGroup): Promise<void> => {
  for (const node of group.nodes) {
    if (!node.running()) continue;
    expect(await setting(node, 'replica-priority')).toBe('100');
    expect(await setting(node, 'repl-ping-replica-period')).toBe('10');
  }
  for (const sentinel of group.sentinels) {
    if (!sentinel.running()) continue;
    const debug = (await sentinel.cli('SENTINEL', 'DEBUG')) as string[];
    expect(debug[debug.indexOf('INFO-PERIOD') + 1]).toBe('10000');
    const facts = (await sentinel.cli('SENTINEL', 'MASTER', 'main')) as string[];
    expect(facts[facts.indexOf('failover-timeout') + 1]).toBe('15000');
  }
};
const primaries = async (group: SentinelGroup): Promise<readonly number[]> => {
  const roles = await Promise.all(
    group.nodes.map(
      async (node) => [node.port, node.running() ? await node.info('replication', 'role') : null] as const,
    ),
  );
  return roles.filter(([, role]) => role === 'master').map(([port]) => port);
};

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
