import { operationSchema } from '@switchyard/protocol';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const path = '/v1/redis/groups/main';
const post = (body: unknown): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
  signal: AbortSignal.timeout(40_000),
});
/** The answer without notes on the machine that the test runs on. */
const adviceOf = async (manager: TestManager): Promise<{ readonly status: number; readonly body: unknown }> => {
  const { status, body } = await manager.get(`${path}/settings-advice`);
  const told = body as { readonly advice: readonly { readonly level: string }[] };
  return { status, body: { ...told, advice: told.advice.filter(({ level }) => level === 'advice') } };
};
const configOf = async (node: TestRedis, name: string): Promise<string> => {
  const reply = await node.cli('CONFIG', 'GET', name);
  return Array.isArray(reply) ? String(reply[1]) : '';
};

describe('the settings of a group', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  beforeAll(async () => {
    group = await startSentinelGroup({ replicas: 1 });
    manager = await startManager({
      SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
      SWITCHYARD_REPLICATION_MANAGE: 'manage',
    });
  }, 60_000);
  afterAll(() => group.stop(), 20_000);

  it('are read from each node, and the advice names present and proposed values with the reason', async () => {
    await eventually(
      async () => {
        const view = await manager.group();
        expect(view.nodes.map(({ settings }) => settings?.['appendonly'])).toEqual(['no', 'no']);
      },
      { timeoutMs: 15_000 },
    );
    await eventually(async () => {
      expect(await adviceOf(manager)).toMatchObject({
        status: 200,
        body: {
          advice: [
            { setting: 'appendonly', present: 'no', proposed: 'yes', code: 'no_persistence', level: 'advice' },
            { setting: 'appendonly', code: 'no_persistence' },
          ],
          nodes: [{ machine: { diskFreeBytes: expect.any(Number) }, vitals: { keys: expect.any(Number) } }, {}],
        },
      });
    });
  }, 40_000);

  it('stay as they are in a dry run, which lists each change', async () => {
    const answer = await manager.get(`${path}/settings`, post({ apply: 'all', dryRun: true }));
    expect(answer).toMatchObject({ status: 200, body: { dryRun: true, changes: [{ proposed: 'yes' }, {}] } });
    expect(await Promise.all(group.nodes.map((node) => configOf(node, 'appendonly')))).toEqual(['no', 'no']);
  });

  it('are set on request, on replicas first, kept over a restart, and the answer has the way back', async () => {
    // Nobody asked to touch this one.
    await group.nodes[1]?.cli('CONFIG', 'SET', 'maxmemory', '100000000');
    const answer = await manager.get(`${path}/settings?wait=30s`, post({ apply: ['appendonly'] }));
    const operation = operationSchema.parse(answer.body);
    expect(operation).toMatchObject({ kind: 'settings', state: 'succeeded', percent: 100 });
    const changes = operation.result?.['changes'];
    expect(changes).toMatchObject([
      {
        before: 'no',
        after: 'yes',
        outcome: 'set',
        persisted: true,
        undo: expect.stringContaining('CONFIG SET appendonly "no"'),
      },
      { detail: expect.stringContaining('the first AOF was written') },
    ]);
    expect(operation.steps.at(-1)?.name).toBe((await manager.group()).primary?.name);
    for (const node of group.nodes) {
      expect(await configOf(node, 'appendonly')).toBe('yes');
      expect(await node.info('persistence', 'aof_rewrite_in_progress')).toBe('0');
    }
    const [, replica] = group.nodes;
    await replica?.restart();
    expect(await configOf(replica as TestRedis, 'appendonly')).toBe('yes');
    await eventually(async () => {
      const advice = await adviceOf(manager);
      expect(advice.body).toMatchObject({ advice: [{ code: 'maxmemory_differs' }] });
    });
  }, 60_000);

  it('that hurt are a problem of the group, by numbers: a replica that may hold less than its primary', async () => {
    const [, replica] = group.nodes;
    await eventually(
      async () => {
        const { problems } = await manager.group();
        const found = problems.find(({ code }) => code === 'maxmemory_differs');
        expect(found?.detail).toContain('95 MiB');
        expect(found?.next).toContain('/v1/redis/groups/main/settings');
      },
      { timeoutMs: 15_000 },
    );
    // Another one has set it meanwhile: what the advice was made from is gone, so it is left alone.
    await replica?.cli('CONFIG', 'SET', 'maxmemory', '200000000');
    expect(await manager.get(`${path}/settings?wait=10s`, post({ apply: ['maxmemory'] }))).toMatchObject({
      body: { state: 'failed', problem: { code: 'conflict', why: [expect.stringContaining('left alone')] } },
    });
    expect(await configOf(replica as TestRedis, 'maxmemory')).toBe('200000000');
  }, 40_000);

  it.each([
    [{ apply: ['requirepass'] }, 400, 'invalid_input'],
    [{ apply: [] }, 400, 'invalid_input'],
    [{}, 400, 'invalid_input'],
    [{ apply: ['repl-timeout'] }, 409, 'conflict'],
  ])('are refused as %j with %i %s', async (body, status, code) => {
    expect(await manager.get(`${path}/settings`, post(body))).toMatchObject({ status, body: { code } });
  });
});

describe('the settings of a group that is only observed', () => {
  it('are advised on, and never set', async () => {
    const group = await startSentinelGroup({ replicas: 1, sentinels: 1 });
    try {
      const manager = await startManager({
        SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
        SWITCHYARD_REPLICATION_MANAGE: 'observe',
      });
      await eventually(
        async () => {
          const { body } = await adviceOf(manager);
          expect(body).toMatchObject({ advice: [{ setting: 'appendonly' }, {}] });
        },
        { timeoutMs: 15_000 },
      );
      expect(await manager.get(`${path}/settings`, post({ apply: 'all' }))).toMatchObject({
        status: 409,
        body: { code: 'refused_for_safety', next: expect.stringContaining('manage') },
      });
      expect(await Promise.all(group.nodes.map((node) => configOf(node, 'appendonly')))).toEqual(['no', 'no']);
    } finally {
      await group.stop();
    }
  }, 60_000);
});
