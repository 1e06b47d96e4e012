import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

describe('the endpoints of an active/standby service', () => {
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
  const put = async (service: string, id: string, body: object = {}): Promise<void> => {
    const url = 'http://10.0.0.5:3000';
    const answer = await registry.api.put(`/v1/services/${service}/instances/${id}`).send({ url, ttl: '60s', ...body });
    expect(answer.status).toBeLessThan(300);
  };
  const governed = async (service: string, ids: readonly string[], policy: object = {}): Promise<void> => {
    await registry.api.put(`/v1/services/${service}`).send({ mode: 'active-standby', ...policy });
    for (const id of ids) await put(service, id);
  };
  const handover = (service: string, body?: object) => registry.api.post(`/v1/services/${service}/handover`).send(body);
  const active = (service: string) => registry.api.get(`/v1/services/${service}/active`);
  const fence = (service: string, fencingToken: unknown) =>
    registry.api.post(`/v1/services/${service}/fence`).send({ fencingToken });

  it('register on standby, hand over with a higher token each time, and say who is active', async () => {
    await governed('one', ['a', 'b']);
    expect((await active('one')).body).toEqual({
      service: 'one',
      active: null,
      fencingToken: null,
      since: null,
      reason: 'a is about to be activated: the first one of the service',
    });
    const first = await handover('one');
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({
      changed: true,
      previous: null,
      active: { id: 'a', role: 'active', eligible: true, fencingToken: first.body.fencingToken },
    });
    const second = await handover('one', { to: 'b', reason: 'rack r7 is mended' });
    expect(second.body).toMatchObject({ previous: { id: 'a', fencingToken: first.body.fencingToken } });
    expect(second.body.fencingToken).toBeGreaterThan(first.body.fencingToken);
    const found = await active('one');
    expect(found.body).toMatchObject({
      active: { id: 'b' },
      fencingToken: second.body.fencingToken,
      reason: 'rack r7 is mended',
    });
    const { body } = await registry.api.get('/v1/services/one/instances');
    expect(body.instances).toMatchObject([
      { id: 'a', role: 'standby', fencingToken: null, eligible: false },
      { id: 'b', role: 'active', fencingToken: second.body.fencingToken, eligible: true },
    ]);

    const again = await handover('one', { to: 'b' });
    expect([again.status, again.body.changed, again.body.fencingToken]).toEqual([200, false, second.body.fencingToken]);
    const dry = await handover('one', { dryRun: true });
    expect(dry.body).toMatchObject({ dryRun: true, changed: false, active: { id: 'a' }, fencingToken: null });
    expect((await active('one')).body).toEqual(found.body);
  });

  it('tell of a hand-over in one event, and can look back beyond it', async () => {
    await governed('past', ['a', 'b']);
    await handover('past', { to: 'a' });
    const { revision } = (await registry.api.get('/v1/services/past/instances/a')).body;
    await handover('past', { to: 'b' });
    const { body } = await registry.api.get('/v1/events?limit=1');
    expect(body.events[0]).toMatchObject({
      type: 'service.activated',
      subject: 'past',
      data: { id: 'b', previous: { id: 'a' }, evidence: { because: 'requested' } },
    });
    const before = await registry.api.get(`/v1/services/past/instances?at=${revision}`);
    expect(before.body.instances).toMatchObject([
      { id: 'a', role: 'active' },
      { id: 'b', role: 'standby' },
    ]);
  });

  it('refuse a hand-over that cannot be, with the reason of each', async () => {
    expect(problemIn(await handover('nothing'))).toMatchObject({ status: 404, code: 'not_found' });
    await put('plain', 'a');
    expect(problemIn(await handover('plain'))).toMatchObject({ status: 409, code: 'conflict' });
    expect(problemIn(await active('plain'))).toMatchObject({ status: 409 });
    await governed('two', ['a', 'b']);
    await handover('two', { to: 'a' });
    expect(problemIn(await handover('two', { to: 'c' }))).toMatchObject({ status: 404 });
    await registry.api.patch('/v1/services/two/instances/b').send({ intent: 'maintenance', reason: 'disk' });
    expect(problemIn(await handover('two', { to: 'b' }))).toMatchObject({ why: ['b: in maintenance: disk'] });
    expect(problemIn(await handover('two'))).toMatchObject({ status: 409, why: ['b: in maintenance: disk'] });
    expect(problemIn(await handover('two', { too: 'b' }))).toMatchObject({ status: 400, code: 'invalid_input' });
  });

  it('let only one of many hand-overs at the same time happen at a time, each with its own token', async () => {
    await governed('race', ['a', 'b', 'c', 'd']);
    const answers = await Promise.all(['a', 'b', 'c', 'd'].map((to) => handover('race', { to })));
    const done = answers.filter(({ status }) => status === 200);
    const { body } = await registry.api.get('/v1/services/race/instances');
    const actives = (body.instances as { role: string; fencingToken: number }[]).filter(
      ({ role }) => role === 'active',
    );
    expect(actives).toHaveLength(1);
    expect((await active('race')).body.fencingToken).toBe(actives[0]?.fencingToken);
    expect(done.length).toBeGreaterThan(0);
    const { body: history } = await registry.api.get('/v1/events?limit=20');
    const tokens = (history.events as { type: string; subject: string; data: { fencingToken: number } }[])
      .filter(({ type, subject }) => type === 'service.activated' && subject === 'race')
      .map(({ data }) => data.fencingToken);
    expect(tokens).toEqual([...new Set(tokens)].toSorted((one, other) => other - one));
  });

  it('hold the newest token and refuse older ones, whoever asks', async () => {
    await governed('fenced', ['a', 'b']);
    expect(problemIn(await fence('fenced', 7))).toMatchObject({ status: 409, code: 'conflict' });
    const old = (await handover('fenced', { to: 'a' })).body.fencingToken;
    expect((await fence('fenced', old)).body).toEqual({ ok: true, service: 'fenced', id: 'a', fencingToken: old });
    const newest = (await handover('fenced', { to: 'b' })).body.fencingToken;
    const refused = await fence('fenced', old);
    expect(problemIn(refused)).toMatchObject({ status: 409, code: 'stale_token' });
    expect(refused.body).toMatchObject({ fencingToken: newest, active: 'b' });
    expect(problemIn(await fence('fenced', newest + 1))).toMatchObject({ code: 'conflict' });
    for (const nonsense of [0, -1, 1.5, 'x', null, 2 ** 60]) {
      expect(problemIn(await fence('fenced', nonsense))).toMatchObject({ status: 400 });
    }
    await registry.api.delete('/v1/services/fenced/instances/b');
    expect(problemIn(await fence('fenced', newest))).toMatchObject({ code: 'stale_token' });
  });

  it('keep activation out of the policy, and refuse hooks that are none', async () => {
    const webhook = { url: 'http://127.0.0.1:1/x' };
    await governed('policy', ['a'], { onActivate: { webhook } });
    await handover('policy');
    const shown = await registry.api.get('/v1/services/policy');
    expect(shown.body.policy).toMatchObject({
      mode: 'active-standby',
      onActivate: { webhook: { ...webhook, timeout: '5s' } },
    });
    expect(shown.body.policy).not.toHaveProperty('activation');
    const again = await registry.api.put('/v1/services/policy').send(shown.body.policy);
    expect([again.status, again.body.policy]).toEqual([200, shown.body.policy]);
    for (const onActivate of [
      { exec: { command: ['touch', '/tmp/x'] } },
      { exec: { command: [] } },
      { webhook: { url: 'file:///etc/passwd' } },
      { webhook: { ...webhook, headers: { host: 'a' } } },
      { webhook: { ...webhook, headers: { a: 'b\r\nc: d' } } },
      { webhook, exec: { command: ['/bin/true'] } },
      {},
    ]) {
      const refused = await registry.api.put('/v1/services/policy').send({ mode: 'active-standby', onActivate });
      expect(problemIn(refused)).toMatchObject({ status: 400, code: 'invalid_input' });
    }
  });

  it('do not vouch for a token while Redis may have forgotten a newer one', async () => {
    await governed('wiped', ['a']);
    const token = (await handover('wiped')).body.fencingToken;
    await redis.cli('FLUSHALL');
    const answer = await fence('wiped', token);
    if (answer.status !== 200) expect(problemIn(answer)).toMatchObject({ status: 503, code: 'not_ready' });
    // what this registry knew is written back, with the token
    await eventually(async () => expect((await fence('wiped', token)).status).toBe(200));
    const next = (await handover('wiped')).status;
    expect(next).toBe(409);
    await put('wiped', 'b');
    expect((await handover('wiped')).body.fencingToken).toBeGreaterThan(token);
  });
});
