// What does a registry do without its Redis? It reads on, refuses to write at once, and mends itself afterwards.
import { createRedis, createCatalogFeed, createCatalogStore } from '@switchyard/redis';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const path = '/v1/services/shop/instances/a';
const input = { url: 'http://10.0.0.5:3000' };

describe('a registry without its Redis', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  beforeEach(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    await registry.api.put(path).send(input).expect(201);
  });
  afterEach(async () => {
    if (redis.running()) redis.resume();
    await registry.stop();
    await redis.stop();
  });

  const writes = (): [string, () => ReturnType<typeof registry.api.put>][] => [
    ['register', () => registry.api.put(path).send({ ...input, weight: 2 })],
    ['register anew', () => registry.api.put(`${path}-new`).send(input)],
    ['patch', () => registry.api.patch(path).send({ weight: 2 })],
    ['heartbeat', () => registry.api.post(`${path}/heartbeat`).send({})],
    ['delete', () => registry.api.delete(path)],
    ['put a policy', () => registry.api.put('/v1/services/shop').send({ policy: 'random' })],
    ['put a route', () => registry.api.put('/v1/routes/x').send({ service: 'shop' })],
    ['delete a route', () => registry.api.delete('/v1/routes/default')],
    ['read the history', () => registry.api.get('/v1/events')],
  ];

  it.each(['killed', 'frozen'] as const)(
    'that was %s: refuses in time what needs it, reads on, and says how old it is',
    async (how) => {
      if (how === 'killed') await redis.kill();
      else redis.freeze();

      await Promise.all(
        writes().map(async ([what, send]) => {
          const startedMs = performance.now();
          const problem = problemIn(await send());
          expect({ what, ...problem }).toMatchObject({ what, status: 503, code: 'redis_unavailable' });
          expect(problem.why.join()).not.toBe('');
          expect(performance.now() - startedMs).toBeLessThan(3_000);
        }),
      );
      await eventually(async () => {
        const { status, headers, body } = await registry.api.get(path);
        expect([status, body.url]).toEqual([200, input.url]);
        expect(Number(headers['switchyard-stale-ms'])).toBeGreaterThan(2_000);
      });
      expect((await registry.api.get('/v1/services')).headers['switchyard-stale-ms']).toMatch(/^\d+$/);
      expect((await registry.api.get('/v1/routes/default')).headers['switchyard-stale-ms']).toMatch(/^\d+$/);
      expect((await registry.api.get('/livez')).status).toBe(200);
      const ready = await eventually(async () => {
        const response = await registry.api.get('/readyz?verbose');
        return response.status === 503 && response;
      });
      expect(problemIn(ready).why.join()).toMatch(
        /catalog: Redis has not answered for \d+ s; reads are served from epoch/,
      );

      if (how === 'killed') await redis.restart();
      else redis.resume();
      await eventually(
        async () => expect((await registry.api.put(path).send({ ...input, weight: 3 })).status).toBeLessThan(300),
        {
          timeoutMs: 8_000,
        },
      );
      await eventually(async () => expect((await registry.api.get('/readyz')).status).toBe(200));
      await eventually(async () =>
        expect((await registry.api.get(path)).headers['switchyard-stale-ms']).toBeUndefined(),
      );
      expect((await registry.api.get(path)).body).toMatchObject({ weight: 3 });
    },
  );

  it('that comes back empty gets back what the registry knows, in another epoch, and no reader misses anybody', async () => {
    const logger = createLogger('reader', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
    const connections = createRedis(
      { kind: 'single', endpoint: { host: redis.host, port: redis.port }, group: 'main' },
      { logger, name: 'reader' },
    );
    const reader = createCatalogFeed({
      store: createCatalogStore(connections.connect('commands'), 'reader'),
      subscriber: connections.connect('subscriber'),
      clock: systemClock,
      logger,
    });
    await reader.start?.(new AbortController().signal);
    try {
      await eventually(() => expect(reader.view.instance('shop', 'a')).toBeDefined());
      const before = reader.status();
      await registry.api.delete('/v1/routes/default').expect(204);

      const missed: string[] = [];
      reader.listen(({ view, type }) => {
        if (view.instance('shop', 'a') === undefined) missed.push(type);
      });

      await redis.restart();

      await eventually(
        () => {
          const { epoch, revision } = reader.status();
          expect(epoch).toBeGreaterThan(before.epoch);
          expect(revision).toBeGreaterThan(before.revision);
        },
        { timeoutMs: 10_000 },
      );
      expect(missed).toEqual([]);
      // what was deleted stays deleted, the default route too
      expect((await registry.api.get('/v1/routes/default')).status).toBe(404);
      expect(reader.view.routes().has('default')).toBe(false);
      // nobody has to register again: the next heartbeat is heard
      await eventually(async () => expect((await registry.api.post(`${path}/heartbeat`).send({})).status).toBe(204));
      expect((await registry.api.get(path)).status).toBe(200);
      const { events } = (await registry.api.get('/v1/events').expect(200)).body;
      expect(events.map(({ type }: { type: string }) => type)).toContain('catalog.reset');
    } finally {
      await reader.stop?.();
      await connections.stop();
    }
  });
});

describe('a registry that has never seen its Redis', () => {
  it('says that it waits, to readers and writers, and begins when Redis comes', async () => {
    const redis = await startRedis();
    await redis.kill();
    const registry = await startRegistry(redis.port, { waits: false });
    try {
      expect(problemIn(await registry.api.get('/v1/services'))).toMatchObject({ status: 503, code: 'not_ready' });
      expect(problemIn(await registry.api.get('/v1/stream'))).toMatchObject({ status: 503, code: 'not_ready' });
      expect(problemIn(await registry.api.put(path).send(input))).toMatchObject({
        status: 503,
        code: 'redis_unavailable',
      });
      expect((await registry.api.get('/livez')).status).toBe(200);
      const ready = problemIn(await registry.api.get('/readyz'));
      expect(ready.why.join()).toContain('catalog: waiting for Redis');

      await redis.restart();

      await eventually(async () => expect((await registry.api.get('/v1/routes/default')).status).toBe(200), {
        timeoutMs: 10_000,
      });
      await registry.api.put(path).send(input).expect(201);
    } finally {
      await registry.stop();
      await redis.stop();
    }
  });
});
