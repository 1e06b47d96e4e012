// A Redis Cluster under management: what is seen of it, how its failovers are told, and what can be asked for. Real processes.
import { operationSchema, type Operation, type RedisGroupView } from '@switchyard/protocol';
import { createRedis, type Redis } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, startCluster, startRedis, type TestCluster, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const path = '/v1/redis/groups/main';
const homeKey = '{switchyard}:probe';
const post = (body: object, method = 'POST'): RequestInit => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
  signal: AbortSignal.timeout(40_000),
});

describe('a Redis Cluster', () => {
  let cluster: TestCluster;
  let manager: TestManager;
  const extra: TestRedis[] = [];

  beforeAll(async () => {
    cluster = await startCluster({ nodeTimeoutMs: 1_000 });
    manager = await startManager(settings());
  }, 60_000);
  afterAll(async () => {
    await cleanUp();
    await Promise.all([...extra, ...(cluster?.nodes ?? [])].map((node) => node.stop()));
  }, 30_000);

  const settings = (): NodeJS.ProcessEnv => ({
    SWITCHYARD_REDIS_CLUSTER: cluster.addresses.split(',')[0],
    SWITCHYARD_REPLICATION_NODE_NAMES: cluster.nodes.map(({ port }, at) => `r${at + 1}=127.0.0.1:${port}`).join(','),
    SWITCHYARD_LOG_LEVEL: 'warn',
  });
  const nodeCalled = (name: string): TestRedis => {
    const node = cluster.nodes[Number(name.slice(1)) - 1];
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  };
  const homeShard = (view: RedisGroupView) => {
    const shard = view.shards?.find(({ slots }) => slots.some(({ from, to }) => from <= 12_385 && 12_385 <= to));
    if (shard === undefined) throw new Error('nobody owns the slot');
    return shard;
  };
  const whole = (): Promise<RedisGroupView> =>
    eventually(
      async () => {
        const view = await manager.group();
        expect(
          view.problems
            .map(({ code }) => code)
            .filter((code) => !/^(single_host|full_coverage|no_persistence)/.test(code)),
        ).toEqual([]);
        expect(view.shards?.map(({ state, replicas }) => [state, replicas.length])).toEqual([
          ['ok', 1],
          ['ok', 1],
          ['ok', 1],
        ]);
        return view;
      },
      { timeoutMs: 40_000, what: 'a whole cluster' },
    );
  const ended = async (answer: { readonly status: number; readonly body: unknown }): Promise<Operation> => {
    expect([200, 202]).toContain(answer.status);
    const { id } = operationSchema.parse(answer.body);
    return eventually(
      async () => {
        const operation = operationSchema.parse((await manager.get(`/v1/operations/${id}`)).body);
        expect(operation.finishedAt).not.toBeNull();
        return operation;
      },
      { timeoutMs: 60_000, what: `the end of ${id}` },
    );
  };
  const refusal = async (answer: Promise<{ readonly status: number; readonly body: unknown }>) => {
    const { status, body } = await answer;
    return { status, ...(body as { code: string; detail: string; why?: string[]; next: string }) };
  };

  it('is seen with its shards, and gives the primary of a shard, a slot or a key', async () => {
    const view = await whole();

    expect(view).toMatchObject({ kind: 'cluster', state: 'ok', primary: { name: homeShard(view).primary.name } });
    expect(view.quorum).toEqual({ needed: 2, sentinels: 3, reachable: 3, agreeing: 3, ok: true });
    expect(view.nodes).toHaveLength(6);
    const primary = async (query: string) => (await manager.get(`${path}/primary${query}`)).body as { name: string };
    expect((await primary('')).name).toBe(homeShard(view).primary.name);
    expect((await primary('?slot=0')).name).toBe(view.shards?.[0]?.primary.name);
    expect((await primary('?shard=5461-10921')).name).toBe(view.shards?.[1]?.primary.name);
    // CLUSTER KEYSLOT foo is 12182
    expect((await primary('?key=foo')).name).toBe(view.shards?.[2]?.primary.name);
    expect((await manager.get(`${path}/replica?slot=0`)).body).toMatchObject({
      name: view.shards?.[0]?.replicas[0]?.name,
    });
    expect(await refusal(manager.get(`${path}/primary?slot=1&key=a`))).toMatchObject({
      status: 400,
      code: 'invalid_input',
    });
    expect(await refusal(manager.get(`${path}/primary?shard=nobody`))).toMatchObject({ status: 404 });
  }, 60_000);

  it('changes the primary of a shard on request: no acknowledged write is lost, and the history says how long none got through', async () => {
    const before = homeShard(await whole());
    const writers = startWriters(cluster.addresses);
    await eventually(() => expect(writers.acknowledged()).toBeGreaterThan(200), { timeoutMs: 10_000 });
    const dry = (await manager.get(`${path}/switchover`, post({ shard: before.name, dryRun: true }))).body;
    expect(dry).toMatchObject({
      possible: true,
      from: { name: before.primary.name },
      to: { name: before.replicas[0]?.name },
      blockers: [],
    });
    expect(homeShard(await manager.group()).primary).toEqual(before.primary);

    const done = await ended(await manager.get(`${path}/switchover`, post({ to: before.replicas[0]?.name })));
    await eventually(() => expect(writers.sinceMark()).toBeGreaterThan(200), { timeoutMs: 15_000 });
    const report = await writers.end();

    expect(done).toMatchObject({
      state: 'succeeded',
      result: { lostWrites: 0, from: before.primary.name, oldPrimaryFollows: true },
    });
    expect(report.lost).toEqual([]);
    expect(report.acknowledged).toBeGreaterThan(400);
    const [entry] = await manager.history();
    expect(entry).toMatchObject({
      kind: 'switchover',
      shard: before.name,
      from: { name: before.primary.name },
      to: { name: before.replicas[0]?.name },
      operation: done.id,
      dataLoss: { verdict: 'none-expected' },
      notes: [expect.stringMatching(/ 0 lost, longest gap \d+ ms/)],
    });
    await eventually(async () => expect((await manager.history())[0]?.verification).toMatchObject({ ok: true }), {
      timeoutMs: 20_000,
      what: 'the verification of the switchover',
    });
    process.stderr.write(`planned: ${JSON.stringify(done.result)}; own writers: ${report.acknowledged} acknowledged\n`);
  }, 120_000);

  it.each(['killed', 'frozen'] as const)(
    'is followed phase by phase when a primary is %s, and the old one comes back as its replica',
    async (how) => {
      const before = homeShard(await whole());
      const dying = nodeCalled(before.primary.name);
      const known = (await manager.history()).length;
      if (how === 'killed') await dying.kill();
      else dying.freeze();

      await eventually(
        async () => expect(homeShard(await manager.group()).primary.name).toBe(before.replicas[0]?.name),
        {
          timeoutMs: 20_000,
        },
      );
      if (how === 'killed') await dying.restart();
      else dying.resume();
      await whole();
      const entry = await eventually(
        async () => {
          const history = await manager.history();
          expect(history.length).toBeGreaterThan(known);
          return history[0];
        },
        { timeoutMs: 20_000 },
      );

      expect(entry).toMatchObject({
        kind: 'failover',
        from: { name: before.primary.name },
        to: { name: before.replicas[0]?.name },
      });
      expect(entry?.phases.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['fail', 'promoted', 'first-write']),
      );
      expect(entry?.writesUnavailableMs).toBeGreaterThan(500);
      expect(entry?.evidence.join('\n')).toMatch(/a probe write was not acknowledged|did not answer|miss/);
      expect(homeShard(await manager.group()).replicas[0]?.name).toBe(before.primary.name);
      const events = await cluster.ownerOf(homeKey);
      expect(events.port).toBe(nodeCalled(before.replicas[0]?.name ?? '').port);
    },
    120_000,
  );

  it('takes on an empty node as a replica, refuses any other by name, and lets a replica go', async () => {
    const view = await whole();
    const owner = view.shards?.[0]?.primary.name ?? '';
    const start = async (): Promise<TestRedis> => {
      const node = await startRedis({
        args: [
          '--cluster-enabled',
          'yes',
          '--cluster-port',
          String(await freePort()),
          '--cluster-node-timeout',
          '1000',
        ],
      });
      extra.push(node);
      return node;
    };
    const [fresh, plain] = [await start(), await startRedis()];
    extra.push(plain);
    const add = (node: TestRedis, replicaOf: string) =>
      manager.get(`${path}/nodes`, post({ address: `127.0.0.1:${node.port}`, replicaOf }));
    expect(await refusal(add(plain, owner))).toMatchObject({
      status: 409,
      why: expect.arrayContaining([expect.stringMatching(/^cluster_enabled/)]),
    });
    expect(await refusal(add(nodeCalled('r2'), owner))).toMatchObject({
      status: 409,
      why: expect.arrayContaining([expect.stringMatching(/^not_a_member/)]),
    });
    expect(await refusal(add(fresh, 'nobody'))).toMatchObject({ status: 404 });

    const added = await ended(await add(fresh, owner));
    expect(added).toMatchObject({ state: 'succeeded', result: { replicaOf: owner } });
    const name = `127.0.0.1:${fresh.port}`;
    expect((await manager.group()).shards?.[0]?.replicas.map((one) => one.name)).toContain(name);

    const remove = (node: string, query = '') =>
      manager.get(`${path}/nodes/${node}${query}`, { method: 'DELETE', signal: AbortSignal.timeout(60_000) });
    expect(await refusal(remove(owner))).toMatchObject({
      status: 409,
      why: expect.arrayContaining([expect.stringMatching(/^owns_no_slots/)]),
    });
    const lone = view.shards?.[1]?.replicas[0]?.name ?? '';
    expect(await refusal(remove(lone))).toMatchObject({
      status: 409,
      why: [expect.stringMatching(/^shard_keeps_replica/)],
    });
    const removed = await ended(await remove(name));
    expect(removed).toMatchObject({ state: 'succeeded', result: { reset: true } });
    for (const node of cluster.nodes)
      expect(String(await node.cli('CLUSTER', 'NODES'))).not.toContain(`:${fresh.port}@`);
    expect(
      String(await fresh.cli('CLUSTER', 'NODES'))
        .trim()
        .split('\n'),
    ).toHaveLength(1);
    await whole();
  }, 180_000);

  it('has a failover without its primary only when that is gone, and only when it was confirmed', async () => {
    const before = homeShard(await whole());
    const heir = before.replicas[0]?.name ?? '';
    const fail = (body: object) => manager.get(`${path}/failover`, post(body));
    expect(await refusal(fail({ shard: before.name }))).toMatchObject({
      status: 409,
      why: expect.arrayContaining([expect.stringMatching(/^primary_gone/)]),
    });
    await nodeCalled(heir).cli('CONFIG', 'SET', 'cluster-replica-no-failover', 'yes');
    await nodeCalled(before.primary.name).kill();
    try {
      await eventually(
        async () =>
          expect((await manager.group()).problems.map(({ code }) => code)).toEqual(
            expect.arrayContaining(['shard_down', 'node_failed']),
          ),
        {
          timeoutMs: 20_000,
        },
      );
      expect(await refusal(manager.get(`${path}/primary`))).toMatchObject({ status: 503, code: 'no_primary' });
      expect(await refusal(manager.get(`${path}/switchover`, post({ shard: before.name })))).toMatchObject({
        status: 409,
        why: expect.arrayContaining([expect.stringMatching(/^primary_serves/)]),
      });
      const unsure = await refusal(fail({ shard: before.name }));
      expect(unsure).toMatchObject({
        status: 409,
        code: 'refused_for_safety',
        next: `the same with "confirm": "main/${heir}"`,
      });

      const done = await ended(await fail({ shard: before.name, confirm: `main/${heir}` }));

      expect(done).toMatchObject({ state: 'succeeded', result: { to: heir } });
      expect(homeShard(await manager.group()).primary.name).toBe(heir);
    } finally {
      await nodeCalled(heir).cli('CONFIG', 'SET', 'cluster-replica-no-failover', 'no');
      await nodeCalled(before.primary.name).restart();
    }
    await whole();
  }, 120_000);

  it('tells of a failover that happened while no manager ran, after it has started again', async () => {
    const before = homeShard(await whole());
    const { stateDir } = manager;
    await manager.stop();
    await nodeCalled(before.primary.name).kill();
    await eventually(async () => (await cluster.ownerOf(homeKey)).port !== nodeCalled(before.primary.name).port, {
      timeoutMs: 20_000,
    });
    await nodeCalled(before.primary.name).restart();
    manager = await startManager(settings(), stateDir);
    await whole();

    const entry = await eventually(
      async () => {
        const [newest] = await manager.history();
        expect(newest?.cause).toMatch(/^it was over before it was seen/);
        return newest;
      },
      { timeoutMs: 25_000 },
    );
    expect(entry).toMatchObject({
      kind: 'failover',
      shard: before.name,
      from: { name: before.primary.name },
      dataLoss: { verdict: 'unknown' },
    });
  }, 90_000);

  it('is only looked at as a group that is observed: no probe, no work', async () => {
    const own = await startRedis();
    extra.push(own);
    const other = await startManager({ SWITCHYARD_REDIS_URL: own.url, SWITCHYARD_LOG_LEVEL: 'warn' });
    const seeds = [cluster.addresses.split(',')[1]];
    const put = await other.get('/v1/redis/groups/shop', post({ kind: 'cluster', seeds, manage: 'observe' }, 'PUT'));
    expect([put.status, put.body]).toEqual([201, expect.anything()]);
    await eventually(async () => expect((await other.group('shop')).shards).toHaveLength(3), { timeoutMs: 15_000 });

    expect(await other.group('shop')).toMatchObject({ manage: 'observe', primary: null });
    expect(await refusal(other.get('/v1/redis/groups/shop/primary'))).toMatchObject({
      status: 400,
      next: expect.stringMatching(/slot=/),
    });
    const { name } = homeShard(await other.group('shop'));
    const answer = await refusal(other.get('/v1/redis/groups/shop/switchover', post({ shard: name })));
    expect(answer).toMatchObject({ status: 409, code: 'refused_for_safety' });
    expect((await other.get('/v1/redis/groups/shop', { method: 'DELETE' })).status).toBe(204);
  }, 60_000);

  it('names the slots that have lost their owner', async () => {
    await whole();
    for (const node of cluster.nodes) await node.cli('CLUSTER', 'DELSLOTS', 100).catch(() => undefined);
    const problem = await eventually(
      async () => {
        const found = (await manager.group()).problems.find(({ code }) => code === 'slots_uncovered');
        expect(found).toBeDefined();
        return found;
      },
      { timeoutMs: 15_000 },
    );
    expect(problem?.detail).toBe('1 of 16384 slots have no owner: 100');
  }, 60_000);
});

