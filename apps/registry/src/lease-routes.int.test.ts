import { startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

describe('the endpoints of leases', () => {
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
  const put = (name: string, body: object) => registry.api.put(`/v1/leases/${name}`).send(body);
  const check = (name: string, fencingToken: number) =>
    registry.api.post(`/v1/leases/${name}/check`).send({ fencingToken });

  it('take, show, renew, check and give back a lease', async () => {
    const made = await put('job', { holder: 'a', ttl: '10s', meta: { pid: '7' } });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ name: 'job', holder: 'a', ttlMs: 10_000, expiresInMs: 10_000, valid: true });
    const { fencingToken } = made.body;
    const renewed = await put('job', { holder: 'a', ttl: '20s', fencingToken });
    expect([renewed.status, renewed.body.fencingToken, renewed.body.ttlMs]).toEqual([200, fencingToken, 20_000]);
    expect((await registry.api.get('/v1/leases/job')).body).toMatchObject({ holder: 'a', fencingToken, meta: {} });
    expect((await registry.api.get('/v1/leases')).body).toMatchObject({ leases: [{ name: 'job' }] });
    expect((await check('job', fencingToken)).body).toMatchObject({ ok: true, holder: 'a', fencingToken });
    const given = await registry.api.delete(`/v1/leases/job?holder=a&fencingToken=${fencingToken}`);
    expect(given.status).toBe(204);
    expect(problemIn(await registry.api.get('/v1/leases/job'))).toMatchObject({ code: 'not_found' });
    expect(problemIn(await check('job', fencingToken))).toMatchObject({ status: 409, code: 'stale_token' });
    expect((await put('job', { holder: 'b', ttl: '1s' })).body.fencingToken).toBeGreaterThan(fencingToken);
  });

  it('refuse whoever does not hold it, naming the holder and the time that is left', async () => {
    await put('held', { holder: 'a', ttl: '10s' });
    const refused = problemIn(await put('held', { holder: 'b', ttl: '10s' }));
    expect(refused).toMatchObject({ status: 409, code: 'lease_held' });
    expect(refused.detail).toMatch(/^a holds the lease held for another \d+ ms$/);
    expect(problemIn(await registry.api.delete('/v1/leases/held?holder=b'))).toMatchObject({ code: 'lease_held' });
    expect(problemIn(await put('held', { holder: 'a', ttl: '10s', fencingToken: 7 }))).toMatchObject({
      code: 'stale_token',
    });
  });

  it.each([
    ['a holder that is missing', { ttl: '1s' }],
    ['a ttl that is too short', { holder: 'a', ttl: '499ms' }],
    ['a ttl that is too long', { holder: 'a', ttl: '3601s' }],
    ['a holder with control characters', { holder: 'a\u0000', ttl: '1s' }],
    ['a token that is none', { holder: 'a', ttl: '1s', fencingToken: -1 }],
    ['a field that is unknown', { holder: 'a', ttl: '1s', force: true }],
  ])('refuse %s', async (_what, body) => {
    expect(problemIn(await put('bad', body))).toMatchObject({ status: 400, code: 'invalid_input' });
  });

  it('give any text back as it came, also where it looks like a token', async () => {
    const holder = '{"fencingToken":-1} | é ☃ "';
    await put('text', { holder, ttl: '10s', meta: { 'a|b': '"|\\' } });
    const { body } = await registry.api.get('/v1/leases/text');
    expect(body).toMatchObject({ holder, meta: { 'a|b': '"|\\' } });
  });
});
