// Do dispatchers learn of each other, within bounds, and is an instance that drains told who still has requests there?
import { instanceInputSchema, keys } from '@switchyard/protocol';
import type { DispatcherDrains, DispatcherState } from '@switchyard/protocol';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createCatalogStore, createDispatcherBoard, createRedis, createRedisRegistrar } from './index.ts';
import type { DispatcherBoard, RedisConnections, RedisRegistrar } from './index.ts';

const logger = createLogger('test', { level: 'silent' });

const stateOf = (id: string): DispatcherState => ({
  id,
  version: '1',
  url: 'http://127.0.0.1:4723',
  table: { source: 'redis', epoch: 1, revision: 2, ageMs: 3, keptInstances: 0 },
  panics: [],
  listeners: [],
  instances: [],
  omittedInstances: 0,
});
let epoch = 0;
const drainsOf = (
  revision: number,
  entry?: { id: string; inFlight: number; tunnels?: number; direct?: boolean },
): DispatcherDrains => ({
  epoch,
  revision,
  drains: entry ? [{ service: 'shop', revision, tunnels: 0, direct: false, ...entry }] : [],
  omitted: 0,
});

describe('the board of the dispatchers', () => {
  let server: TestRedis;
  let connections: RedisConnections;
  let board: DispatcherBoard;
  let store: ReturnType<typeof createCatalogStore>;
  let registrarOf: (id: string) => RedisRegistrar;
  beforeAll(async () => {
    server = await startRedis();
    const endpoint = { host: server.host, port: server.port };
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    const redis = connections.connect('commands');
    await eventually(() => redis.ping());
    board = createDispatcherBoard(redis);
    store = createCatalogStore(redis, 'test');
    const input = instanceInputSchema.parse({ url: 'http://10.0.0.5:3000', ttl: '10s' });
    registrarOf = (id) => createRedisRegistrar({ store, redis, service: 'shop', id, input });
  });
  afterEach(() => server.cli('FLUSHALL'));
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });
  const silence = async (id: string, ms: number): Promise<void> => {
    const score = Number(await server.cli('ZSCORE', keys.dispatcherBeats, id));
    await server.cli('ZADD', keys.dispatcherBeats, String(score - ms), id);
  };

  it('shows everybody what each has told and how long ago, and forgets who leaves', async () => {
    expect(await board.publish('d1', { state: stateOf('d1'), drains: drainsOf(7) })).toBe(true);
    expect(await board.publish('d2', { drains: drainsOf(8) })).toBe(true);

    const states = new Map((await board.states()).map((one) => [one.id, one]));
    expect(states.get('d1')).toMatchObject({ told: stateOf('d1') });
    expect(states.get('d1')?.ageMs).toBeLessThan(2_000);
    expect(states.get('d2')?.told).toBeUndefined();
    expect(new Set((await board.drains()).dispatchers.map(({ told }) => told?.revision))).toEqual(new Set([7, 8]));

    await board.withdraw('d1');
    expect((await board.states()).map(({ id }) => id)).toEqual(['d2']);
    expect(await server.cli('HEXISTS', keys.dispatcherStates, 'd1')).toBe(0);
  });

  it('shows who was silent for 6 s with that age, forgets who was silent for 15 s, and leaves nothing behind', async () => {
    await board.publish('old', { state: stateOf('old'), drains: drainsOf(1) });
    await board.publish('late', { state: stateOf('late') });
    await silence('old', 15_500);
    await silence('late', 6_000);

    const heard = await board.states();
    expect(heard.map(({ id }) => id)).toEqual(['late']);
    expect(heard[0]?.ageMs).toBeGreaterThanOrEqual(6_000);

    await board.publish('d1', { state: stateOf('d1') });
    expect(new Set((await server.cli('HKEYS', keys.dispatcherStates)) as string[])).toEqual(new Set(['late', 'd1']));
    expect(await server.cli('HKEYS', keys.dispatcherDrains)).toEqual([]);
    for (const key of [keys.dispatcherBeats, keys.dispatcherStates]) {
      expect(Number(await server.cli('PTTL', key))).toBeGreaterThan(0);
    }
  });

  it('drops a beat that another clock wrote ahead of time, and takes no 65th dispatcher', async () => {
    await board.publish('ahead', { state: stateOf('ahead') });
    await silence('ahead', -3_600_000);
    for (let n = 1; n <= 64; n += 1) expect(await board.publish(`d${n}`, { state: stateOf(`d${n}`) })).toBe(true);

    expect(await board.publish('d65', { state: stateOf('d65') })).toBe(false);
    expect(await board.publish('d64', { state: stateOf('d64') })).toBe(true);
    expect((await board.states()).map(({ id }) => id)).not.toContain('ahead');
    expect(await board.states()).toHaveLength(64);
  });

  it('does not stop at what a later version has told', async () => {
    await board.publish('d1', { state: stateOf('d1') });
    await server.cli('HSET', keys.dispatcherStates, 'd1', '{"id":7}');

    expect(await board.states()).toMatchObject([{ id: 'd1', told: undefined }]);
  });

  it('says who has let an instance go: done when every live dispatcher has, with nothing under way', async () => {
    const registrar = registrarOf('a');
    await registrar.register();
    ({ epoch } = await store.snapshot());
    await board.publish('d1', { drains: drainsOf(1) });
    await board.publish('d2', { drains: drainsOf(1) });
    await board.publish('dead', { drains: drainsOf(1) });
    await silence('dead', 3_100);
    const drained = async () => {
      const view = await registrar.drained();
      if (!view.ok) throw new Error(view.error.detail);
      return view.value;
    };
    expect(await drained()).toMatchObject({
      intent: 'in-service',
      done: false,
      problems: [/in service/, /^dead/].map((pattern) => expect.stringMatching(pattern)),
    });

    await registrar.drain('the instance stops');
    const { revision = 0 } = (await store.readInstance('shop', 'a')) ?? {};
    await board.publish('d1', { drains: drainsOf(revision, { id: 'a', inFlight: 2, tunnels: 1 }) });
    const half = await drained();
    expect(half).toMatchObject({ intent: 'draining', revision, done: false, inFlight: 2, tunnels: 1 });
    expect(new Map(half.dispatchers.map((one) => [one.id, [one.live, one.acknowledged, one.inFlight]]))).toEqual(
      new Map([
        ['d1', [true, true, 2]],
        ['d2', [true, false, null]],
        ['dead', [false, false, null]],
      ]),
    );

    await board.publish('d1', { drains: drainsOf(revision, { id: 'a', inFlight: 0, tunnels: 1 }) });
    expect(await drained()).toMatchObject({ done: false });
    await board.publish('d2', { drains: drainsOf(revision, { id: 'a', inFlight: 0, direct: true }) });
    expect(await drained()).toMatchObject({
      done: true,
      direct: true,
      inFlight: 0,
      tunnels: 1,
      problems: [/^dead/].map((pattern) => expect.stringMatching(pattern)),
    });
  });

  it('does not take what was said about an earlier drain for an answer to this one', async () => {
    const registrar = registrarOf('b');
    await registrar.register();
    ({ epoch } = await store.snapshot());
    await registrar.drain('first');
    const { revision = 0 } = (await store.readInstance('shop', 'b')) ?? {};
    await board.publish('d1', { drains: drainsOf(revision, { id: 'b', inFlight: 0 }) });
    expect(await registrar.drained()).toMatchObject({ value: { done: true } });

    await registrar.drain('second');

    expect(await registrar.drained()).toMatchObject({ value: { done: false } });
  });

  it('does not take what was said about another epoch of the catalog for an answer', async () => {
    const registrar = registrarOf('d');
    await registrar.register();
    ({ epoch } = await store.snapshot());
    await registrar.drain('it stops');
    await board.publish('d1', { drains: { ...drainsOf(99, { id: 'd', inFlight: 0 }), epoch: epoch - 1 } });
    expect(await registrar.drained()).toMatchObject({ value: { done: false, dispatchers: [{ acknowledged: false }] } });

    await board.publish('d1', { drains: drainsOf(99, { id: 'd', inFlight: 0 }) });
    expect(await registrar.drained()).toMatchObject({ value: { done: true } });
  });

  it('is not done while no dispatcher is heard, and knows nothing of an instance that nobody knows', async () => {
    const registrar = registrarOf('c');
    await registrar.register();
    ({ epoch } = await store.snapshot());
    await registrar.drain('it stops');
    expect(await registrar.drained()).toMatchObject({ value: { done: false, dispatchers: [] } });

    await registrar.deregister('it stops');
    await board.publish('d1', { drains: drainsOf(9, { id: 'c', inFlight: 1 }) });
    expect(await registrar.drained()).toMatchObject({ value: { intent: null, done: false, inFlight: 1 } });
    await board.publish('d1', { drains: drainsOf(9) });
    expect(await registrar.drained()).toMatchObject({ ok: false, error: { code: 'not_found' } });
  });
});
