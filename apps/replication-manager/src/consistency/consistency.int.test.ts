import { redisCheckSchema, type RedisCheck } from '@switchyard/protocol';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

const passed = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

describe('the comparison of data in a group', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let primary: TestRedis;
  let replica: TestRedis;

  const post = (path: string, body?: unknown): ReturnType<TestManager['get']> =>
    manager.get(`/v1/redis/groups/main/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
  const check = async (body: unknown = {}): Promise<RedisCheck> => {
    const answer = await post('check?wait=55s', body);
    expect([200, 202]).toContain(answer.status);
    const { id } = answer.body as { id: string };
    // A busy machine may need longer than an answer may wait.
    const { body: ended } = await eventually(
      async () => {
        const operation = await manager.get(`/v1/operations/${id}`);
        return (operation.body as { finishedAt: unknown }).finishedAt === null ? null : operation;
      },
      { timeoutMs: 60_000, intervalMs: 200 },
    );
    expect(ended).toMatchObject({ state: 'succeeded' });
    return redisCheckSchema.parse((ended as { result: unknown }).result);
  };
  const nodeOf = (found: RedisCheck, name: string): RedisCheck['nodes'][number] | undefined =>
    found.nodes.find(({ node }) => node === name);
  /** Behind the back of replication: its offset stays the same. */
  const tamper = async (...command: readonly (string | number)[]): Promise<void> => {
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'no');
    await replica.cli(...command);
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'yes');
  };

  beforeAll(async () => {
    // Nothing fails over here: a busy machine must not look like a dead primary.
    group = await startSentinelGroup({ downAfterMs: 20_000 });
    primary = group.nodes[0] as TestRedis;
    replica = group.nodes[1] as TestRedis;
    manager = await startManager({
      SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
      SWITCHYARD_REPLICATION_NODE_NAMES: group.nodes
        .map(({ host, port }, at) => `r${String(at + 1)}=${host}:${String(port)}`)
        .join(','),
    });
    for (let at = 0; at < 20_000; at += 2_000) {
      const pairs = Array.from({ length: 2_000 }, (_none, index) => [
        `key:${String(at + index)}`,
        'x'.repeat(80),
      ]).flat();
      await primary.cli('MSET', ...pairs);
    }
    await primary.cli('ZADD', 'board', 1, 'one', 2, 'two');
    await primary.cli('SELECT', 0);
    await eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }), { timeoutMs: 20_000 });
  }, 60_000);
  afterAll(async () => {
    await cleanUp();
    await group.stop();
  }, 30_000);

  it('says that all is the same, with one digest for all nodes', async () => {
    expect((await manager.group()).lastCheck).toBeNull();
    const found = await check();
    expect(found).toMatchObject({ verdict: 'same', cause: 'request' });
    expect(found.nodes.map(({ node, role, verdict }) => [node, role, verdict])).toEqual([
      ['r1', 'primary', 'same'],
      ['r2', 'replica', 'same'],
      ['r3', 'replica', 'same'],
    ]);
    expect(found.checks.filter(({ ok }) => ok !== true)).toEqual([]);
    expect(found.checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['write to r1', 'arrival at r2', 'arrival at r3', 'lineage of r2', 'lineage of r3']),
    );
    expect(nodeOf(found, 'r1')?.keys).toBeGreaterThanOrEqual(20_001);
    expect((await manager.group()).lastCheck).toMatchObject({ verdict: 'same', nodes: [{}, {}, {}] });
  }, 150_000);

  it('finds one key of all that was changed on a replica, though the offsets are equal, and never tells its value', async () => {
    await tamper('SETRANGE', 'key:777', 40, 'secret');
    await eventually(async () => {
      expect(await replica.info('replication', 'slave_repl_offset')).toBe(
        await primary.info('replication', 'master_repl_offset'),
      );
    });
    const found = await check();
    expect(found.verdict).toBe('different');
    expect(nodeOf(found, 'r3')).toMatchObject({ verdict: 'same', differing: 0 });
    expect(nodeOf(found, 'r2')).toMatchObject({
      verdict: 'different',
      differing: 1,
      more: false,
      samples: [
        {
          database: 0,
          key: 'key:777',
          kind: 'value',
          primary: { type: 'string', size: 80, expiresAtMs: null },
          replica: { type: 'string', size: 80, expiresAtMs: null },
        },
      ],
    });
    expect(JSON.stringify(found)).not.toContain('secret');
    const view = await manager.group();
    expect(view).toMatchObject({ state: 'degraded', lastCheck: { verdict: 'different' } });
    expect(view.nodes.find(({ name }) => name === 'r2')).toMatchObject({ state: 'diverged', eligible: false });
    expect(view.problems.find(({ code }) => code === 'data_differs')?.detail).toContain('key:777 (value)');
    const { body } = await manager.get('/metrics');
    expect(body).toContain('switchyard_redis_data_same{group="main",node="r2"} 0');
    expect(body).toContain('switchyard_redis_data_same{group="main",node="r3"} 1');
    expect(body).toMatch(/switchyard_redis_check_age_seconds\{group="main"\} \d/);
  }, 150_000);

  it('tells what kind of difference each is', async () => {
    await tamper('DEL', 'key:1');
    await tamper('SET', 'on the replica alone', 'x');
    await tamper('EXPIRE', 'key:2', 10_000);
    await tamper('SET', 'board', 'no board');
    const samples = nodeOf(await check({ nodes: ['r2'] }), 'r2')?.samples ?? [];
    expect(Object.fromEntries(samples.map(({ key, kind }) => [key, kind]))).toEqual({
      'key:777': 'value',
      'key:1': 'missing',
      'on the replica alone': 'extra',
      'key:2': 'ttl',
      board: 'type',
    });
  }, 150_000);

  it('mends a replica by a fresh copy, on confirmation, without anybody seeing another primary', async () => {
    expect(await post('nodes/r2/resync', { confirm: 'r3' })).toMatchObject({
      status: 409,
      body: { code: 'refused_for_safety' },
    });
    expect(await post('nodes/r1/resync', { confirm: 'r1' })).toMatchObject({ status: 409 });
    expect(await post('nodes/r9/resync', { confirm: 'r9' })).toMatchObject({ status: 404 });
    const copies = Number(await primary.info('stats', 'sync_full'));
    const answer = await post('nodes/r2/resync?wait=55s', { confirm: 'r2' });
    expect(answer).toMatchObject({ status: 200, body: { state: 'succeeded', result: { check: { verdict: 'same' } } } });
    expect(Number(await primary.info('stats', 'sync_full'))).toBe(copies + 1);
    await eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }));
    expect(await manager.history()).toEqual([]);
    expect((await check()).verdict).toBe('same');
  }, 120_000);

  it('raises no false alarm while thousands of writes a second go on, with expiries among them', async () => {
    const writer = writeAllTheTime(primary);
    try {
      await passed(1_500);
      for (let round = 0; round < 3; round += 1) {
        const found = await check();
        expect(found.nodes.flatMap(({ samples }) => samples)).toEqual([]);
        expect(found.nodes.map(({ differing }) => differing)).toEqual([0, 0, 0]);
        expect(['same', 'unsure']).toContain(found.verdict);
      }
    } finally {
      writer.stop();
    }
    expect(writer.writes()).toBeGreaterThan(3_000);
  }, 300_000);

  it('finds the one that differs among them', async () => {
    await tamper('SET', 'key:4242', 'tampered');
    const writer = writeAllTheTime(primary, 'other');
    try {
      const found = await check({ nodes: ['r2'] });
      expect(nodeOf(found, 'r2')).toMatchObject({
        verdict: 'different',
        samples: [{ key: 'key:4242', kind: 'value' }],
      });
    } finally {
      writer.stop();
    }
  }, 150_000);

  it('lists what it found, answers 202 without waiting, and compares once at a time', async () => {
    const slow = await post('check', { dutyPercent: 1 });
    expect(slow.status).toBe(202);
    const { id } = slow.body as { id: string };
    expect(id).toMatch(/^redis-/);
    expect(await post('check', {})).toMatchObject({ status: 409, body: { code: 'conflict' } });
    expect((await manager.get(`/v1/operations/${id}`, { method: 'DELETE' })).status).toBe(200);
    await eventually(async () =>
      expect((await manager.get(`/v1/operations/${id}`)).body).toMatchObject({ state: 'cancelled' }),
    );
    const quick = await check({ digest: false });
    expect(quick.nodes.map(({ digest, verdict }) => [digest, verdict])).toEqual(
      ['r1', 'r2', 'r3'].map(() => [null, 'unknown']),
    );
    const { body } = await manager.get('/v1/redis/groups/main/checks');
    expect((body as { checks: unknown[] }).checks.length).toBeGreaterThan(5);
    expect((await manager.get('/v1/redis/groups/other/checks')).status).toBe(404);
    expect((await post('check', { nodes: [] })).status).toBe(400);
  }, 150_000);
});

/** SETs, counters, lists and keys that live for 50 ms to 3 s, as fast as 5000 a second. */
const writeAllTheTime = (primary: TestRedis, prefix = 'key'): { stop(): void; writes(): number } => {
  const stopped = new AbortController();
  let writes = 0;
  const script = `
    for i = 1, 250 do
      local at = tonumber(ARGV[1]) * 250 + i
      redis.call('SET', ARGV[2] .. ':' .. at * 7919 % 20000, at)
      if i % 10 == 0 then redis.call('SET', 'short:' .. at % 3000, at, 'PX', 50 + at % 3000) end
      if i % 50 == 0 then redis.call('RPUSH', 'list:' .. at % 40, at) end
    end
    redis.call('INCR', 'counter')`;
  const run = async (): Promise<void> => {
    for (let at = 0; !stopped.signal.aborted; at += 1) {
      await primary.cli('EVAL', script, 0, at, prefix);
      writes += 280;
      await passed(50);
    }
  };
  void run();
  return {
    stop: () => stopped.abort(),
    writes: () => writes,
  };
};
