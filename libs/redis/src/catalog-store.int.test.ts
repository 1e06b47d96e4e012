import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { emptySnapshot, evictInstance, registerInstance } from '@switchyard/catalog';
import type { Commit, Decision } from '@switchyard/catalog';
import { instanceInputSchema, keys } from '@switchyard/protocol';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createCatalogStore, createRedis, beat, sweep, releaseMonitorLease } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const input = instanceInputSchema.parse({ url: 'http://127.0.0.1:3000', ttl: '1s' });

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
  // the epoch begins with an event of its own, at revision 1
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    await store.raiseEpoch({ epoch: 0, revision: 0 }, { reason: 'test', snapshot: emptySnapshot });
  });
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });

  it('gives each commit the next revision and keeps document and event under it', async () => {
    const first = await store.commit(registration('a'));
    const second = await store.commit(registration('b'));

    expect(first).toMatchObject({ type: 'committed', cursor: { revision: 2 } });
    expect(second).toMatchObject({ type: 'committed', cursor: { revision: 3 } });
    expect(await store.readInstance('shop', 'b')).toMatchObject({ id: 'b', revision: 3, liveness: 'alive' });
    const { events: history } = await store.history(undefined, 10);
    expect(history.map((event) => [event.revision, event.type])).toEqual([
      [3, 'instance.registered'],
      [2, 'instance.registered'],
      [1, 'catalog.reset'],
    ]);
    expect(history[0]?.time).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Math.abs(Date.parse(history[0]?.time ?? '') - Date.now())).toBeLessThan(60_000);
  });

  it('refuses a commit whose expectation no longer holds and writes nothing of it', async () => {
    await store.commit(registration('a'));

    const again = await store.commit(registration('a'));

    expect(again).toEqual({ type: 'conflict', key: 'shop/a' });
    expect((await store.snapshot()).revision).toBe(2);
    expect((await store.history(undefined, 10)).events).toHaveLength(2);
  });

  it('refuses a leader that another one has replaced', async () => {
    await store.commit(registration('a'));
    const look = { leaseMs: 1_000, limit: 10, cursorMs: -Infinity, horizonMs: 0, asked: [] };
    const before = await sweep(redis, { ...look, holder: 'one' });
    await releaseMonitorLease(redis, 'one');
    const after = await sweep(redis, { ...look, holder: 'two' });
    const known = (await store.snapshot()).instances[0];
    if (!known) throw new Error('it was registered');
    const eviction = commitOf(evictInstance(known, { because: 'silence', detail: 'silent' }, 2));

    const stale = await store.commit(eviction, { lease: 'monitor', token: before.token });
    const present = await store.commit(eviction, { lease: 'monitor', token: after.token });

    expect(after.token).toBeGreaterThan(before.token);
    expect(stale).toEqual({ type: 'fenced' });
    expect(present.type).toBe('committed');
  });

  it('does not evict somebody who was heard while it was decided', async () => {
    await store.commit(registration('a'));
    const known = await store.readInstance('shop', 'a');
    if (!known) throw new Error('it was registered');
    const deadlineMs = Number(await redis.zscore(keys.deadlines, 'shop/a'));
    const eviction = commitOf(evictInstance(known, { because: 'silence', detail: 'silent', deadlineMs }, 2));
    await systemClock.sleep(5);
    await beat(redis, ['shop/a']);

    expect(await store.commit(eviction)).toEqual({ type: 'conflict', key: 'shop/a' });
    expect((await store.readInstance('shop', 'a'))?.liveness).toBe('alive');
    await redis.zadd(keys.deadlines, deadlineMs, 'shop/a');
    expect((await store.commit(eviction)).type).toBe('committed');
  });

  it('names the instances that a heartbeat was for and that it does not know', async () => {
    await store.commit(registration('a'));

    expect(await beat(redis, ['shop/a', 'shop/ghost', 'none/x'])).toEqual(['shop/ghost', 'none/x']);
  });

  it('says that events are missing in place of leaving them out', async () => {
    for (const id of ['a', 'b', 'c']) await store.commit(registration(id));
    const { epoch } = await store.snapshot();
    await server.cli('XTRIM', keys.events, 'MAXLEN', '1');

    expect(await store.tail({ epoch, revision: 3 }, 10)).toMatchObject({ type: 'events' });
    expect(await store.tail({ epoch, revision: 2 }, 10)).toMatchObject({ type: 'gap' });
    expect(await store.tail({ epoch: epoch - 1, revision: 3 }, 10)).toMatchObject({ type: 'gap' });
    expect(await store.tail({ epoch, revision: 4 }, 10)).toMatchObject({ type: 'events', events: [] });
    expect(await store.tail({ epoch, revision: 5 }, 10)).toMatchObject({ type: 'gap' });
  });

  it('says that events are missing when a later version wrote one that this one does not understand', async () => {
    await store.commit(registration('a'));
    const { epoch } = await store.snapshot();
    const event = { id: `${epoch}.3`, epoch, revision: 3, type: 'weather.changed', subject: 'sun', data: {} };
    await server.cli('HSET', keys.catalogMeta, 'revision', 3);
    await server.cli('XADD', keys.events, '3-0', 'e', JSON.stringify(event));
    await store.commit(registration('b'));

    expect(await store.tail({ epoch, revision: 2 }, 10)).toMatchObject({ type: 'gap', cursor: { revision: 4 } });
    expect(await store.tail({ epoch, revision: 3 }, 10)).toMatchObject({ type: 'events', events: [{ revision: 4 }] });
    expect(await store.history(undefined, 2)).toMatchObject({ events: [{ revision: 4 }], next: 3 });
    expect(await store.history(3, 1)).toMatchObject({ events: [{ revision: 2 }], next: 2 });
  });
});
