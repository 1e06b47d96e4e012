// Does the process start without Redis, say on what it waits, work with it, and end cleanly whatever became of it?
import { fileURLToPath } from 'node:url';
import { keys } from '@switchyard/protocol';
import { eventually, freePort, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess, TestRedis } from '@switchyard/testing';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
/** Docker's patience is 10 s. */
const endsWithinMs = 8_000;

describe('the registry as a process', () => {
  const started: OwnedProcess[] = [];
  const servers: TestRedis[] = [];
  afterEach(async () => {
    await Promise.all(started.splice(0).map((one) => one.end(100)));
    for (const server of servers.splice(0)) await server.stop();
  });

  const start = async (env: NodeJS.ProcessEnv) => {
    const port = await freePort();
    const owned = await startOwned({
      command: process.execPath,
      args: [main],
      env: {
        PATH: process.env['PATH'],
        SWITCHYARD_REGISTRY_PORT: String(port),
        SWITCHYARD_INSTANCE_ID: 'registry-1',
        ...env,
      },
    });
    started.push(owned);
    const url = `http://127.0.0.1:${port}`;
    const get = (path: string): Promise<Response> => fetch(url + path, { signal: AbortSignal.timeout(5_000) });
    await eventually(async () => (await get('/livez')).ok, { timeoutMs: 15_000, what: 'the listener' });
    return { owned, url, get };
  };
  const expectCleanEnd = async (owned: OwnedProcess): Promise<void> => {
    const startedMs = performance.now();
    owned.signal('SIGTERM');
    await owned.ended();
    expect(performance.now() - startedMs).toBeLessThan(endsWithinMs);
    // the last lines may come after the end
    await eventually(() => expect(owned.output()).toContain('service.stopped'));
    expect(owned.output()).toContain('"clean":true,"msg":"service.stopped"');
    expect(owned.output()).not.toMatch(/service\.crashed|component\.unclean|Unhandled|ioredis\]/);
  };

  it.each(['one Redis', 'Sentinels'])(
    'stays up without %s, says that it waits for it, and ends cleanly',
    async (kind) => {
      const nowhere = `127.0.0.1:${await freePort()}`;
      const { owned, get } = await start(
        kind === 'Sentinels' ? { SWITCHYARD_REDIS_SENTINELS: nowhere } : { SWITCHYARD_REDIS_URL: `redis://${nowhere}` },
      );

      const ready = await eventually(async () => {
        const response = await get('/readyz?verbose');
        const body = (await response.json()) as { why: string[]; checks: Record<string, unknown> };
        return response.status === 503 && body.checks['registration'] !== undefined && body;
      });

      expect(ready.why).toEqual(['catalog: waiting for Redis: the catalog was not read yet']);
      expect(ready.checks['registration']).toMatchObject({ ok: false, critical: false });
      expect((await get('/livez')).status).toBe(200);
      expect(owned.running()).toBe(true);
      await expectCleanEnd(owned);
    },
  );

  it('registers itself, and leaves the catalog when it ends', async () => {
    const redis = await startRedis();
    servers.push(redis);
    const { owned, get, url } = await start({ SWITCHYARD_REDIS_URL: redis.url });

    const own = '/v1/services/switchyard-registry/instances/registry-1';
    const found = await eventually(async () => {
      const response = await get(own);
      return response.status === 200 && ((await response.json()) as { url: string; eligible: boolean });
    });
    expect(found).toMatchObject({ url, eligible: true });
    expect((await get('/readyz')).status).toBe(200);

    await expectCleanEnd(owned);
    expect(await redis.cli('HGET', keys.instances, 'switchyard-registry/registry-1')).toBeNull();
  });

  it.each(['killed', 'frozen'] as const)('ends cleanly although its Redis was %s before', async (how) => {
    const redis = await startRedis();
    servers.push(redis);
    const { owned, get } = await start({ SWITCHYARD_REDIS_URL: redis.url });
    await eventually(async () => (await get('/readyz')).status === 200);

    if (how === 'killed') await redis.kill();
    else redis.freeze();

    await expectCleanEnd(owned);
  });
});
