// Does the control plane work on a Redis Cluster, and does it follow its keys when their primary dies, freezes, or gives them away?
import { registerInstance } from '@switchyard/catalog';
import { instanceInputSchema, keys, ok } from '@switchyard/protocol';
import { createLogger, systemClock } from '@switchyard/runtime';
import type { Component } from '@switchyard/runtime';
import { eventually, startCluster } from '@switchyard/testing';
import type { TestCluster, TestRedis } from '@switchyard/testing';
import { SWITCHYARD_SLOT } from './cluster-nodes.ts';
import {
  beat,
  createCatalogFeed,
  createCatalogStore,
  createDispatcherBoard,
  createEpochKeeper,
  createRedis,
  decideAndCommit,
  isRedisUnavailable,
  sweep,
} from './index.ts';
import type { CatalogFeed, Redis, RedisConnections } from './index.ts';
import { createJobQueue, createJobWorker } from './queues.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const signal = new AbortController().signal;
const input = instanceInputSchema.parse({ url: 'http://127.0.0.1:3000', ttl: '30s' });
const look = { holder: 'm1', leaseMs: 1_000, limit: 10, cursorMs: -Infinity, horizonMs: 0, asked: [] } as const;

describe('on a Redis Cluster', () => {
  let cluster: TestCluster;
  let connections: RedisConnections;
  let redis: Redis;
  let store: ReturnType<typeof createCatalogStore>;
  let feed: CatalogFeed;
  let started: Component[];
  let seen: { epoch: number; ids: string[] }[];

  beforeEach(async () => {
    cluster = await startCluster({ nodeTimeoutMs: 1_000 });
    // a single seed, which has not to be the owner and may die later
    const [host = '', port] = (cluster.addresses.split(',')[0] ?? '').split(':');
    const settings = { kind: 'cluster', nodes: [{ host, port: Number(port) }], group: 'main' } as const;
    connections = createRedis(settings, { logger, name: 'test' });
    redis = connections.connect('commands');
    store = createCatalogStore(redis, 'test');
    feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock: systemClock, logger });
    seen = [];
    feed.listen(({ view }) =>
      seen.push({ epoch: view.epoch, ids: (view.snapshot().instances ?? []).map(({ id }) => id).toSorted() }),
    );
    const keeper = createEpochKeeper({ store, redis, feed, clock: systemClock, logger });
    started = [connections, feed, keeper];
    for (const each of started) await each.start?.(signal);
  }, 40_000);
  afterEach(async () => {
    for (const each of started.toReversed()) await each.stop?.();
    await cluster.stop();
  });

  const register = (id: string) =>
    decideAndCommit(store, async () =>
      ok(registerInstance(await store.readInstance('shop', id), { service: 'shop', id }, input, 1)),
    );
  const registerUntilTaken = (id: string): Promise<unknown> =>
    eventually(
      async () => {
        const outcome = await register(id).catch((error: unknown) => {
          if (isRedisUnavailable(error)) return undefined;
          throw error;
        });
        return outcome?.ok ?? false;
      },
      { timeoutMs: 10_000, what: `the registration of ${id}` },
    );
  const owner = (): Promise<TestRedis> => cluster.ownerOf(keys.instances);
  /** Nobody who was there was missed by a reader at any moment. */
  const expectNoRemoval = (): void => {
    let before: string[] = [];
    for (const { ids } of seen) {
      expect(ids).toEqual(expect.arrayContaining(before));
      before = ids;
    }
  };

  it('keeps the catalog, beats, leases, dispatchers and queues in one slot', async () => {
    expect(Number(await cluster.nodes[0]?.cli('CLUSTER', 'KEYSLOT', keys.catalogMeta))).toBe(SWITCHYARD_SLOT);
    await eventually(() => expect(feed.status().epoch).toBeGreaterThan(0));
    const heard: string[] = [];
    feed.listen((news) => news.type === 'event' && heard.push(news.event.type));

    expect(await register('a')).toMatchObject({ ok: true });
    // by the wake-up: the poll comes every 500 ms only
    await eventually(() => expect(heard).toEqual(['instance.registered']), { timeoutMs: 300 });
    expect(await beat(redis, ['shop/a', 'shop/b'])).toEqual(['shop/b']);
    expect(await sweep(redis, look)).toMatchObject({ leader: true, known: 1 });
    const board = createDispatcherBoard(redis);
    expect(await board.publish('d1', {})).toBe(true);
    expect((await board.states()).map(({ id }) => id)).toEqual(['d1']);

    const done: number[] = [];
    const queue = createJobQueue<{ n: number }>(connections, 'backup', logger);
    const worker = createJobWorker<{ n: number }>(connections, {
      queue: 'backup',
      process: async (job) => {
        done.push(job.data.n);
      },
      clock: systemClock,
      logger,
    });
    started.push(queue, worker);
    await worker.start?.(signal);
    await eventually(() => queue.add('count', { n: 7 }, { jobId: 'before' }));
    await eventually(() => expect(done).toEqual([7]));

    const holder = await owner();
    await holder.kill();
    await eventually(() => queue.add('count', { n: 8 }, { jobId: 'after' }), { timeoutMs: 10_000 });
    await eventually(() => expect(done).toEqual([7, 8]), { timeoutMs: 15_000 });
  }, 60_000);

  it.each(['killed', 'frozen'] as const)(
    'goes on within seconds in the next epoch, with everybody, when the primary of its keys is %s',
    async (how) => {
      await eventually(() => expect(feed.status().epoch).toBeGreaterThan(0));
      for (const id of ['a', 'b', 'c']) await registerUntilTaken(id);
      await eventually(() => expect(feed.view.instanceCount).toBe(3));
      const { epoch, revision } = feed.status();
      const dying = await owner();

      const lostMs = performance.now();
      if (how === 'killed') await dying.kill();
      else dying.freeze();
      await registerUntilTaken('d');
      const backMs = performance.now() - lostMs;

      // 1 s until the node counts as failed, its election, the next connection and the next epoch
      expect(backMs).toBeLessThan(how === 'killed' ? 5_000 : 8_000);
      await eventually(() => expect(feed.view.instanceCount).toBe(4));
      expect(feed.status().epoch).toBeGreaterThan(epoch);
      expect(feed.status().revision).toBeGreaterThan(revision + 2 ** 19);
      expect(await beat(redis, ['shop/a', 'shop/b', 'shop/c', 'shop/d'])).toEqual([]);
      expectNoRemoval();

      if (how === 'frozen') {
        // the old one wakes up and believes for a moment that it owns the keys
        dying.resume();
        for (const id of ['e', 'f', 'g']) await registerUntilTaken(id);
        const stored = await eventually(async () => (await owner()).port !== dying.port && (await owner()));
        expect(await stored.cli('HLEN', keys.instances)).toBe(7);
      }
    },
    60_000,
  );

  it('loses nothing and removes nobody while its slot moves to another node', async () => {
    await eventually(() => expect(feed.status().epoch).toBeGreaterThan(0));
    await registerUntilTaken('a0');
    const from = await owner();
    const to = cluster.nodes.slice(0, 3).find((node) => node !== from) as TestRedis;
    const [fromId, toId] = [await cluster.idOf(from), await cluster.idOf(to)];
    const written = ['a0'];
    const moved = new AbortController();
    const writer = (async () => {
      for (let n = 1; !moved.signal.aborted; n += 1) {
        await registerUntilTaken(`a${n}`);
        written.push(`a${n}`);
        await systemClock.sleep(20);
      }
    })();

    await to.cli('CLUSTER', 'SETSLOT', SWITCHYARD_SLOT, 'IMPORTING', fromId);
    await from.cli('CLUSTER', 'SETSLOT', SWITCHYARD_SLOT, 'MIGRATING', toId);
    for (let keysLeft = 100; keysLeft > 0; keysLeft -= 1) {
      const some = (await from.cli('CLUSTER', 'GETKEYSINSLOT', SWITCHYARD_SLOT, 1)) as string[];
      if (some.length === 0) break;
      await from.cli('MIGRATE', to.host, to.port, '', 0, 5_000, 'KEYS', ...some);
      await systemClock.sleep(20);
    }
    for (const node of [to, from]) await node.cli('CLUSTER', 'SETSLOT', SWITCHYARD_SLOT, 'NODE', toId);
    await eventually(async () => (await owner()).port === to.port);
    const count = written.length;
    await eventually(() => expect(written.length).toBeGreaterThan(count + 3), { timeoutMs: 10_000 });
    moved.abort();
    await writer;

    expect(await to.cli('HLEN', keys.instances)).toBe(written.length);
    await eventually(() => expect(feed.view.instanceCount).toBe(written.length));
    expectNoRemoval();
  }, 60_000);
});
