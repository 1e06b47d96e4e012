import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { announce, emptySnapshot, registerInstance, removeInstance } from '@switchyard/catalog';
import type { Decision } from '@switchyard/catalog';
import { instanceInputSchema, keys, ok, servicePolicySchema } from '@switchyard/protocol';
import { createLogger, systemClock } from '@switchyard/runtime';
import type { Component } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import {
  beat,
  createCatalogFeed,
  createCatalogStore,
  createEpochKeeper,
  createRedis,
  decideAndCommit,
} from './index.ts';
import type { CatalogFeed } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const input = instanceInputSchema.parse({ url: 'http://127.0.0.1:3000', ttl: '1s' });
const signal = new AbortController().signal;

describe('a Redis that forgot', () => {
  let server: TestRedis;
  let connections: ReturnType<typeof createRedis>;
  let redis: ReturnType<typeof connections.connect>;
  let store: ReturnType<typeof createCatalogStore>;
  let started: Component[];

  const register = (id: string) =>
    decideAndCommit(store, async () =>
      ok(registerInstance(await store.readInstance('shop', id), { service: 'shop', id }, input, 1)),
    );
  const carry = (decide: () => Promise<Decision>) => decideAndCommit(store, async () => ok(await decide()));
  /** A reader, and what it has seen of the service, one entry a change. */
  const startReader = async (): Promise<{ feed: CatalogFeed; seen: string[] }> => {
    const subscriber = connections.connect('subscriber');
    const feed = createCatalogFeed({ store, subscriber, clock: systemClock, logger });
    const seen: string[] = [];
    feed.listen(({ view }) =>
      seen.push(
        [...view.instancesOf('shop')]
          .map(({ id }) => id)
          .sort()
          .join(''),
      ),
    );
    await feed.start?.(signal);
    started.push(feed);
    await eventually(() => expect(feed.status().loaded).toBe(true));
    return { feed, seen };
  };
  const startKeeper = async (feed: CatalogFeed): Promise<void> => {
    const keeper = createEpochKeeper({ store, redis, feed, clock: systemClock, logger });
    await keeper.start?.(signal);
    started.push(keeper);
  };

  beforeAll(async () => {
    server = await startRedis();
    const settings = { kind: 'single', endpoint: { host: server.host, port: server.port }, group: 'main' } as const;
    connections = createRedis(settings, { logger, name: 'test' });
    redis = connections.connect('commands');
    store = createCatalogStore(redis, 'test');
    await eventually(() => expect(redis.status).toBe('ready'));
  });
  beforeEach(async () => {
    started = [];
    await server.cli('FLUSHALL');
    await store.raiseEpoch({ epoch: 0, revision: 0 }, { reason: 'test', snapshot: emptySnapshot });
  });
  afterEach(async () => {
    for (const each of started.toReversed()) await each.stop?.();
  });
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });

  it('gives nothing out before its next epoch has begun', async () => {
    await register('a');
    await server.cli('FLUSHALL');

    const written = await store.commit(announce({ type: 'route.deleted', subject: 'x', data: { name: 'x' } }));

    expect(written).toEqual({ type: 'unclaimed' });
    expect(await server.cli('EXISTS', keys.events)).toBe(0);
    expect(await store.tail({ epoch: 1, revision: 0 }, 10)).toEqual({ type: 'unclaimed' });
    expect((await store.snapshot()).claimed).toBe(false);
  });

  it('gets back what a reader knows, and no reader ever misses anybody', async () => {
    for (const id of ['a', 'b', 'c']) await register(id);
    await carry(async () => {
      const policy = servicePolicySchema.parse({ policy: 'random' });
      return {
        type: 'commit',
        commit: {
          expect: [],
          writes: [{ kind: 'service', key: 'shop', document: policy }],
          event: { type: 'service.updated', subject: 'shop', data: { name: 'shop', policy } },
        },
      };
    });
    const { feed, seen } = await startReader();
    const other = await startReader();
    await startKeeper(feed);
    await eventually(() => expect([...feed.view.instancesOf('shop')]).toHaveLength(3));
    const before = feed.status();
    const etag = feed.view.instance('shop', 'a')?.revision;

    await server.cli('FLUSHALL');
    // an agent that is told "unknown" registers again, before anybody has noticed the wipe
    expect(await beat(redis, ['shop/a'])).toEqual(['shop/a']);
    expect((await register('a')).ok).toBe(true);

    await eventually(() => expect(feed.status().epoch).toBeGreaterThan(before.epoch), { timeoutMs: 5_000 });
    await eventually(() => expect(other.feed.status().epoch).toBeGreaterThan(before.epoch), { timeoutMs: 5_000 });
    expect(feed.status().revision).toBeGreaterThan(before.revision + 2 ** 19);
    expect(new Set(seen.slice(seen.lastIndexOf('')))).toEqual(new Set(['abc']));
    expect(new Set(other.seen)).toEqual(new Set(['abc']));
    expect(feed.view.policyOf('shop')?.document.policy).toBe('random');
    expect(feed.view.instance('shop', 'a')?.revision).toBe(etag);
    expect(await beat(redis, ['shop/a', 'shop/b', 'shop/c'])).toEqual([]);
    const { events } = await store.history(undefined, 1);
    expect(events[0]).toMatchObject({ type: 'catalog.reset', data: { previousEpoch: before.epoch, writtenBack: 4 } });
  });

  it('keeps what was written after the loss over what a reader remembers', async () => {
    await register('a');
    const remembered = await store.snapshot();
    await server.cli('FLUSHALL');
    await store.raiseEpoch({ epoch: 0, revision: 0 }, { reason: 'somebody was quicker', snapshot: remembered });
    await carry(async () => {
      const found = await store.readInstance('shop', 'a');
      const decision = removeInstance(
        found,
        { service: 'shop', id: 'a' },
        { type: 'instance.deregistered', reason: 'x' },
      );
      if (!decision.ok) throw new Error(decision.error.detail);
      return decision.value;
    });

    const late = await store.raiseEpoch(remembered, { reason: 'late', snapshot: remembered });

    expect(late.type).toBe('fine');
    expect(await store.readInstance('shop', 'a')).toBeUndefined();
  });

  it('is left as it is when an old state was put there on purpose', async () => {
    await register('a');
    const remembered = await store.snapshot();
    await server.cli('FLUSHALL');
    await server.cli('HSET', keys.catalogMeta, 'restored', '1');

    const raised = await store.raiseEpoch(remembered, { reason: 'after a rollback', snapshot: remembered });

    expect(raised).toMatchObject({ type: 'raised', writtenBack: 0 });
    expect(await store.readInstance('shop', 'a')).toBeUndefined();
    expect(await server.cli('HEXISTS', keys.catalogMeta, 'restored')).toBe(0);
  });

  it('never goes back to a revision or an epoch that somebody has seen', async () => {
    for (const id of ['a', 'b', 'c']) await register(id);
    const seen = await store.snapshot();
    await server.cli('FLUSHALL');

    expect((await store.raiseEpoch(seen)).type).toBe('needed');
    expect((await store.raiseEpoch(seen, { reason: 'test', snapshot: emptySnapshot })).type).toBe('raised');
    expect((await store.raiseEpoch(seen, { reason: 'test', snapshot: emptySnapshot })).type).toBe('fine');

    const now = await store.snapshot();
    expect(now.epoch).toBeGreaterThan(seen.epoch);
    expect(now.revision).toBeGreaterThan(seen.revision + 2 ** 19);
    const ahead = await store.raiseEpoch(
      { epoch: now.epoch + 1, revision: now.revision + 5 },
      { reason: 'a reader was ahead', snapshot: emptySnapshot },
    );
    if (ahead.type !== 'raised') throw new Error(ahead.type);
    expect(ahead.cursor.epoch).toBeGreaterThan(now.epoch + 1);
    expect(ahead.cursor.revision).toBeGreaterThan(now.revision + 5);
  });

  it('is told to go on by a writer when nobody else is there', async () => {
    await server.cli('FLUSHALL');

    expect((await register('a')).ok).toBe(true);

    expect(await store.readInstance('shop', 'a')).toMatchObject({ id: 'a' });
  });

  it('never gives a fencing token out that is not higher than all before, wiped or not', async () => {
    const grant = async (): Promise<number> => {
      const event = announce({ type: 'route.deleted', subject: 'x', data: { name: 'x' } });
      const outcome = await store.commit({ ...event, grant: true });
      if (outcome.type !== 'committed') throw new Error(outcome.type);
      return outcome.token;
    };
    const first = await grant();
    const second = await grant();
    const seen = await store.snapshot();
    // a failover that lost the last grant
    await server.cli('HINCRBY', keys.catalogMeta, 'fence', '-1');
    await server.cli('HSET', keys.catalogMeta, 'runId', 'another');
    await store.raiseEpoch(seen, { reason: 'failover', snapshot: seen });
    const third = await grant();
    await systemClock.sleep(200);
    await server.cli('FLUSHALL');
    await store.raiseEpoch(seen, { reason: 'wiped', snapshot: emptySnapshot });
    const fourth = await grant();

    expect(second).toBe(first + 1);
    expect(third).toBeGreaterThan(second);
    expect(fourth).toBeGreaterThan(third);
  });
});
