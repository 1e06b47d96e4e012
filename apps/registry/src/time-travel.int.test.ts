import { keys } from '@switchyard/protocol';
import { startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const path = (id: string): string => `/v1/services/shop/instances/${id}`;
const input = (port: number) => ({ url: `http://127.0.0.1:${port}`, ttl: '60s' });

describe('a registry that is asked for the past', () => {
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
  const idsAt = async (at: string | number): Promise<string[]> => {
    const { body } = await registry.api.get(`/v1/services/shop/instances?at=${at}`).expect(200);
    return (body.instances as { id: string }[]).map(({ id }) => id);
  };
  const revisionNow = async (): Promise<number> =>
    Number((await registry.api.get('/v1/services').expect(200)).headers['switchyard-revision']);
  const timeNow = async (): Promise<string> => {
    const { events } = (await registry.api.get('/v1/events?limit=1').expect(200)).body;
    return (events as { time: string }[])[0]?.time ?? '';
  };

  it('shows services, instances and routes as they were at a revision and at a time', async () => {
    await registry.api.put(path('a')).send(input(3001)).expect(201);
    await registry.api.put('/v1/routes/web').send({ service: 'shop' }).expect(201);
    const early = await revisionNow();
    const earlyTime = await timeNow();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await registry.api.put(path('b')).send(input(3002)).expect(201);
    await registry.api.patch(path('a')).send({ weight: 7, reason: 'bigger' }).expect(200);
    await registry.api.put('/v1/services/shop').send({ policy: 'random' }).expect(201);
    await registry.api.delete('/v1/routes/web').expect(204);
    await registry.api.delete(path('a')).expect(204);

    expect(await idsAt(early)).toEqual(['a']);
    expect(await idsAt(earlyTime)).toEqual(['a']);
    expect(await idsAt(await revisionNow())).toEqual(['b']);
    const { body, headers } = await registry.api.get(`/v1/services/shop?at=${early}`).expect(200);
    expect(body).toMatchObject({ policy: { policy: 'weighted-round-robin' }, instances: { total: 1 } });
    expect(headers['switchyard-revision']).toBe(String(early));
    const then = (await registry.api.get(`/v1/services/shop/instances?at=${early}`).expect(200)).body.instances[0];
    expect(then).toMatchObject({ id: 'a', weight: 1 });
    const routes = (await registry.api.get(`/v1/routes?at=${earlyTime}`).expect(200)).body.routes;
    expect((routes as { name: string }[]).map(({ name }) => name)).toContain('web');
    // one change further
    expect(await idsAt(early + 1)).toEqual(['a', 'b']);
    expect((await registry.api.get(`/v1/services?at=${early}`).expect(200)).body.services).toHaveLength(1);
  });

  it('says what cannot be shown, and why', async () => {
    const now = await revisionNow();

    expect(problemIn(await registry.api.get(`/v1/services?at=${now + 5}`))).toMatchObject({ status: 404 });
    expect(problemIn(await registry.api.get('/v1/services?at=yesterday'))).toMatchObject({
      status: 400,
      why: [expect.stringContaining('must be a revision, or a time')],
    });
    // before the epoch began
    expect(problemIn(await registry.api.get('/v1/services?at=2001-01-01T00:00:00Z'))).toMatchObject({
      status: 410,
      code: 'history_gone',
    });
    await redis.cli('XTRIM', keys.events, 'MAXLEN', '2');
    const gone = problemIn(await registry.api.get(`/v1/services?at=${now - 4}`));
    expect(gone).toMatchObject({ status: 410, code: 'history_gone' });
    expect(gone.why.join()).toContain(`revision ${now - 2}`);
    await registry.api.get(`/v1/services?at=${now - 2}`).expect(200);
  });
});