/** Eight writers of a client that follows the cluster; every acknowledged number has to be there in the end. */
function startWriters(addresses: string) {
  const nodes = addresses.split(',').map((one) => ({ host: one.split(':')[0] ?? '', port: Number(one.split(':')[1]) }));
  const connections = createRedis({ kind: 'cluster', nodes, group: 'main' }, { logger, name: 'ledger' });
  const redis: Redis = connections.connect('commands');
  const acked: string[] = [];
  const over = new AbortController();
  let mark = 0;
  const writer = async (n: number): Promise<void> => {
    for (let count = 0; !over.signal.aborted; count += 1) {
      const id = `${n}-${count}`;
      try {
        await redis.call('HSET', '{switchyard}:test-ledger', id, '1');
        acked.push(id);
      } catch {
        // not acknowledged: nothing was promised
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const writers = Array.from({ length: 8 }, (_, n) => writer(n));
  return {
    acknowledged: () => (mark = acked.length),
    sinceMark: () => acked.length - mark,
    async end() {
      over.abort();
      await Promise.all(writers);
      const stored = new Set(
        await eventually(async () => (await redis.call('HKEYS', '{switchyard}:test-ledger')) as string[], {
          timeoutMs: 10_000,
        }),
      );
      await redis.call('UNLINK', '{switchyard}:test-ledger');
      await connections.stop();
      return { acknowledged: acked.length, lost: acked.filter((id) => !stored.has(id)) };
    },
  };
}
