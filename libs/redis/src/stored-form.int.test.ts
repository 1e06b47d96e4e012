// What does an instance cost Redis, and do heartbeats leave no trace but a deadline?
import { emptySnapshot, registerInstance } from '@switchyard/catalog';
import { channels, instanceInputSchema, keys, memberOf } from '@switchyard/protocol';
import type { SwitchyardEvent } from '@switchyard/protocol';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { beat, createCatalogStore, createRedis, keepSubscribed } from './index.ts';
import type { Redis, RedisConnections } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const refOf = (n: number) => ({ service: `shop-${n % 10}`, id: `shop-${String(n).padStart(6, '0')}` });

describe('the catalog in Redis', () => {
  let server: TestRedis;
  let connections: RedisConnections;
  let redis: Redis;
  let store: ReturnType<typeof createCatalogStore>;
  beforeEach(async () => {
    server = await startRedis();
    const settings = { kind: 'single', endpoint: { host: server.host, port: server.port }, group: 'main' } as const;
    connections = createRedis(settings, { logger, name: 'test' });
    redis = connections.connect('commands');
    store = createCatalogStore(redis, 'registry-7f3k2a');
    await connections.start(new AbortController().signal);
    await store.raiseEpoch({ epoch: 0, revision: 0 }, { reason: 'test', snapshot: emptySnapshot });
  });
  afterEach(async () => {
    await connections.stop();
    await server.stop();
  });
  const register = async (n: number, ttl = '3s') => {
    const input = instanceInputSchema.parse({
      url: `http://10.0.${n >> 8}.${n & 255}:3000`,
      version: '1.4.2',
      zone: 'eu-1a',
      meta: { node: `worker-${n % 64}` },
      check: { type: 'http', path: '/healthz' },
      ttl,
    });
    const { service, id } = refOf(n);
    const current = await store.readInstance(service, id);
    const decision = registerInstance(current, refOf(n), input, Date.now());
    if (decision.type !== 'commit') throw new Error('nothing to commit');
    return store.commit(decision.commit);
  };

  it('takes at most 600 bytes for an instance of about 200 bytes, its deadline and its event', async () => {
    const used = async (): Promise<number> => Number(await server.info('memory', 'used_memory'));
    await register(0);
    const before = await used();
    const count = 3_000;
    for (let n = 1; n <= count; n += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => register(n + i)));
    }

    expect(((await used()) - before) / count).toBeLessThanOrEqual(600);
    const { service, id } = refOf(count);
    expect(await store.readInstance(service, id)).toMatchObject({ id, weight: 1, ttlMs: 3_000, intent: 'in-service' });
  });

  it('tells subscribers and readers the whole document', async () => {
    const heard: string[] = [];
    const subscriber = connections.connect('subscriber');
    subscriber.on('message', (_channel: string, text: string) => heard.push(text));
    keepSubscribed(subscriber, [channels.events]);
    await eventually(async () => (await redis.pubsub('NUMSUB', channels.events))[1] === 1);

    await register(7);

    await eventually(() => expect(heard).toHaveLength(1));
    const told = JSON.parse(heard[0] ?? '') as SwitchyardEvent;
    const instance = { ...refOf(7), weight: 1, declaredWeight: 1, ttlMs: 3_000, liveness: 'alive', incarnation: 1 };
    expect(told).toMatchObject({ specversion: '1.0', type: 'instance.registered', data: { instance } });
    expect((await store.history(undefined, 1)).events).toEqual([told]);
  });

  it('changes no revision and gains no event by heartbeats', async () => {
    const members = Array.from({ length: 100 }, (_, n) => memberOf(refOf(n).service, refOf(n).id));
    for (let n = 0; n < 100; n += 1) await register(n);
    const trace = async () => [
      await redis.hgetall(keys.catalogMeta),
      await redis.xlen(keys.events),
      await redis.hlen(keys.ttls),
      await redis.hgetall(keys.serviceRevisions),
    ];
    const before = await trace();
    const [deadline] = await redis.zmscore(keys.deadlines, members[0] ?? '');

    for (let round = 0; round < 20; round += 1) expect(await beat(redis, members)).toEqual([]);

    expect(await trace()).toEqual(before);
    expect(Number(await redis.zscore(keys.deadlines, members[0] ?? ''))).toBeGreaterThan(Number(deadline));
  });

  it('knows the time to live of each, usual or not, also when it changes', async () => {
    const leftMs = async (n: number): Promise<number> => {
      const { service, id } = refOf(n);
      await beat(redis, [memberOf(service, id)]);
      const { deadlineMs, nowMs } = (await store.deadlineOf(service, id)) ?? { deadlineMs: 0, nowMs: 0 };
      return deadlineMs - nowMs;
    };
    await register(1);
    await register(2, '60s');
    expect(await redis.hlen(keys.ttls)).toBe(1);
    expect(await leftMs(1)).toBeGreaterThan(2_000);
    expect(await leftMs(1)).toBeLessThanOrEqual(3_000);
    expect(await leftMs(2)).toBeGreaterThan(50_000);

    await register(1, '90s');
    await register(2, '3s');

    expect(await leftMs(1)).toBeGreaterThan(80_000);
    expect(await leftMs(2)).toBeLessThanOrEqual(3_000);
    expect(await beat(redis, ['shop-1/ghost'])).toEqual(['shop-1/ghost']);
    // twice in one batch, and in the same millisecond
    expect(await beat(redis, ['shop-1/shop-000001', 'shop-1/shop-000001', 'shop-1/ghost'])).toEqual(['shop-1/ghost']);
  });
});
