import { fileURLToPath } from 'node:url';
import { keys, memberOf } from '@switchyard/protocol';
import type { Instance } from '@switchyard/protocol';
import { createCatalogStore, createRedis } from '@switchyard/redis';
import type { RedisConnections } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess, TestRedis } from '@switchyard/testing';

const main = fileURLToPath(new URL('main.ts', import.meta.url));

interface Backend {
  readonly process: OwnedProcess;
  readonly url: string;
}

describe('a demonstration back end with a real Redis and no registry', () => {
  let redis: TestRedis;
  let connections: RedisConnections;
  let store: ReturnType<typeof createCatalogStore>;
  const started: OwnedProcess[] = [];

  const start = async (id: string, env: NodeJS.ProcessEnv = {}): Promise<Backend> => {
    const port = await freePort();
    const owned = await startOwned({
      command: process.execPath,
      args: [main],
      env: {
        PATH: process.env['PATH'],
        SWITCHYARD_REDIS_URL: redis.url,
        SWITCHYARD_REGISTRY_URL: `http://127.0.0.1:${await freePort()}`,
        SWITCHYARD_INSTANCE_ID: id,
        SWITCHYARD_DEMO_SERVICE: 'shop',
        SWITCHYARD_DEMO_PORT: String(port),
        SWITCHYARD_DEMO_TTL: '900ms',
        ...env,
      },
    });
    started.push(owned);
    const url = `http://127.0.0.1:${port}`;
    await eventually(async () => (await fetch(`${url}/readyz`)).ok, { timeoutMs: 15_000, what: `${id} is ready` });
    return { process: owned, url };
  };
  const catalogued = async (id: string): Promise<Instance | undefined> => store.readInstance('shop', id);
  const deadline = async (id: string): Promise<number> =>
    Number(await redis.cli('ZSCORE', keys.deadlines, memberOf('shop', id)));

  beforeAll(async () => {
    redis = await startRedis();
    const endpoint = { host: redis.host, port: redis.port };
    const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    store = createCatalogStore(connections.connect('commands'), 'test');
    await connections.start(new AbortController().signal);
  });
  afterAll(async () => {
    await Promise.all(started.map((one) => one.end(100)));
    await connections.stop();
    await redis.stop();
  });

  it('registers straight in Redis, with its address and its check, and keeps its deadline moving', async () => {
    const { url } = await start('a', { SWITCHYARD_DEMO_WEIGHT: '5', SWITCHYARD_DEMO_ZONE: 'west' });

    const instance = await eventually(async () => (await catalogued('a')) ?? false);
    expect(instance).toMatchObject({
      url,
      weight: 5,
      zone: 'west',
      ttlMs: 900,
      check: { type: 'http', path: '/livez' },
      intent: 'in-service',
      liveness: 'alive',
    });
    const first = await deadline('a');
    await eventually(async () => (await deadline('a')) > first);
    const ready = (await (await fetch(`${url}/readyz?verbose`)).json()) as { checks: Record<string, unknown> };
    expect(ready.checks['registration']).toMatchObject({ ok: true, detail: 'registered as shop/a' });
  });

  it('comes back by itself when Redis has forgotten it', async () => {
    await start('b');
    await eventually(async () => (await catalogued('b')) !== undefined);

    await redis.cli('FLUSHALL');

    await eventually(async () => (await catalogued('b')) !== undefined, { timeoutMs: 3_000 });
  });

  it('serves before Redis is there', async () => {
    const { url } = await start('c', { SWITCHYARD_REDIS_URL: `redis://127.0.0.1:${await freePort()}` });

    expect((await fetch(`${url}/whoami`)).status).toBe(200);
    const ready = await fetch(`${url}/readyz?verbose`);
    expect(ready.status).toBe(200);
    const { checks } = (await ready.json()) as { checks: Record<string, { ok: boolean; detail: string }> };
    expect(checks['registration']).toMatchObject({ ok: false });
  });

  it('on SIGTERM announces, serves on, leaves the catalog, finishes what is in flight, and ends cleanly', async () => {
    const { url, process: backend } = await start('d');
    await eventually(async () => (await catalogued('d')) !== undefined);
    const inFlight = fetch(`${url}/slow?ms=2500`);
    // The request has to be there before the signal.
    await eventually(async () => (await (await fetch(`${url}/metrics`)).text()).includes('endpoint="/slow"} 1'));

    backend.signal('SIGTERM');

    await eventually(async () => (await catalogued('d'))?.intent === 'draining', { intervalMs: 10 });
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect((await fetch(url)).status).toBe(200);
    await eventually(async () => (await catalogued('d')) === undefined);
    expect(backend.running()).toBe(true);
    expect(await (await inFlight).text()).toBe('d took 2500 ms\n');
    await backend.ended();
    expect(backend.output()).toContain('"clean":true');
  });
});
