import { channels, eventSchema, keys } from '@switchyard/protocol';
import type { SwitchyardEvent } from '@switchyard/protocol';
import { createRedis, keepSubscribed } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

interface Frame {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: { readonly revision: number; readonly epoch: number; readonly [key: string]: unknown };
}

/** A watcher: every frame with data, as it comes. */
async function watch(url: string, lastEventId?: string) {
  const closing = new AbortController();
  const response = await fetch(url, {
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
    signal: closing.signal,
  });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
  const frames: Frame[] = [];
  let ended = false;
  const read = async (): Promise<void> => {
    let text = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const field = (name: string) =>
          block
            .split('\n')
            .find((line) => line.startsWith(`${name}: `))
            ?.slice(name.length + 2);
        const data = field('data');
        if (data !== undefined) frames.push({ id: field('id'), event: field('event'), data: JSON.parse(data) });
      }
    }
  };
  const reading = read()
    .catch(() => undefined)
    .finally(() => (ended = true));
  return {
    frames,
    types: () => frames.map(({ event }) => event),
    ended: () => ended,
    async close() {
      closing.abort();
      await reading;
    },
  };
}

describe('what happened', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  const watchers: { close(): Promise<void> }[] = [];
  beforeEach(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
  });
  afterEach(async () => {
    for (const watcher of watchers.splice(0)) await watcher.close();
    await registry.stop();
    await redis.stop();
  });
  const put = async (id: string, more: object = {}): Promise<number> => {
    const path = `/v1/services/shop/instances/${id}`;
    const { body, status } = await registry.api.put(path).send({ url: 'http://10.0.0.5:1', ...more });
    expect(status).toBeLessThan(300);
    return body.revision;
  };
  const open = async (query = '', lastEventId?: string, from = registry) => {
    const watcher = await watch(`${from.url}/v1/stream${query}`, lastEventId);
    watchers.push(watcher);
    return watcher;
  };
  const page = async (query: string) => (await registry.api.get(`/v1/events${query}`).expect(200)).body;

  it('is told newest first, page by page, with nothing left out and nothing told twice', async () => {
    for (let n = 0; n < 25; n += 1) await put(`i${n}`);
    const seen: number[] = [];
    let query = '?limit=10';
    for (let pages = 0; pages < 5; pages += 1) {
      const { events, next } = await page(query);
      for (const event of events) expect(eventSchema.parse(event)).toEqual(event);
      seen.push(...events.map(({ revision }: SwitchyardEvent) => revision));
      if (next === null) break;
      query = `?limit=10&before=${next}`;
    }

    expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => b - a));
    const all = await page('?limit=1000');
    expect(all.events.map(({ revision }: SwitchyardEvent) => revision)).toEqual(seen);
    expect(all.next).toBeNull();
    const link = (await registry.api.get('/v1/events?limit=10')).headers['link'];
    expect(link).toMatch(/^<\/v1\/events\?limit=10&before=\d+>; rel="next"$/);
  });

  it('is told by topic, and the pages of a topic lead on although they hold less', async () => {
    await put('a');
    await registry.api.put('/v1/routes/x').send({ service: 'shop' }).expect(201);
    await put('b');

    const { events, next } = await page('?topics=route,service&limit=2');
    expect(events.map(({ type }: SwitchyardEvent) => type)).toEqual(['route.updated']);
    expect(next).not.toBeNull();
    const link = (await registry.api.get('/v1/events?topics=route&limit=2')).headers['link'] ?? '';
    const following = await registry.api.get(/^<(.*)>/.exec(link)?.[1] ?? '/');
    for (const event of following.body.events) expect(event.type).toMatch(/^route\./);
  });

  it('is published on the channel of events as CloudEvents', async () => {
    const heard: string[] = [];
    const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
    const connections = createRedis(
      { kind: 'single', endpoint: { host: redis.host, port: redis.port }, group: 'main' },
      { logger, name: 'test' },
    );
    const subscriber = connections.connect('subscriber');
    subscriber.on('message', (_channel, text) => heard.push(text));
    keepSubscribed(subscriber, [channels.events]);
    try {
      await eventually(async () => expect(await redis.cli('PUBSUB', 'NUMSUB', channels.events)).toContain(2));
      const revision = await put('a');
      await eventually(() => expect(heard).toHaveLength(1));
      const event = JSON.parse(heard[0] ?? '');
      expect(eventSchema.parse(event)).toMatchObject({
        specversion: '1.0',
        type: 'instance.registered',
        subject: 'shop/a',
        revision,
        data: { instance: { id: 'a' } },
      });
    } finally {
      await connections.stop();
    }
  });

  it('is streamed from where the watcher begins: first that place, then each event once', async () => {
    const known = await put('before');
    const watcher = await open();
    await eventually(() => expect(watcher.frames).toHaveLength(1));
    expect(watcher.frames[0]).toMatchObject({ event: 'start', data: { revision: known } });
    expect(watcher.frames[0]?.id).toBe(`${watcher.frames[0]?.data.epoch}.${known}`);

    const revisions: number[] = [];
    for (let n = 0; n < 20; n += 1) revisions.push(await put(`i${n}`));

    await eventually(() => expect(watcher.frames).toHaveLength(21));
    expect(watcher.frames.slice(1).map(({ data }) => data.revision)).toEqual(revisions);
    for (const { id, data, event } of watcher.frames.slice(1)) {
      expect(id).toBe(data['id']);
      expect(event).toBe('instance.registered');
    }
  });

  it('resumes exactly after the last id, also in the middle of a burst, also on another registry', async () => {
    const first = await open();
    const burst = Array.from({ length: 60 }, (_, n) => put(`i${n}`));
    await eventually(() => expect(first.frames.length).toBeGreaterThan(5));
    await first.close();
    const last = first.frames.at(-1);
    const other = await startRegistry(redis.port);
    try {
      const second = await open('', last?.id, other);
      await Promise.all(burst);
      await put('end');

      await eventually(() => expect(second.frames.at(-1)?.data['subject']).toBe('shop/end'));
      const revisions = [...first.frames, ...second.frames].map(({ data }) => data.revision);
      const begin = revisions[0] ?? 0;
      expect(revisions).toEqual(Array.from({ length: 62 }, (_, n) => begin + n));
      expect(second.types()).not.toContain('reset');
      await second.close();
    } finally {
      await other.stop();
    }
  });

  it('is streamed by topic, and the id of the last event of it resumes past the others', async () => {
    const watcher = await open('?topics=route');
    await put('a');
    await registry.api.put('/v1/routes/x').send({ service: 'shop' }).expect(201);
    await put('b');
    await eventually(() => expect(watcher.types()).toEqual(['start', 'route.updated']));
    const again = await open('?topics=route', watcher.frames.at(-1)?.id);
    await registry.api.delete('/v1/routes/x').expect(204);

    await eventually(() => expect(again.types()).toEqual(['route.deleted']));
    await eventually(() => expect(watcher.types()).toEqual(['start', 'route.updated', 'route.deleted']));
  });

  it('resumes from memory what Redis no longer keeps, and while Redis is away', async () => {
    const watcher = await open();
    await eventually(() => expect(watcher.frames).toHaveLength(1));
    const revisions: number[] = [];
    for (let n = 0; n < 5; n += 1) revisions.push(await put(`i${n}`));
    await redis.cli('XTRIM', keys.events, 'MAXLEN', '1');
    await redis.kill();

    const late = await open('', watcher.frames[0]?.id);

    await eventually(() => expect(late.frames.map(({ data }) => data.revision)).toEqual(revisions));
    expect(new Set(late.types())).toEqual(new Set(['instance.registered']));
  });

  it('says reset to a watcher whose events are no longer kept, and goes on from there', async () => {
    const watcher = await open();
    await eventually(() => expect(watcher.frames).toHaveLength(1));
    const id = watcher.frames[0]?.id;
    for (let n = 0; n < 5; n += 1) await put(`i${n}`);
    await redis.cli('XTRIM', keys.events, 'MAXLEN', '1');
    const other = await startRegistry(redis.port);
    try {
      const late = await open('', id, other);
      await eventually(() => expect(late.types()).toEqual(['reset']));
      expect(late.frames[0]?.data['reason']).toContain('no longer kept');
      const now = (await registry.api.get('/v1/services')).headers['switchyard-revision'];
      expect(String(late.frames[0]?.data.revision)).toBe(now);
      const revision = await put('after');
      await eventually(() =>
        expect(late.frames.at(-1)).toMatchObject({ event: 'instance.registered', data: { revision } }),
      );
      expect(late.frames).toHaveLength(2);
    } finally {
      await other.stop();
    }
  });

  it.each(['1.1', '999999999999999.5', '0.0'])('says reset to a watcher of another epoch: %s', async (id) => {
    const watcher = await open('', id);

    await eventually(() => expect(watcher.types()).toEqual(['reset']));
    const revision = await put('after');
    await eventually(() => expect(watcher.frames.at(-1)).toMatchObject({ data: { revision } }));
  });

  it('says reset to a watcher that knows more than Redis', async () => {
    const epoch = (await registry.api.get('/v1/services')).headers['switchyard-epoch'];

    const watcher = await open('', `${epoch}.999999`);

    await eventually(() => expect(watcher.types()).toEqual(['reset']));
  });

  it('says reset to every watcher when the catalog was lost, and then what came after', async () => {
    const watcher = await open();
    await put('a');
    await eventually(() => expect(watcher.types()).toEqual(['start', 'instance.registered']));

    await redis.cli('FLUSHALL');

    await eventually(() => expect(watcher.types()).toContain('reset'), { timeoutMs: 8_000 });
    // the first registration after the loss may itself be part of what a reset tells to read again
    await put('b');
    await eventually(async () => {
      expect((await registry.api.get('/v1/services/shop/instances/b')).status).toBe(200);
    });
    await put('c');
    await eventually(() => expect(watcher.frames.at(-1)?.data['subject']).toBe('shop/c'));
    const reset = watcher.frames.findLast(({ event }) => event === 'reset');
    expect(reset?.data.epoch).toBeGreaterThan(watcher.frames[0]?.data.epoch ?? Infinity);
  });

  it('goes on for watchers while Redis is away, and new ones can begin or resume at the present', async () => {
    const id = (await open()).frames;
    await eventually(() => expect(id).toHaveLength(1));
    await redis.kill();

    const fresh = await open();
    const resumed = await open('', id[0]?.id);
    await eventually(() => expect(fresh.types()).toEqual(['start']));
    await redis.restart();
    // it came back empty: another epoch begins, and then it is as ever
    const before = fresh.frames[0]?.data.epoch ?? Infinity;
    const epoch = async () => Number((await registry.api.get('/v1/services')).headers['switchyard-epoch']);
    await eventually(async () => expect(await epoch()).toBeGreaterThan(before), { timeoutMs: 8_000 });
    await put('back');

    for (const watcher of [fresh, resumed]) {
      await eventually(() => expect(watcher.frames.map(({ data }) => data['subject'])).toContain('shop/back'));
      expect(watcher.types()).toContain('reset');
      expect(watcher.ended()).toBe(false);
    }
  });

  it('is not lost by readers that do not understand one event: they read the catalog anew', async () => {
    const watcher = await open();
    await put('a');
    await eventually(() => expect(watcher.types()).toEqual(['start', 'instance.registered']));
    // as a later version would write it
    const { epoch, revision } = watcher.frames.at(-1)?.data ?? { epoch: 0, revision: 0 };
    const event = { id: `${epoch}.${revision + 1}`, epoch, revision: revision + 1, type: 'weather.changed' };
    await redis.cli('HSET', keys.catalogMeta, 'revision', revision + 1);
    await redis.cli('XADD', keys.events, `${revision + 1}-0`, 'e', JSON.stringify(event));

    await eventually(() => expect(watcher.types()).toEqual(['start', 'instance.registered', 'reset']));
    await put('b');
    await eventually(() => expect(watcher.frames.at(-1)?.data['subject']).toBe('shop/b'));
    const { events, next } = await page('?limit=2');
    expect(events.map(({ subject }: SwitchyardEvent) => subject)).toEqual(['shop/b']);
    expect((await page(`?limit=1&before=${next}`)).events).toMatchObject([{ subject: 'shop/a' }]);
  });

  it('ends for its watchers when the registry stops', async () => {
    const watcher = await open();
    await eventually(() => expect(watcher.frames).toHaveLength(1));

    await registry.stop();

    await eventually(() => expect(watcher.ended()).toBe(true));
  });
});
