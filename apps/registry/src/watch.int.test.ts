import { keys } from '@switchyard/protocol';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';
import { createEventSource, startStreams } from './watch-fixture.ts';
import type { WatchedFrame } from './watch-fixture.ts';

describe('watching one service', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  const closing: (() => void | Promise<void>)[] = [];
  beforeEach(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
  });
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
    await registry.stop();
    await redis.stop();
  });
  const put = async (service: string, id: string, more: object = {}): Promise<number> => {
    const path = `/v1/services/${service}/instances/${id}`;
    const { body, status } = await registry.api.put(path).send({ url: 'http://10.0.0.5:1', ...more });
    expect(status).toBeLessThan(300);
    return body.revision;
  };
  const remove = async (service: string, id: string) =>
    await registry.api.delete(`/v1/services/${service}/instances/${id}`).expect(204);
  const watch = (query: string, port = Number(new URL(registry.url).port)) => {
    const frames: WatchedFrame[] = [];
    const source = createEventSource(`/v1/stream${query}`, (frame) => frame.event !== undefined && frames.push(frame));
    source.open(port);
    closing.push(() => source.cut());
    const told = () => frames.map(({ event, data }) => `${event} ${JSON.parse(data ?? '{}').subject ?? ''}`.trim());
    return { ...source, frames, told };
  };
  const metric = async (name: string): Promise<number> =>
    Number(new RegExp(`^switchyard_${name} (.*)$`, 'm').exec((await registry.api.get('/metrics')).text)?.[1] ?? 0);
  /** Waits like a client that has no event stream. */
  const wait = (path: string, after: string, more = '') =>
    registry.api.get(`${path}?after=${after}${more}`).then((response) => response);
  const cursorAt = async (path: string): Promise<string> =>
    (await registry.api.get(path)).headers['switchyard-cursor'] ?? '';
  const waiting = async (count: number) =>
    await eventually(async () => expect(await metric('watchers{kind="long-poll"}')).toBe(count));

  describe('by a stream', () => {
    it.each(['?service=shop&service=api', '?service=shop,api', '?service=api,%20shop,shop'])(
      'brings events of these services and of no other: %s',
      async (query) => {
        const watcher = watch(query);
        await eventually(() => expect(watcher.told()).toEqual(['start']));
        await put('web', 'a');
        await put('shop', 'a');
        await registry.api.put('/v1/services/api').send({ policy: 'random' }).expect(201);
        await registry.api.put('/v1/routes/x').send({ service: 'shop' }).expect(201);
        await remove('shop', 'a');

        const expected = ['start', 'instance.registered shop/a', 'service.updated api', 'instance.deregistered shop/a'];
        await eventually(() => expect(watcher.told()).toEqual(expected));
      },
    );

    it.each(['?service=', '?service=a%2Fb', '?snapshot=yes', `?service=${'x,'.repeat(99)}`])(
      'refuses what is no list of services: %s',
      async (query) => {
        const problem = problemIn(await registry.api.get(`/v1/stream${query}`));

        expect(problem).toMatchObject({ status: 400, code: 'invalid_input' });
        expect(problem.why?.join()).toMatch(/service|snapshot/);
      },
    );

    it('touches nobody by what happens to others', async () => {
      const watchers = Array.from({ length: 20 }, () => watch('?service=api'));
      await eventually(() => expect(watchers.every(({ frames }) => frames.length === 1)).toBe(true));
      const before = await metric('watch_wakeups_total{kind="stream"}');

      for (let n = 0; n < 30; n += 1) await put('shop', `i${n}`);
      expect(await metric('watch_wakeups_total{kind="stream"}')).toBe(before);
      await put('api', 'a');

      await eventually(() => expect(watchers.every(({ frames }) => frames.length === 2)).toBe(true));
      expect(await metric('watch_wakeups_total{kind="stream"}')).toBe(before + 20);
    });

    it('begins with a snapshot that events continue, and needs no second read, also after a reset', async () => {
      await put('shop', 'b');
      await put('shop', 'a', { weight: 3 });
      await put('api', 'a');
      const shop = watch('?service=shop&snapshot=true');
      const all = watch('?snapshot=true');
      await eventually(() => expect([shop.frames.length, all.frames.length]).toEqual([1, 1]));

      const listed = (await registry.api.get('/v1/services/shop/instances')).body.instances;
      const described = (await registry.api.get('/v1/services/shop')).body;
      const [frame] = shop.frames;
      const data = JSON.parse(frame?.data ?? '');
      expect(frame).toMatchObject({ event: 'snapshot', id: `${data.epoch}.${data.revision}` });
      const [{ instances, ...service }] = data.services;
      expect({ ...service, instances: described.instances }).toEqual(described);
      // the list has more: what agents report between two changes
      expect(listed).toMatchObject(instances);
      expect(instances).toHaveLength(2);
      const whole = JSON.parse(all.frames[0]?.data ?? '');
      expect(whole.services.map(({ name }: { name: string }) => name)).toEqual(['api', 'shop']);
      expect(whole.routes).toEqual((await registry.api.get('/v1/routes')).body.routes);

      await put('shop', 'c');
      await eventually(() => expect(shop.told()).toEqual(['snapshot', 'instance.registered shop/c']));
      const late = watch('?service=shop&snapshot=true');
      await eventually(() => expect(late.frames).toHaveLength(1));
      const { instances: then } = JSON.parse(late.frames[0]?.data ?? '').services[0];
      expect(then.map(({ id }: { id: string }) => id)).toEqual(['a', 'b', 'c']);

      const lost = createEventSource('/v1/stream?service=shop&snapshot=true', (each) => lostFrames.push(each));
      const lostFrames: WatchedFrame[] = [];
      lost.open(Number(new URL(registry.url).port), '1.1');
      closing.push(() => lost.cut());
      await eventually(() => expect(lostFrames.flatMap(({ event }) => event ?? [])).toEqual(['reset', 'snapshot']));
      expect(lostFrames.find(({ event }) => event === 'reset')?.id).toBeUndefined();
    });

    it('tells an idle watcher where it is, so that it resumes exactly after hours of events of others', async () => {
      const streams = await startStreams(redis.port, { ring: { maxEvents: 5, maxBytes: 10_000 }, keepAliveMs: 60 });
      closing.push(() => streams.stop());
      const watcher = watch('?service=api', streams.port);
      await eventually(() => expect(watcher.frames).toHaveLength(1));
      for (let n = 0; n < 20; n += 1) await put('shop', `i${n}`);
      const last = await put('shop', 'last');
      await eventually(() => expect(watcher.lastId()?.endsWith(`.${last}`)).toBe(true));
      watcher.cut();
      await redis.cli('XTRIM', keys.events, 'MAXLEN', '1');

      watcher.open(streams.port);
      await put('api', 'a');

      await eventually(() => expect(watcher.told()).toEqual(['start', 'instance.registered api/a']));
    });
  });

  describe('by waiting', () => {
    const shop = '/v1/services/shop/instances';

    it('answers when something of that service changes, removals included, with the next cursor', async () => {
      await put('shop', 'a');
      let after = await cursorAt(shop);
      const changes = [
        () => put('shop', 'b'),
        () => remove('shop', 'a'),
        () => registry.api.put('/v1/services/shop').send({ policy: 'random' }).expect(201),
        () => remove('shop', 'b'),
      ];
      const seen: string[] = [];
      for (const change of changes) {
        const answer = wait(shop, after);
        await waiting(1);
        await change();
        const { status, headers, body } = await answer;
        expect(status).toBe(200);
        seen.push(body.instances.map(({ id }: { id: string }) => id).join());
        expect(headers['switchyard-cursor']).not.toBe(after);
        after = headers['switchyard-cursor'] ?? '';
      }
      expect(seen).toEqual(['a,b', 'b', 'b', '']);
    });

    it('is not woken by other services, whose changes do not move its cursor, and answers when its time is over', async () => {
      await put('shop', 'a');
      const after = await cursorAt(shop);
      const answer = wait(shop, after, '&wait=700ms');
      const startMs = performance.now();
      await waiting(1);
      const before = await metric('watch_wakeups_total{kind="long-poll"}');
      for (let n = 0; n < 10; n += 1) await put('api', `i${n}`);

      expect(await metric('watch_wakeups_total{kind="long-poll"}')).toBe(before);
      const { status, headers, body } = await answer;
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(650);
      expect([status, headers['switchyard-cursor'], body.instances.length]).toEqual([200, after, 1]);
    });

    it('answers at once when the cursor is old or of another epoch, or no time is given', async () => {
      await put('shop', 'a');
      const before = await cursorAt(shop);
      await put('shop', 'b');
      const startMs = performance.now();

      for (const [after, more] of [
        [before, ''],
        ['1.5', ''],
        ['99999999999999.5', ''],
        [await cursorAt(shop), '&wait=0s'],
      ] as const) {
        expect((await wait(shop, after, more)).body.instances).toHaveLength(2);
      }
      expect(performance.now() - startMs).toBeLessThan(2_000);
    });

    it.each([
      ['after=nonsense', 'after'],
      ['after=1.2.3', 'after'],
      ['after=-1.2', 'after'],
      ['after=1.2&wait=11m', 'wait'],
      ['after=1.2&wait=soon', 'wait'],
    ])('refuses %s and names it', async (query, name) => {
      for (const path of [shop, '/v1/services']) {
        const problem = problemIn(await registry.api.get(`${path}?${query}`));
        expect(problem).toMatchObject({ status: 400, code: 'invalid_input' });
        expect(problem.why?.[0]).toMatch(new RegExp(`^${name}: must be`));
      }
    });

    it('can be done for a service that is not there yet', async () => {
      const answer = await registry.api.get(shop).expect(404);
      const waited = wait(shop, answer.headers['switchyard-cursor'] ?? '');
      await waiting(1);
      await put('shop', 'a');

      expect((await waited).body.instances).toMatchObject([{ id: 'a' }]);
    });

    it('can be done for all services', async () => {
      const answer = wait('/v1/services', await cursorAt('/v1/services'));
      await waiting(1);
      await put('shop', 'a');

      expect((await answer).body.services).toMatchObject([{ name: 'shop', instances: { total: 1 } }]);
    });

    it('ends with the client, and at once for everybody when the registry drains', async () => {
      await put('shop', 'a');
      const after = await cursorAt(shop);
      const leaving = new AbortController();
      const left = fetch(`${registry.url}${shop}?after=${after}`, { signal: leaving.signal }).catch(() => 'left');
      await waiting(1);
      leaving.abort();
      expect(await left).toBe('left');
      await waiting(0);

      const answers = [wait(shop, after), wait('/v1/services', await cursorAt('/v1/services'))];
      await waiting(2);
      const startMs = performance.now();
      await registry.stop();

      for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
      expect(performance.now() - startMs).toBeLessThan(2_000);
    });
  });
});
