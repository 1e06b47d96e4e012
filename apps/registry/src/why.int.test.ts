import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { evictInstance, suspectInstance } from '@switchyard/catalog';
import type { CatalogStore, Decision } from '@switchyard/catalog';
import type { Evidence, Instance } from '@switchyard/protocol';
import { createCatalogStore, createRedis } from '@switchyard/redis';
import type { RedisConnections } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const path = '/v1/services/shop/instances/a';
const evidence: Evidence = {
  because: 'probe-failed',
  detail: 'no heartbeat for 3.1 s, and its address refuses connections',
  silentForMs: 3_100,
  missedBeats: 3,
  probes: [{ kind: 'tcp', outcome: 'refused', tookMs: 1 }],
  fencingToken: 42,
  monitor: 'monitor-1',
};

describe('the answer to why', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  let connections: RedisConnections;
  let store: CatalogStore;
  let monitor: Server;

  beforeAll(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    const logger = createLogger('test', { level: 'silent' });
    const endpoint = { host: '127.0.0.1', port: redis.port };
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    store = createCatalogStore(connections.connect('commands'), 'test');
    const said = {
      monitors: [
        {
          id: 'm1',
          leader: true,
          lastSweepAgoMs: 20,
          suspects: [{ member: 'shop/b', held: 'half of all are silent' }],
        },
      ],
    };
    monitor = createServer((_, res) => res.end(JSON.stringify(said)));
    await new Promise<void>((resolve) => {
      monitor.listen(0, '127.0.0.1', resolve);
    });
  });
  afterAll(async () => {
    monitor.close();
    await connections.stop();
    await registry.stop();
    await redis.stop();
  });
  const commit = async (decide: (current: Instance) => Decision): Promise<void> => {
    const current = await store.readInstance('shop', 'a');
    if (!current) throw new Error('it is registered');
    const decision = decide(current);
    if (decision.type !== 'commit') throw new Error('nothing was decided');
    expect((await store.commit(decision.commit)).type).toBe('committed');
  };
  const why = async (of = path) => (await registry.api.get(`${of}/why`).expect(200)).body;

  it('tells the whole story of an instance that was evicted, with its evidence, and after it is gone', async () => {
    await registry.api.put(path).send({ url: 'http://127.0.0.1:1', ttl: '60s' }).expect(201);
    const fresh = await why();
    expect(fresh.summary[0]).toBe('shop/a may take traffic.');
    expect(fresh.heartbeat.ttlMs).toBe(60_000);
    expect(fresh.heartbeat.lastAgoMs).toBeLessThan(10_000);
    await commit((current) => suspectInstance(current, { because: 'silence', detail: 'silent' }, Date.now()));
    // what happens to others in between costs nothing and is not told
    for (let n = 0; n < 5; n += 1)
      await registry.api.put(`/v1/services/other/instances/x${n}`).send({ url: 'http://127.0.0.1:2' });
    await commit((current) => evictInstance(current, evidence, Date.now()));

    let told = await why();
    for (let wait = 0; told.instance.liveness !== 'dead' && wait < 50; wait += 1) told = await why();

    expect(told.history.map(({ type }: { type: string }) => type)).toEqual([
      'instance.evicted',
      'instance.suspected',
      'instance.registered',
    ]);
    expect(told.summary[0]).toContain('gets no new traffic: evicted');
    expect(told.summary.join('\n')).toContain('3 heartbeats missed; tcp probe: refused after 1 ms; by monitor-1');
    expect(told.heartbeat).toBeNull();
    expect(told.problems).toEqual([]);

    await registry.api.delete(path).expect(204);
    const gone = await why();
    expect(gone.instance).toBeNull();
    expect(gone.summary[0]).toBe('shop/a is not in the catalog any more.');
    expect(gone.history.map(({ type }: { type: string }) => type)).toContain('instance.evicted');
  });

  it('asks the monitors what holds them back, and names the one that does not answer', async () => {
    const own = (id: string): string => `/v1/services/switchyard-heartbeat-monitor/instances/${id}`;
    await registry.api.put(own('m1')).send({ url: `http://127.0.0.1:${(monitor.address() as AddressInfo).port}` });
    await registry.api.put(own('m2')).send({ url: 'http://127.0.0.1:1' });
    await registry.api.put('/v1/services/shop/instances/b').send({ url: 'http://127.0.0.1:1' }).expect(201);

    const told = await why('/v1/services/shop/instances/b');

    expect(told.monitors).toMatchObject([
      { id: 'm1', leader: true, suspected: true, held: 'half of all are silent', problem: null },
      { id: 'm2', leader: null, problem: expect.any(String) },
    ]);
    expect(told.summary).toContain('m1 does not evict it: half of all are silent.');
  });

  it('knows nothing of somebody who never was', async () => {
    const problem = problemIn(await registry.api.get('/v1/services/shop/instances/ghost/why'));

    expect(problem).toMatchObject({ status: 404, code: 'not_found' });
  });
});
