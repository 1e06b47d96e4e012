import { observedInstanceSchema, keys } from '@switchyard/protocol';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const input = { url: 'http://10.0.0.5:3000', ttl: '10s' };
const path = (id: string, service = 'shop'): string => `/v1/services/${service}/instances/${id}`;

describe('the endpoints of instances', () => {
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
  const put = (id: string, body: object = input) => registry.api.put(path(id)).send(body);

  it('register: 201 with the instance, its revision and its ETag, and a read right after shows it', async () => {
    const made = await put('a');

    expect(made.status).toBe(201);
    expect(observedInstanceSchema.parse(made.body)).toEqual(made.body);
    expect(made.body).toMatchObject({
      service: 'shop',
      id: 'a',
      url: 'http://10.0.0.5:3000',
      weight: 1,
      ttl: '10s',
      intent: 'in-service',
      liveness: 'alive',
      role: 'member',
      eligible: true,
      reason: null,
    });
    expect(made.headers['etag']).toBe(`"${made.body.revision}"`);
    const read = await registry.api.get(path('a'));
    expect([read.status, read.headers['etag']]).toEqual([200, made.headers['etag']]);
    expect(read.body).toEqual(made.body);
    expect(Number(read.headers['switchyard-revision'])).toBeGreaterThanOrEqual(made.body.revision);
    expect(read.headers['switchyard-stale-ms']).toBeUndefined();
  });

  it('register the same document again: 200, no new revision, no event, but a sign of life', async () => {
    const first = await put('b', { ...input, meta: { a: '1', b: '2' } });
    const deadline = async (): Promise<number> => Number(await redis.cli('ZSCORE', keys.deadlines, 'shop/b'));
    const before = await deadline();
    const known = await registry.api.get('/v1/events?limit=1');
    await eventually(() => expect(Date.now()).toBeGreaterThan(before - 10_000 + 5));

    const again = await put('b', { meta: { b: '2', a: '1' }, ...input });

    expect([again.status, again.headers['etag']]).toEqual([200, first.headers['etag']]);
    expect(again.body).toEqual(first.body);
    expect((await registry.api.get('/v1/events?limit=1')).body).toEqual(known.body);
    expect(await deadline()).toBeGreaterThan(before);
  });

  it('register another document: 200 with a new revision', async () => {
    const first = await put('c');
    const second = await put('c', { host: '10.0.0.6', port: 3001, weight: 5, zone: 'west', version: '2' });

    expect(second.status).toBe(200);
    expect(second.body).toMatchObject({ url: 'http://10.0.0.6:3001', weight: 5, zone: 'west', version: '2' });
    expect(second.body.revision).toBeGreaterThan(first.body.revision);
  });

  it('register on condition: the ETag that was read, or that there is one at all', async () => {
    const first = await put('cond');
    const changed = { ...input, weight: 2 };

    expect(problemIn(await put('cond', changed).set('If-Match', '"1"')).code).toBe('revision_mismatch');
    expect((await put('cond', changed).set('If-Match', first.headers['etag'] ?? '')).status).toBe(200);
    const missing = problemIn(await put('nobody').set('If-Match', '*'));
    expect(missing).toMatchObject({ code: 'revision_mismatch', status: 412 });
    expect((await registry.api.get(path('nobody'))).status).toBe(404);
  });

  it('patch: weight and intent, seen at once, with the reason why it gets no traffic', async () => {
    const made = await put('d');

    const patched = await registry.api.patch(path('d')).send({ intent: 'draining', reason: 'update', weight: 3 });

    expect(patched.status).toBe(200);
    expect(patched.body).toMatchObject({ intent: 'draining', weight: 3, eligible: false, reason: 'draining: update' });
    expect(patched.body.revision).toBeGreaterThan(made.body.revision);
    expect(patched.headers['etag']).toBe(`"${patched.body.revision}"`);
    expect((await registry.api.get(path('d'))).body).toEqual(patched.body);
    const same = await registry.api.patch(path('d')).send({ weight: 3 });
    expect([same.status, same.body.revision]).toEqual([200, patched.body.revision]);
    // a re-registration does not undo a drain
    expect((await put('d')).body).toMatchObject({ intent: 'draining', weight: 3 });
  });

  it('patch on condition: 412 when it was changed in the meantime', async () => {
    const made = await put('e');
    const etag = made.headers['etag'] ?? '';

    expect((await registry.api.patch(path('e')).set('If-Match', etag).send({ weight: 2 })).status).toBe(200);
    const late = problemIn(await registry.api.patch(path('e')).set('If-Match', etag).send({ weight: 9 }));

    expect(late).toMatchObject({ code: 'revision_mismatch', status: 412 });
    expect((await registry.api.patch(path('e')).set('If-Match', '*').send({ weight: 4 })).status).toBe(200);
    const nonsense = problemIn(await registry.api.patch(path('e')).set('If-Match', '"a", "b"').send({ weight: 1 }));
    expect(nonsense).toMatchObject({ code: 'invalid_input', why: [expect.stringContaining('If-Match')] });
  });

  it('delete: 204, gone at once, and 404 the second time', async () => {
    const made = await put('f');

    expect(problemIn(await registry.api.delete(path('f')).set('If-Match', '"1"')).status).toBe(412);
    const gone = await registry.api.delete(`${path('f')}?reason=moved`).set('If-Match', made.headers['etag'] ?? '');

    expect([gone.status, gone.text]).toEqual([204, '']);
    expect(problemIn(await registry.api.get(path('f'))).code).toBe('not_found');
    expect(problemIn(await registry.api.delete(path('f'))).code).toBe('not_found');
    const [event] = (await registry.api.get('/v1/events?limit=1')).body.events;
    expect(event).toMatchObject({ type: 'instance.deregistered', subject: 'shop/f', data: { reason: 'moved' } });
    expect(await redis.cli('ZSCORE', keys.deadlines, 'shop/f')).toBeNull();
  });

  it('heartbeat: 204 with load, with an empty object and with no body; 404 for whom nobody knows', async () => {
    await put('g');
    const beat = (id: string) => registry.api.post(`${path(id)}/heartbeat`);

    expect((await beat('g').send({ load: { inflight: 3, utilization: 0.5 } })).status).toBe(204);
    expect((await beat('g').send({})).status).toBe(204);
    expect((await beat('g')).status).toBe(204);
    const unknown = problemIn(await beat('ghost').send({}));
    expect(unknown).toMatchObject({ code: 'unknown_instance', status: 404 });
    expect(unknown.next).toContain('register');
  });

  it('list: sorted, by liveness when asked, 404 for a service that nobody knows', async () => {
    for (const id of ['z', 'm', 'k']) await registry.api.put(path(id, 'list')).send(input);

    const all = await registry.api.get('/v1/services/list/instances');
    const alive = await registry.api.get('/v1/services/list/instances?liveness=alive');
    const dead = await registry.api.get('/v1/services/list/instances?liveness=dead');

    expect(all.body.instances.map(({ id }: { id: string }) => id)).toEqual(['k', 'm', 'z']);
    expect(alive.body).toEqual(all.body);
    expect(dead.body).toEqual({ instances: [] });
    expect(problemIn(await registry.api.get('/v1/services/none/instances')).code).toBe('not_found');
  });

  it('keep a writer and its reader together when they use different registries', async () => {
    const other = await startRegistry(redis.port);
    try {
      for (let n = 0; n < 20; n += 1) {
        await put(`two-${n}`);
        // it changes nothing here, yet whoever reads here next expects it
        await other.api
          .put(path(`two-${n}`))
          .send(input)
          .expect(200);
        expect((await other.api.get(path(`two-${n}`))).status).toBe(200);
      }
    } finally {
      await other.stop();
    }
  });

  it('let one of many writers win each time, and lose nothing', async () => {
    await put('many');
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, weight) => registry.api.patch(path('many')).send({ weight: weight + 10 })),
    );

    for (const answer of answers) expect([200, 409]).toContain(answer.status);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    const events = (await registry.api.get('/v1/events?limit=50')).body.events as { subject: string; type: string }[];
    const updates = events.filter(({ subject, type }) => subject === 'shop/many' && type === 'instance.updated');
    expect(updates).toHaveLength(answers.filter(({ status }) => status === 200).length);
  });
});
