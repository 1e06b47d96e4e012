import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually, startRedis, startSentinel, startSentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

/** A main group that nobody answers for: these tests are about the others. */
const env = { SWITCHYARD_REDIS_SENTINELS: '127.0.0.1:1' };
const at = ({ host, port }: TestRedis): string => `${host}:${String(port)}`;
const stops: (() => Promise<void>)[] = [];
const own = <T extends { stop(): Promise<void> }>(one: T): T => {
  stops.push(() => one.stop());
  return one;
};

interface Answer {
  readonly status: number;
  readonly body: {
    readonly code?: string;
    readonly detail?: string;
    readonly change?: string;
    readonly revision?: number;
    readonly secrets?: readonly string[];
    readonly settings?: Record<string, unknown>;
    readonly why?: readonly string[];
    readonly admission?: { readonly admitted: boolean; readonly problems: readonly { readonly code: string }[] } | null;
    readonly provisioning?: {
      readonly ok: boolean;
      readonly tookMs: number;
      readonly sentinels: readonly object[];
    } | null;
  };
}

const put = async (manager: TestManager, path: string, body: object, headers = {}): Promise<Answer> =>
  (await manager.get(`/v1/redis/groups/${path}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(40_000),
  })) as Answer;

const remove = async (manager: TestManager, name: string): Promise<Answer> =>
  (await manager.get(`/v1/redis/groups/${name}`, { method: 'DELETE', signal: AbortSignal.timeout(10_000) })) as Answer;

afterEach(async () => {
  await cleanUp();
  await Promise.all(stops.splice(0).map((stop) => stop()));
}, 30_000);

describe('a group that is added while the manager runs', () => {
  it('is looked after like the first one, survives a restart, and goes without a trace', async () => {
    const group = own(await startSentinelGroup({ replicas: 1, group: 'shop' }));
    const [primary] = group.nodes;
    if (primary === undefined) throw new Error('no node');
    const manager = await startManager(env);
    const document = { seeds: group.sentinelAddresses.split(','), names: { r1: at(primary) } };
    expect(await put(manager, 'shop', document)).toMatchObject({
      status: 201,
      body: { change: 'created', revision: 1, admission: { admitted: true }, provisioning: null, source: 'api' },
    });
    await eventually(
      async () =>
        expect(await manager.group('shop')).toMatchObject({
          state: 'ok',
          primary: { name: 'r1' },
          manage: 'observe',
          settings: { policy: 'availability' },
        }),
      { timeoutMs: 15_000 },
    );
    expect(await put(manager, 'shop', document)).toMatchObject({
      status: 200,
      body: { change: 'unchanged', revision: 1 },
    });
    expect(await put(manager, 'shop', { ...document, policy: 'consistency' }, { 'if-match': '"7"' })).toMatchObject({
      status: 412,
    });
    expect(await put(manager, 'shop', { ...document, policy: 'consistency' }, { 'if-match': '"1"' })).toMatchObject({
      status: 200,
      body: { change: 'changed', revision: 2 },
    });
    const metrics = String((await manager.get('/metrics')).body);
    expect(metrics).toContain('switchyard_redis_group_state{group="main"');
    expect(metrics).toContain('switchyard_redis_group_state{group="shop"');
    const { body } = await manager.get('/readyz?verbose');
    expect(Object.keys((body as { checks: object }).checks)).toEqual(
      expect.arrayContaining(['redis group main', 'redis group shop']),
    );
    await manager.stop();

    const again = await startManager(env, manager.stateDir);
    await eventually(
      async () => expect(await again.group('shop')).toMatchObject({ state: 'ok', policy: 'consistency' }),
      { timeoutMs: 15_000 },
    );
    expect(await again.get('/v1/redis/groups')).toMatchObject({
      body: { groups: [{ name: 'main' }, { name: 'shop' }] },
    });
    expect((await remove(again, 'shop')).status).toBe(204);
    expect((await remove(again, 'shop')).status).toBe(404);
    expect((await again.get('/v1/redis/groups/shop')).status).toBe(404);
    expect(String((await again.get('/metrics')).body)).not.toContain('group="shop"');
    expect((await put(again, 'main', { seeds: ['127.0.0.1:9'] })).body).toMatchObject({ code: 'conflict' });
    expect(await put(again, 'main', { seeds: ['127.0.0.1:1'], manage: 'observe' })).toMatchObject({
      status: 200,
      body: { change: 'changed', settings: { manage: 'observe' } },
    });
    expect(await again.group()).toMatchObject({ manage: 'observe' });
  }, 90_000);

  it('keeps its password in one file for the user alone, shows it to nobody, and logs it nowhere', async () => {
    const redis = own(await startRedis());
    await redis.cli('CONFIG', 'SET', 'requirepass', 'sesame-open');
    const manager = await startManager(env);
    const made = await put(manager, 'one', { kind: 'single', seeds: [at(redis)], password: 'sesame-open' });
    expect(made).toMatchObject({ status: 201, body: { secrets: ['password'] } });
    await eventually(async () => expect(await manager.group('one')).toMatchObject({ state: 'ok' }), {
      timeoutMs: 10_000,
    });
    const shown = [
      made,
      await manager.get('/v1/redis/groups/one/settings'),
      await manager.get('/v1/redis/groups/one'),
      await manager.get('/v1/redis/groups'),
      await put(manager, 'one?dryRun=true', { kind: 'single', seeds: [at(redis)], password: 'sesame-open', tls: true }),
      manager.process.output(),
    ];
    expect(JSON.stringify(shown)).not.toContain('sesame');
    const file = join(manager.stateDir, 'groups.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, 'utf8')).toContain('sesame-open');
  }, 40_000);

  it('is provisioned within seconds when its Sentinels are empty, and never twice', async () => {
    const primary = own(await startRedis());
    const replicas = await Promise.all([0, 1].map(async () => own(await startRedis({ replicaOf: primary }))));
    const sentinels = await Promise.all([0, 1, 2].map(async () => own(await startSentinel([]))));
    await eventually(async () => expect(await primary.info('replication', 'connected_slaves')).toBe('2'));
    const manager = await startManager(env);
    // The order says nothing: a replica comes first.
    const document = {
      seeds: [...replicas, primary].map(at),
      sentinels: sentinels.map(at),
      manage: 'manage',
      downAfter: '1500ms',
      announce: Object.fromEntries(sentinels.map((one) => [at(one), at(one)])),
    };
    expect(await put(manager, 'fresh?dryRun=true', document)).toMatchObject({
      status: 200,
      body: {
        change: 'none',
        admission: {
          admitted: true,
          primary: at(primary),
          provision: [
            { commands: [`SENTINEL MONITOR fresh 127.0.0.1 ${String(primary.port)} 2`, expect.any(String)] },
            {},
            {},
          ],
        },
      },
    });
    expect(await sentinels[0]?.cli('SENTINEL', 'MASTERS')).toEqual([]);
    const made = await put(manager, 'fresh', document);
    expect(made).toMatchObject({ status: 201, body: { provisioning: { ok: true } } });
    await eventually(
      async () =>
        expect(await manager.group('fresh')).toMatchObject({
          state: 'ok',
          primary: { port: primary.port },
          quorum: { sentinels: 3, agreeing: 3, needed: 2, ok: true },
        }),
      { timeoutMs: 15_000 },
    );
    for (const sentinel of sentinels) {
      expect(await sentinel.cli('SENTINEL', 'CONFIG', 'GET', 'announce-ip')).toEqual(['announce-ip', '127.0.0.1']);
      const facts = await sentinel.cli('SENTINEL', 'MASTER', 'fresh');
      const words = Array.isArray(facts) ? facts.map(String) : [];
      expect(words[words.indexOf('down-after-milliseconds') + 1]).toBe('1500');
      expect(words[words.indexOf('failover-timeout') + 1]).toBe('15000');
    }
    expect(await put(manager, 'fresh', document)).toMatchObject({ body: { change: 'unchanged', provisioning: null } });
    const repeated = await put(manager, 'fresh', { ...document, policy: 'consistency' });
    expect(repeated.body.provisioning?.sentinels).toMatchObject([{ told: [] }, { told: [] }, { told: [] }]);
  }, 90_000);

  it('is never changed when it is only observed, and no slower for others when it is away', async () => {
    const group = own(await startSentinelGroup({ replicas: 1, group: 'watched' }));
    const sums = async (): Promise<readonly string[]> =>
      Promise.all(
        [...group.nodes, ...group.sentinels].map(async ({ dir }, index) => {
          const file = index < group.nodes.length ? 'redis.conf' : 'sentinel.conf';
          return createHash('sha256')
            .update(await readFile(join(dir, file)))
            .digest('hex');
        }),
      );
    const before = await sums();
    for (const node of group.nodes) await node.cli('CONFIG', 'RESETSTAT');
    const manager = await startManager(env);
    // Asks for what the Sentinels do not do: an observed group is left as it is all the same.
    const document = { seeds: group.nodes.map(at).concat(group.sentinels.map(at)), downAfter: '5s', quorum: 3 };
    expect((await put(manager, 'watched', document)).status).toBe(201);
    await eventually(async () => expect(await manager.group('watched')).toMatchObject({ state: 'ok' }), {
      timeoutMs: 15_000,
    });
    expect(await sums()).toEqual(before);
    for (const node of group.nodes) expect(await changing(node)).toEqual([]);

    const other = own(await startRedis());
    expect((await put(manager, 'other', { kind: 'single', seeds: [at(other)] })).status).toBe(201);
    await eventually(async () => expect((await manager.group('other')).state).toBe('ok'), { timeoutMs: 10_000 });
    const hung = [...group.nodes, ...group.sentinels];
    for (const one of hung) one.freeze();
    try {
      await eventually(async () => expect((await manager.group('watched')).state).toBe('down'), { timeoutMs: 20_000 });
      for (let look = 0; look < 10; look += 1) {
        const { state, nodes } = await manager.group('other');
        // It is asked four times a second; questions to those that hang take half a second each.
        expect({ state, fresh: (nodes[0]?.seenAgoMs ?? Infinity) < 1_000 }).toEqual({ state: 'ok', fresh: true });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    } finally {
      for (const one of hung) one.resume();
    }
  }, 60_000);
});

/** Commands that could have changed the node; what Sentinels, the replica and this test send is left out. */
const changing = async (node: TestRedis): Promise<readonly string[]> => {
  const harmless =
    /^(info|time|acl\|.*|hello|auth|client\|(setname|setinfo|list|info|id)|ping|role|config\|(get|resetstat)|replconf|psync|subscribe|psubscribe|publish|multi|exec|select|wait|command.*|latency.*|memory.*|dbsize|lastsave|slowlog.*|object.*)$/;
  return String(await node.cli('INFO', 'commandstats'))
    .split('\r\n')
    .flatMap((line) => /^cmdstat_([^:]+):/.exec(line)?.[1] ?? [])
    .filter((command) => !harmless.test(command));
};
