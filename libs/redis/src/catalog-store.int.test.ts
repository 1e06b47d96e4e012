import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { announce, evictInstance, registerInstance } from '@switchyard/catalog';
import type { Commit, Decision } from '@switchyard/catalog';
import { instanceInputSchema, keys, memberOf } from '@switchyard/protocol';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import {
  createCatalogFeed,
  createCatalogStore,
  createEpochKeeper,
  createRedis,
  beat,
  sweep,
  releaseMonitorLease,
} from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const input = instanceInputSchema.parse({ url: 'http://127.0.0.1:3000', ttl: '1s' });
const signal = new AbortController().signal;

const commitOf = (decision: Decision): Commit => {
  if (decision.type !== 'commit') throw new Error('nothing to commit');
  return decision.commit;
};
const registration = (id: string): Commit => commitOf(registerInstance(undefined, { service: 'shop', id }, input, 1));

describe('the catalog in Redis', () => {
  let server: TestRedis;
  let connections: ReturnType<typeof createRedis>;
  let redis: ReturnType<typeof connections.connect>;
  let store: ReturnType<typeof createCatalogStore>;

  beforeAll(async () => {
    server = await startRedis();
    const settings = { kind: 'single', endpoint: { host: server.host, port: server.port }, group: 'main' } as const;
    connections = createRedis(settings, { logger, name: 'test' });
    redis = connections.connect('commands');
    store = createCatalogStore(redis, 'test');
    await eventually(() => expect(redis.status).toBe('ready'));
  });
  beforeEach(() => server.cli('FLUSHALL'));
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });

  it('gives each commit the next revision and keeps document and event under it', async () => {
    const first = await store.commit(registration('a'));
    const second = await store.commit(registration('b'));

    expect(first).toMatchObject({ type: 'committed', cursor: { revision: 1 } });
    expect(second).toMatchObject({ type: 'committed', cursor: { revision: 2 } });
    expect(await store.readInstance('shop', 'b')).toMatchObject({ id: 'b', revision: 2, liveness: 'alive' });
    const { events: history } = await store.history(undefined, 10);
    expect(history.map((event) => [event.revision, event.type])).toEqual([
      [2, 'instance.registered'],
      [1, 'instance.registered'],
    ]);
    expect(history[0]?.time).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Math.abs(Date.parse(history[0]?.time ?? '') - Date.now())).toBeLessThan(60_000);
  });

  it('refuses a commit whose expectation no longer holds and writes nothing of it', async () => {
    await store.commit(registration('a'));

    const again = await store.commit(registration('a'));

    expect(again).toEqual({ type: 'conflict', key: 'shop/a' });
    expect((await store.snapshot()).revision).toBe(1);
    expect((await store.history(undefined, 10)).events).toHaveLength(1);
  });

  it('refuses a leader that another one has replaced', async () => {
    await store.commit(registration('a'));
    const before = await sweep(redis, { holder: 'one', leaseMs: 1_000, limit: 10, suspects: [] });
    await releaseMonitorLease(redis, 'one');
    const after = await sweep(redis, { holder: 'two', leaseMs: 1_000, limit: 10, suspects: [] });
    const known = (await store.snapshot()).instances[0];
    if (!known) throw new Error('it was registered');
    const eviction = commitOf(evictInstance(known, { because: 'silence', detail: 'silent' }, 2));

    const stale = await store.commit(eviction, { lease: 'monitor', token: before.token });
    const present = await store.commit(eviction, { lease: 'monitor', token: after.token });

    expect(after.token).toBeGreaterThan(before.token);
    expect(stale).toEqual({ type: 'fenced' });
    expect(present.type).toBe('committed');
  });

  it('lets one monitor lead, and shows it who is late by the clock of Redis', async () => {
    await store.commit(registration('a'));
    await store.commit(registration('b'));
    const leader = await sweep(redis, { holder: 'one', leaseMs: 5_000, limit: 10, suspects: [] });
    const other = await sweep(redis, { holder: 'two', leaseMs: 5_000, limit: 10, suspects: [] });
    expect([leader.leader, other.leader, leader.known]).toEqual([true, false, 2]);
    expect(leader.passed).toEqual([]);

    await eventually(async () => {
      await beat(redis, [memberOf('shop', 'b')]);
      const seen = await sweep(redis, { holder: 'one', leaseMs: 5_000, limit: 10, suspects: ['shop/a', 'shop/b'] });
      expect(seen.passed.map(({ member }) => member)).toEqual(['shop/a']);
      expect(seen.passed[0]?.ttlMs).toBe(1_000);
      expect(seen.back.map(({ member }) => member)).toEqual(['shop/b']);
    });
  });

  it('names the instances that a heartbeat was for and that it does not know', async () => {
    await store.commit(registration('a'));

    expect(await beat(redis, ['shop/a', 'shop/ghost', 'none/x'])).toEqual(['shop/ghost', 'none/x']);
  });

  it('keeps a reader in step through changes, a wipe and an epoch', async () => {
    const subscriber = connections.connect('subscriber');
    const feed = createCatalogFeed({ store, subscriber, clock: systemClock, logger });
    const keeper = createEpochKeeper({ store, redis, feed, clock: systemClock, logger });
    const heard: string[] = [];
    feed.listen((news) => heard.push(news.type === 'event' ? news.event.type : 'reset'));
    try {
      await keeper.start?.(signal);
      await feed.start?.(signal);
      await eventually(() => expect(feed.status().loaded).toBe(true));
      await store.commit(registration('a'));
      await eventually(() => expect(feed.view.instance('shop', 'a')).toBeDefined());
      const before = feed.status();

      await server.cli('FLUSHALL');
      await eventually(() => expect(feed.view.instance('shop', 'a')).toBeUndefined(), { timeoutMs: 10_000 });
      await store.commit(registration('b'));

      await eventually(() => expect(feed.view.instance('shop', 'b')).toBeDefined(), { timeoutMs: 10_000 });
      await eventually(() => expect(feed.status().epoch).toBeGreaterThan(before.epoch), { timeoutMs: 10_000 });
      expect(heard).toContain('instance.registered');
      expect(heard.filter((type) => type === 'reset').length).toBeGreaterThan(1);
    } finally {
      await feed.stop?.();
      await keeper.stop?.();
    }
  });

  it('never goes back to a revision that it has seen, also when an empty Redis gives low ones out first', async () => {
    const { epoch } = await store.snapshot();
    await store.raiseEpoch({ epoch: epoch + 1, revision: 5_000_000 }, 'as after five failovers');
    const feed = createCatalogFeed({
      store,
      subscriber: connections.connect('subscriber'),
      clock: systemClock,
      logger,
    });
    const keeper = createEpochKeeper({ store, redis, feed, clock: systemClock, logger });
    try {
      await feed.start?.(signal);
      await eventually(() => expect(feed.status().revision).toBeGreaterThan(5_000_000));
      const before = feed.status();
      await keeper.start?.(signal);
      // the keeper has looked, and looks again only after two seconds
      await eventually(async () => expect(await server.cli('HGET', keys.catalogMeta, 'runId')).not.toBeNull());
      await server.cli('FLUSHALL');
      await store.commit(registration('b'));
      await eventually(() => expect(feed.status().revision).toBeLessThan(before.revision));

      await eventually(() => expect(feed.status().revision).toBeGreaterThan(before.revision));

      expect(feed.status().epoch).toBeGreaterThan(before.epoch);
      expect(feed.view.instance('shop', 'b')).toBeDefined();
    } finally {
      await keeper.stop?.();
      await feed.stop?.();
    }
  });

  it('keeps revisions unique when a Redis that knows less takes over', async () => {
    for (const id of ['a', 'b', 'c']) await store.commit(registration(id));
    const seen = await store.snapshot();
    await server.cli('FLUSHALL');

    expect(await store.raiseEpoch(seen, 'test')).toBe(true);
    expect(await store.raiseEpoch(seen, 'test')).toBe(false);

    const after = await store.commit(announce({ type: 'route.deleted', subject: 'x', data: { name: 'x' } }));
    expect(after).toMatchObject({ type: 'committed' });
    const now = await store.snapshot();
    expect(now.epoch).toBeGreaterThan(seen.epoch);
    expect(now.revision).toBeGreaterThan(seen.revision + 2 ** 19);
    const { events } = await store.history(undefined, 5);
    expect(events.map((event) => event.type)).toEqual(['route.deleted', 'catalog.reset']);
  });

  it('says that events are missing in place of leaving them out', async () => {
    for (const id of ['a', 'b', 'c']) await store.commit(registration(id));
    const { epoch } = await store.snapshot();
    await server.cli('XTRIM', keys.events, 'MAXLEN', '1');

    expect(await store.tail({ epoch, revision: 2 }, 10)).toMatchObject({ type: 'events' });
    expect(await store.tail({ epoch, revision: 1 }, 10)).toMatchObject({ type: 'gap' });
    expect(await store.tail({ epoch: epoch - 1, revision: 2 }, 10)).toMatchObject({ type: 'gap' });
    expect(await store.tail({ epoch, revision: 3 }, 10)).toMatchObject({ type: 'events', events: [] });
    expect(await store.tail({ epoch, revision: 4 }, 10)).toMatchObject({ type: 'gap' });
  });

  it('says that events are missing when a later version wrote one that this one does not understand', async () => {
    await store.commit(registration('a'));
    const { epoch } = await store.snapshot();
    const event = { id: `${epoch}.2`, epoch, revision: 2, type: 'weather.changed', subject: 'sun', data: {} };
    await server.cli('HSET', keys.catalogMeta, 'revision', 2);
    await server.cli('XADD', keys.events, '2-0', 'e', JSON.stringify(event));
    await store.commit(registration('b'));

    expect(await store.tail({ epoch, revision: 1 }, 10)).toMatchObject({ type: 'gap', cursor: { revision: 3 } });
    expect(await store.tail({ epoch, revision: 2 }, 10)).toMatchObject({ type: 'events', events: [{ revision: 3 }] });
    expect(await store.history(undefined, 2)).toMatchObject({ events: [{ revision: 3 }], next: 2 });
    expect(await store.history(2, 2)).toMatchObject({ events: [{ revision: 1 }], next: null });
  });
});
