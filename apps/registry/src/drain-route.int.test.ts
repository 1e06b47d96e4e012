// Is somebody who asks "is it drained?" told who still has requests there, by two dispatchers' word?
import { drainViewSchema } from '@switchyard/protocol';
import type { DrainView } from '@switchyard/protocol';
import { createDispatcherBoard, createRedis } from '@switchyard/redis';
import type { DispatcherBoard, RedisConnections } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const path = '/v1/services/shop/instances/a';

describe('the drain of an instance', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  let connections: RedisConnections;
  let board: DispatcherBoard;
  beforeAll(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    const endpoint = { host: redis.host, port: redis.port };
    const logger = createLogger('test', { level: 'silent' });
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    const commands = connections.connect('commands');
    await eventually(() => commands.ping());
    board = createDispatcherBoard(commands);
    await registry.api.put(path).send({ url: 'http://10.0.0.5:3000', ttl: '10s' }).expect(201);
  });
  afterAll(async () => {
    await connections.stop();
    await registry.stop();
    await redis.stop();
  });
  const ask = async (): Promise<DrainView> => {
    const answer = await registry.api.get(`${path}/drain`).expect(200);
    return drainViewSchema.parse(answer.body);
  };
  const say = async (id: string, revision: number, inFlight: number) =>
    board.publish(id, {
      drains: {
        epoch: (await board.drains()).epoch,
        revision,
        drains: [{ service: 'shop', id: 'a', revision, inFlight, tunnels: 0, direct: false }],
        omitted: 0,
      },
    });

  it('is told for an operator who drains by PATCH: not begun, under way, done', async () => {
    expect(await ask()).toMatchObject({ intent: 'in-service', done: false });

    const patched = await registry.api.patch(path).send({ intent: 'draining', reason: 'a new version' }).expect(200);
    const { revision } = patched.body as { revision: number };
    await say('d1', revision, 0);
    await say('d2', revision, 3);
    expect(await ask()).toMatchObject({ intent: 'draining', revision, done: false, inFlight: 3 });
    await say('d2', revision, 0);
    const done = await ask();
    expect(done).toMatchObject({ done: true, inFlight: 0, problems: [] });
    expect(new Set(done.dispatchers.map(({ id }) => id))).toEqual(new Set(['d1', 'd2']));

    await registry.api.patch(path).send({ intent: 'in-service' }).expect(200);
    expect(await ask()).toMatchObject({ done: false, problems: [expect.stringContaining('in service')] });
  });

  it('keeps the reason of a new weight in the event', async () => {
    await registry.api.patch(path).send({ weight: 7, reason: 'a bigger machine' }).expect(200);

    const [event] = (await registry.api.get('/v1/events?limit=1')).body.events;

    expect(event).toMatchObject({
      type: 'instance.updated',
      data: { instance: { weight: 7 }, evidence: { because: 'requested', detail: 'a bigger machine' } },
    });
  });

  it('is a problem document for whom nobody knows, for nonsense, and without Redis', async () => {
    expect(problemIn(await registry.api.get('/v1/services/shop/instances/ghost/drain')).code).toBe('not_found');
    expect(problemIn(await registry.api.get('/v1/services/SHOP/instances/a/drain')).code).toBe('invalid_input');
    expect(problemIn(await registry.api.post(`${path}/drain`)).code).toBe('method_not_allowed');
    await redis.kill();
    expect(problemIn(await registry.api.get(`${path}/drain`))).toMatchObject({ code: 'redis_unavailable' });
    await redis.restart();
  });
});
