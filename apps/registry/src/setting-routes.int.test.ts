import { defaultServicePolicy, keys, routeViewSchema, serviceViewSchema } from '@switchyard/protocol';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

describe('the endpoints of services', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  beforeAll(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
  });
  afterAll(async () => {
    await registry.stop();
    await redis.stop();
  });

  it('show a service with its policy and its instances counted', async () => {
    await registry.api.put('/v1/services/shop/instances/a').send({ url: 'http://10.0.0.5:1' }).expect(201);
    await registry.api.put('/v1/services/shop/instances/b').send({ url: 'http://10.0.0.5:2', weight: 0 }).expect(201);

    const shop = await registry.api.get('/v1/services/shop');
    const all = await registry.api.get('/v1/services');

    expect(shop.body).toMatchObject({
      name: 'shop',
      policy: defaultServicePolicy,
      instances: { total: 2, eligible: 1, alive: 2, suspect: 0, dead: 0 },
    });
    expect(serviceViewSchema.parse(shop.body)).toEqual(shop.body);
    expect(all.body).toEqual({ services: [shop.body] });
    expect(problemIn(await registry.api.get('/v1/services/none')).code).toBe('not_found');
  });

  it('set a policy: 201, then 200; the same again is no change; what is left out has its default', async () => {
    const made = await registry.api.put('/v1/services/api').send({ policy: 'least-request' });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ name: 'api', policy: { ...defaultServicePolicy, policy: 'least-request' } });

    const again = await registry.api.put('/v1/services/api').send({ policy: 'least-request' });
    const changed = await registry.api.put('/v1/services/api').send({ policy: 'random', retry: { attempts: 1 } });

    expect([again.status, again.body.revision]).toEqual([200, made.body.revision]);
    expect(changed.body.revision).toBeGreaterThan(made.body.revision);
    const read = await registry.api.get('/v1/services/api');
    expect(read.body).toMatchObject({ policy: { policy: 'random', retry: { attempts: 1 } }, instances: { total: 0 } });
    expect(read.headers['etag']).toBe(changed.headers['etag']);
    expect((await registry.api.get('/v1/services/api/instances')).body).toEqual({ instances: [] });
  });

  it('set a policy on condition, with the ETag that a read gave, also when there is none yet', async () => {
    await registry.api.put('/v1/services/cond/instances/a').send({ url: 'http://10.0.0.5:1' }).expect(201);
    const none = await registry.api.get('/v1/services/cond');
    expect(none.headers['etag']).toBe('"0"');

    expect((await registry.api.put('/v1/services/cond').set('If-Match', '"0"').send({})).status).toBe(201);
    const late = problemIn(
      await registry.api.put('/v1/services/cond').set('If-Match', '"0"').send({ policy: 'random' }),
    );
    expect(late).toMatchObject({ status: 412, code: 'revision_mismatch' });
  });
});

describe('the endpoints of routes', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  beforeAll(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
  });
  afterAll(async () => {
    await registry.stop();
    await redis.stop();
  });

  it('show in a fresh yard one route: everything to demo-backend', async () => {
    const { body } = await registry.api.get('/v1/routes');

    expect(body.routes).toHaveLength(1);
    expect(body.routes[0]).toMatchObject({ name: 'default', service: 'demo-backend', action: 'proxy' });
    expect(body.routes[0]).not.toHaveProperty('pathPrefix');
  });

  it('add, replace, read and remove a route', async () => {
    const shop = { host: '*.example.org', pathPrefix: '/shop', methods: ['GET'], headers: { 'x-a': '1', 'x-b': '2' } };
    const made = await registry.api.put('/v1/routes/shop').send({ ...shop, service: 'shop' });
    expect(made.status).toBe(201);
    expect(routeViewSchema.parse(made.body)).toEqual(made.body);
    expect((await registry.api.get('/v1/routes/shop')).body).toEqual(made.body);

    const turned = { service: 'shop', ...shop, headers: { 'x-b': '2', 'x-a': '1' } };
    expect((await registry.api.put('/v1/routes/shop').send(turned)).body.revision).toBe(made.body.revision);
    const split = [
      { service: 'shop', weight: 9 },
      { service: 'beta', weight: 1 },
    ];
    const replaced = await registry.api.put('/v1/routes/shop').send({ split, action: 'redirect', redirectStatus: 308 });
    expect(replaced.status).toBe(200);
    expect(replaced.body).toMatchObject({ split, action: 'redirect', redirectStatus: 308 });
    expect(replaced.body).not.toHaveProperty('host');

    const etag = replaced.headers['etag'] ?? '';
    expect(problemIn(await registry.api.delete('/v1/routes/shop').set('If-Match', '"1"')).status).toBe(412);
    expect((await registry.api.delete('/v1/routes/shop').set('If-Match', etag)).status).toBe(204);
    expect(problemIn(await registry.api.get('/v1/routes/shop')).code).toBe('not_found');
    expect(problemIn(await registry.api.delete('/v1/routes/shop')).code).toBe('not_found');
  });

  it('put a route on condition: only a new one, only an old one', async () => {
    const put = (condition: string) =>
      registry.api
        .put('/v1/routes/cond')
        .set('If-Match', condition)
        .send({ service: condition === '"0"' ? 'a' : 'b' });

    expect(problemIn(await put('*')).status).toBe(412);
    expect((await put('"0"')).status).toBe(201);
    expect(problemIn(await put('"0"')).status).toBe(412);
    expect((await put('*')).status).toBe(200);
  });

  it('keep a deleted default route deleted, through a restart of the registry', async () => {
    const fresh = await startRedis();
    const looks = async (): Promise<number> =>
      Number(/cmdstat_exists:calls=(\d+)/.exec(String(await fresh.cli('INFO', 'commandstats')))?.[1] ?? 0);
    const first = await startRegistry(fresh.port);
    await first.api.delete('/v1/routes/default').expect(204);
    await first.stop();
    const before = await looks();

    const next = await startRegistry(fresh.port, { waits: false });
    try {
      await eventually(async () => expect((await next.api.get('/v1/routes')).body).toEqual({ routes: [] }));
      await eventually(async () => expect(await looks()).toBeGreaterThan(before));
      expect((await next.api.get('/v1/routes/default')).status).toBe(404);
    } finally {
      await next.stop();
      await fresh.stop();
    }
  });

  it('leave a default route alone that somebody made before the first registry came', async () => {
    const fresh = await startRedis();
    const first = await startRegistry(fresh.port);
    await first.api.put('/v1/routes/default').send({ service: 'mine' }).expect(200);
    await fresh.cli('DEL', keys.seeded);

    const second = await startRegistry(fresh.port);
    try {
      await eventually(async () => expect(await fresh.cli('EXISTS', keys.seeded)).toBe(1));
      expect((await second.api.get('/v1/routes/default')).body).toMatchObject({ service: 'mine' });
    } finally {
      await Promise.all([first.stop(), second.stop()]);
      await fresh.stop();
    }
  });
});
