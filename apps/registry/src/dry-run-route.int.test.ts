import { evictInstance, reviveInstance, suspectInstance } from '@switchyard/catalog';
import type { CatalogStore, Decision } from '@switchyard/catalog';
import { keys } from '@switchyard/protocol';
import type { Evidence, Instance } from '@switchyard/protocol';
import { createCatalogStore, createRedis } from '@switchyard/redis';
import type { RedisConnections } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const path = '/v1/detection/dry-run';

describe('a dry run of other settings', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  let connections: RedisConnections;
  let store: CatalogStore;

  beforeAll(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    const logger = createLogger('test', { level: 'silent' });
    const endpoint = { host: '127.0.0.1', port: redis.port };
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    store = createCatalogStore(connections.connect('commands'), 'test');
  });
  afterAll(async () => {
    await connections.stop();
    await registry.stop();
    await redis.stop();
  });
  const commit = async (id: string, decide: (current: Instance) => Decision): Promise<void> => {
    const current = await store.readInstance('shop', id);
    const decision = current && decide(current);
    if (decision?.type !== 'commit') throw new Error('nothing was decided');
    expect((await store.commit(decision.commit)).type).toBe('committed');
  };

  it('judges what was recorded again, and leaves everything as it is', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      await registry.api.put(`/v1/services/shop/instances/${id}`).send({ url: 'http://127.0.0.1:1', ttl: '60s' });
    }
    const now = Date.now();
    // silent for 70 s and answering, evicted; and silent for a moment
    const silent: Evidence = {
      because: 'silence',
      detail: 'no heartbeat for 70 s, although its address answers',
      deadlineMs: now - 10_000,
      probes: [{ kind: 'tcp', outcome: 'answered', tookMs: 1 }],
    };
    await commit('a', (current) => suspectInstance(current, silent, now));
    // as it would be after that silence: no deadline is later than the one that is judged
    await redis.cli('ZADD', keys.deadlines, now - 10_000, 'shop/a');
    await commit('a', (current) => evictInstance(current, silent, now));
    await commit('b', (current) => suspectInstance(current, { ...silent, deadlineMs: now }, now));
    await commit('b', (current) => reviveInstance(current, { because: 'heartbeat', detail: 'heard' }, now));
    const before = await store.snapshot();

    const lax = (await registry.api.post(path).send({ ttl: '1h', service: 'shop' }).expect(200)).body;
    const strict = (await registry.api.post(path).send({ ttl: '5s' }).expect(200)).body;

    expect(lax.recorded).toMatchObject({ silences: 2, evicted: ['shop/a'] });
    expect(lax.summary[0]).toBe('These settings would have evicted 0 (1 eviction recorded).');
    expect(lax.summary).toContain('Not evicted any more: shop/a.');
    expect(strict.would.evicted.map(({ member }: { member: string }) => member).toSorted()).toEqual([
      'shop/a',
      'shop/b',
    ]);
    expect(strict.summary).toContain('Evicted in addition: shop/b.');
    expect((await store.snapshot()).revision).toBe(before.revision);
  });

  it('says what it needs', async () => {
    expect(problemIn(await registry.api.post(path).send({})).why.join()).toContain('give at least one of ttl');
    expect(problemIn(await registry.api.post(path).send({ crowd: 1 }))).toMatchObject({ status: 400 });
  });
});
