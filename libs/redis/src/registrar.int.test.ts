import { instanceInputSchema } from '@switchyard/protocol';
import { createLogger } from '@switchyard/runtime';
import { startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createCatalogStore, createRedis, createRedisRegistrar } from './index.ts';
import type { RedisConnections, RedisRegistrar } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

describe('an instance that registers itself straight in Redis', () => {
  let server: TestRedis;
  let connections: RedisConnections;
  let store: ReturnType<typeof createCatalogStore>;
  let registrar: RedisRegistrar;
  beforeAll(async () => {
    server = await startRedis();
    const endpoint = { host: server.host, port: server.port };
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    const redis = connections.connect('commands');
    await connections.start(new AbortController().signal);
    store = createCatalogStore(redis, 'test');
    const input = instanceInputSchema.parse({ url: 'http://10.0.0.5:3000', ttl: '10s' });
    registrar = createRedisRegistrar({ store, redis, service: 'shop', id: 'a', input });
  });
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });
  const revision = async (): Promise<number> => (await store.snapshot()).revision;

  it('is unknown, then known, drains, leaves, and may leave again', async () => {
    expect(await registrar.beat()).toBe('unknown');
    expect(await registrar.register()).toMatchObject({ ok: true });
    expect(await registrar.beat()).toBe('known');
    const registered = await revision();
    expect(await registrar.register()).toMatchObject({ ok: true });
    expect(await revision()).toBe(registered);

    expect(await registrar.drain('the instance stops')).toMatchObject({ ok: true });
    expect(await store.readInstance('shop', 'a')).toMatchObject({ intent: 'draining' });
    expect(await registrar.deregister('the instance stops')).toMatchObject({ ok: true });
    expect(await store.readInstance('shop', 'a')).toBeUndefined();
    expect(await registrar.beat()).toBe('unknown');
    expect(await registrar.deregister('the instance stops')).toMatchObject({ ok: true });
    const { events } = await store.history(undefined, 10);
    expect(events.map(({ type }) => type)).toEqual([
      'instance.deregistered',
      'instance.updated',
      'instance.registered',
      'catalog.reset',
    ]);
  });
});
