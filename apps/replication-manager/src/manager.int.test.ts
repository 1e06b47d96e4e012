import { eventually, startRedis, startSentinelGroup } from '@switchyard/testing';
import { cleanUp, startManager } from './manager-fixture.ts';

afterAll(cleanUp, 20_000);

describe('a manager that was away during a failover', () => {
  it('tells it when it is back, and still tells it when all of Redis is gone', async () => {
    const group = await startSentinelGroup({ replicas: 1 });
    try {
      const env = { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses };
      const first = await startManager(env);
      await eventually(async () => expect((await first.group()).state).toBe('ok'), { timeoutMs: 10_000 });
      await first.stop();
      const [old] = group.nodes;
      if (old === undefined) throw new Error('no node');
      await old.kill();
      const primary = await group.primaryOtherThan(old);

      const second = await startManager(env, first.stateDir);
      const history = await eventually(
        async () => {
          const entries = await second.history();
          return entries.length > 0 && entries;
        },
        { timeoutMs: 15_000 },
      );
      expect(history).toMatchObject([
        {
          id: 'main-1',
          from: { port: old.port },
          to: { port: primary.port },
          writesUnavailableMs: null,
          dataLoss: { verdict: 'unknown' },
        },
      ]);
      expect(history[0]?.evidence.at(-1)).toContain('not seen: sdown, odown, elected, selected');
      await second.stop();

      await Promise.all([...group.nodes, ...group.sentinels].map((node) => node.kill()));
      const third = await startManager(env, first.stateDir);
      expect((await third.history()).map(({ id }) => id)).toEqual(['main-1']);
      expect(await third.get('/v1/redis/groups/main/primary')).toMatchObject({
        status: 503,
        body: { code: 'no_primary' },
      });
      const view = await third.group();
      expect(view).toMatchObject({ state: 'down', quorum: { reachable: 0, ok: false } });
      await third.stop();
    } finally {
      await group.stop();
    }
  }, 90_000);
});

describe('a manager of a single Redis', () => {
  it('tells whether it serves; nobody fails it over, so there is no history', async () => {
    const redis = await startRedis();
    try {
      const manager = await startManager({ SWITCHYARD_REDIS_URL: redis.url });
      await eventually(async () =>
        expect(await manager.group()).toMatchObject({
          kind: 'single',
          state: 'ok',
          epoch: null,
          quorum: { needed: 0, ok: true },
        }),
      );
      await redis.kill();
      await eventually(async () => expect((await manager.get('/v1/redis/groups/main/primary')).status).toBe(503));
      expect(await manager.group()).toMatchObject({ state: 'down', problems: [{ code: 'no_primary' }] });
      await redis.restart();
      await eventually(async () => expect((await manager.get('/v1/redis/groups/main/primary')).status).toBe(200));
      expect(await manager.history()).toEqual([]);
    } finally {
      await redis.stop();
    }
  }, 40_000);
});

describe('the API of a manager', () => {
  it.each([
    ['/v1/redis/groups/nope', undefined, 404, 'not_found'],
    ['/v1/redis/groups/nope/history', undefined, 404, 'not_found'],
    ['/v1/redis/groups/main/replica?maxLagBytes=abc', undefined, 400, 'invalid_input'],
    ['/v1/redis/groups/main/replica?maxLagBytes=-1', undefined, 400, 'invalid_input'],
    ['/v1/redis/groups/main/replica?maxLagBytes=', undefined, 400, 'invalid_input'],
    ['/v1/redis/groups/main/replica?maxlagbytes=1', undefined, 400, 'invalid_input'],
    ['/v1/redis/groups/main/history?limit=0', undefined, 400, 'invalid_input'],
    ['/v1/redis/groups/main/history?limit=1e9', undefined, 400, 'invalid_input'],
    ['/v1/redis/groups/%00', undefined, 404, 'not_found'],
    ['/v1/redis/groups/main/switchover', { method: 'POST' }, 400, 'invalid_input'],
    ['/v1/redis/groups/main', { method: 'DELETE' }, 409, 'conflict'],
    ['/v1/redis/groups/main', { method: 'PATCH' }, 405, 'method_not_allowed'],
  ])('answers %s with a problem (%p): %i %s', async (path, init, status, code) => {
    const manager = await shared();
    expect(await manager.get(path, init)).toMatchObject({ status, body: { status, code } });
  });

  it('describes itself, with a group that was never reached', async () => {
    const manager = await shared();
    expect(await manager.get('/v1/openapi.json')).toMatchObject({
      status: 200,
      body: { paths: { '/v1/redis/groups/{group}/primary': expect.any(Object) } },
    });
    expect(await manager.get('/v1/redis/groups')).toMatchObject({
      body: { groups: [{ name: 'main', state: 'down' }] },
    });
  });

  let running: ReturnType<typeof startManager> | undefined;
  const shared = (): ReturnType<typeof startManager> => {
    running ??= startManager({ SWITCHYARD_REDIS_SENTINELS: '127.0.0.1:1' });
    return running;
  };
});
