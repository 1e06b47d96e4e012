import { operationSchema, type Operation } from '@switchyard/protocol';
import { eventually, startRedis, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const path = '/v1/redis/groups/main/nodes';
const asks = (method: string, body: unknown = {}): RequestInit => ({
  method,
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
  signal: AbortSignal.timeout(58_000),
});
const nameOf = ({ host, port }: TestRedis): string => `${host}:${String(port)}`;
const fill = async (node: TestRedis, keys: number, valueBytes = 10): Promise<void> => {
  const script = `for i = 1, ${String(keys)} do redis.call('SET', 'key:' .. i, string.rep(i % 10, ${String(valueBytes)})) end`;
  await node.cli('EVAL', script, 0);
};
/** The manager's own probes go on all the time: some moment both have the same. */
const same = (a: TestRedis, b: TestRedis): Promise<unknown> =>
  eventually(
    async () => {
      const [one, two] = await Promise.all([a.cli('DEBUG', 'DIGEST'), b.cli('DEBUG', 'DIGEST')]);
      expect(one).toBe(two);
    },
    { timeoutMs: 15_000 },
  );
const priorityOf = async (node: TestRedis): Promise<string> => String(await node.info('replication', 'slave_priority'));
const listedBy = async (sentinel: TestRedis): Promise<readonly number[]> => {
  const replies = await sentinel.cli('SENTINEL', 'REPLICAS', 'main');
  const ports = Array.isArray(replies) ? replies.map((one) => (Array.isArray(one) ? Number(one[5]) : 0)) : [];
  return ports.sort((a, b) => a - b);
};

describe('a replica that is rebuilt', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let primary: TestRedis;
  let replica: TestRedis;
  let other: TestRedis;
  const calm = (): Promise<unknown> =>
    eventually(
      async () => {
        const view = await manager.group();
        expect([view.state, ...view.nodes.map(({ state }) => state)]).toEqual(['ok', 'ok', 'ok', 'ok']);
      },
      { timeoutMs: 30_000 },
    );
  beforeAll(async () => {
    group = await startSentinelGroup({ replicas: 2, args: ['--appendonly', 'yes'] });
    [primary, replica, other] = group.nodes as [TestRedis, TestRedis, TestRedis];
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
    await calm();
  }, 60_000);
  afterAll(() => group.stop(), 20_000);

  it('shows what was looked at in a dry run, and is left alone', async () => {
    const before = await primary.info('stats', 'sync_full');
    const answer = await manager.get(`${path}/${nameOf(replica)}/rebuild`, asks('POST', { dryRun: true }));
    expect(answer).toMatchObject({
      status: 200,
      body: { dryRun: true, ok: true, refusal: null, source: { port: primary.port } },
    });
    expect(await primary.info('stats', 'sync_full')).toBe(before);
  });

  it('has the primary’s data again, was never fit for promotion meanwhile, and is fit afterwards', async () => {
    await fill(primary, 50_000, 100);
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'no');
    await replica.cli('SET', 'key:7', 'tampered');
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'yes');
    await calm();
    const begun = await manager.get(`${path}/${nameOf(replica)}/rebuild`, asks('POST'));
    expect(begun.status).toBe(202);
    const { id } = operationSchema.parse(begun.body);
    const seen = new Set<string>();
    const percents: number[] = [];
    const ended = await eventually(
      async () => {
        const node = (await manager.group()).nodes.find(({ port }) => port === replica.port);
        if (node !== undefined) seen.add(`${node.state} ${String(node.eligible)}`);
        const operation = operationSchema.parse((await manager.get(`/v1/operations/${id}`)).body);
        percents.push(operation.percent);
        return operation.finishedAt !== null && operation;
      },
      { timeoutMs: 50_000 },
    );
    expect(ended).toMatchObject({ kind: 'rebuild', state: 'succeeded', result: { verified: true } });
    expect([...seen]).toContain('rebuilding false');
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
    await same(replica, primary);
    expect(await priorityOf(replica)).toBe('100');
    await calm();
  }, 80_000);

  it('goes on by itself when the manager is killed, which a new one tells; its priority comes back', async () => {
    // Slow enough to be met in the middle.
    await primary.cli('CONFIG', 'SET', 'rdb-key-save-delay', 100);
    const begun = await manager.get(`${path}/${nameOf(replica)}/rebuild`, asks('POST'));
    const { id } = operationSchema.parse(begun.body);
    await eventually(async () => (await replica.info('replication', 'master_sync_in_progress')) === '1', {
      timeoutMs: 15_000,
    });
    expect(await priorityOf(replica)).toBe('0');
    manager.process.signal('SIGKILL');
    await manager.process.ended();
    await primary.cli('CONFIG', 'SET', 'rdb-key-save-delay', 0);
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses }, manager.stateDir);
    expect(await manager.get(`/v1/operations/${id}`)).toMatchObject({
      status: 200,
      body: { id, state: 'failed', steps: [{ name: 'interrupted' }] },
    });
    await eventually(async () => expect(await priorityOf(replica)).toBe('100'), { timeoutMs: 40_000 });
    await calm();
    await same(replica, primary);
  }, 90_000);

  it('waits its turn: two managers do not copy two at once', async () => {
    const second = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
    await eventually(async () => expect((await second.group()).state).toBe('ok'), { timeoutMs: 20_000 });
    await primary.cli('CONFIG', 'SET', 'rdb-key-save-delay', 40);
    // The lease of the one that was killed has to run out.
    const first = await eventually(
      async () => {
        const begun = await manager.get(`${path}/${nameOf(replica)}/rebuild`, asks('POST'));
        return begun.status === 202 && operationSchema.parse(begun.body);
      },
      { timeoutMs: 40_000 },
    );
    await eventually(async () => (await replica.info('replication', 'master_sync_in_progress')) === '1', {
      timeoutMs: 15_000,
    });
    expect(await second.get(`${path}/${nameOf(other)}/rebuild`, asks('POST'))).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    });
    await primary.cli('CONFIG', 'SET', 'rdb-key-save-delay', 0);
    await eventually(
      async () => {
        expect(await manager.get(`/v1/operations/${first.id}`)).toMatchObject({ body: { state: 'succeeded' } });
      },
      { timeoutMs: 40_000 },
    );
    await second.stop();
    await calm();
  }, 90_000);

  it.each([
    ['nope', {}, 404, 'not_found'],
    ['primary', {}, 409, 'conflict'],
    ['primary', { to: '127.0.0.1:1' }, 409, 'conflict'],
    ['replica', { from: 'backup' }, 503, 'not_ready'],
    ['replica', { to: { time: 'now' } }, 400, 'invalid_input'],
    ['replica', { from: 'nowhere' }, 400, 'invalid_input'],
    ['replica', { to: 'no-port' }, 400, 'invalid_input'],
    ['replica', { to: '127.0.0.1:1' }, 409, 'conflict'],
  ])('is refused for %s with %j: %i %s', async (which, body, status, code) => {
    const node = which === 'primary' ? nameOf(primary) : which === 'replica' ? nameOf(replica) : which;
    const answer = await manager.get(`${path}/${node}/rebuild`, asks('POST', body));
    expect(answer).toMatchObject({ status, body: { code } });
  });

  it('is refused when it does not answer, with what to start', async () => {
    await other.kill();
    await eventually(async () => {
      const node = (await manager.group()).nodes.find(({ port }) => port === other.port);
      expect(node?.state).toBe('unreachable');
    });
    expect(await manager.get(`${path}/${nameOf(other)}/rebuild`, asks('POST'))).toMatchObject({
      status: 409,
      body: { code: 'conflict', next: expect.stringContaining('start redis-server') },
    });
    // Now the other one is the only replica that could take over.
    expect(await manager.get(`${path}/${nameOf(replica)}/rebuild`, asks('POST'))).toMatchObject({
      status: 409,
      body: { code: 'refused_for_safety', detail: expect.stringContaining('only replica') },
    });
  }, 30_000);

  it('gives way to a fresh one, and no Sentinel remembers it', async () => {
    const fresh = await startRedis({ args: ['--appendonly', 'yes'] });
    try {
      const answer = await manager.get(
        `${path}/${nameOf(other)}/rebuild?wait=55s`,
        asks('POST', { to: nameOf(fresh), forget: true }),
      );
      const operation: Operation = operationSchema.parse(answer.body);
      expect(operation).toMatchObject({ state: 'succeeded', result: { verified: true, seenBySentinels: true } });
      await same(fresh, primary);
      const expected = [replica.port, fresh.port].sort((a, b) => a - b);
      for (const sentinel of group.sentinels) expect(await listedBy(sentinel)).toEqual(expected);
      expect((await manager.group()).nodes.map(({ port }) => port)).not.toContain(other.port);
    } finally {
      await fresh.stop();
    }
  }, 80_000);
});
