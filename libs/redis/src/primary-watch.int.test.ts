// Do connections leave a primary that is none any more, and only that one?
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { startFakeSentinel } from './fake-sentinel-fixture.ts';
import { createRedis } from './index.ts';
import type { Redis, RedisConnections } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

describe('connections that ask a Sentinel', () => {
  let server: TestRedis;
  let sentinel: Awaited<ReturnType<typeof startFakeSentinel>>;
  let connections: RedisConnections;
  let commands: Redis;
  beforeEach(async () => {
    server = await startRedis();
    sentinel = await startFakeSentinel(server.port);
    const sentinels = [{ host: '127.0.0.1', port: sentinel.port }];
    connections = createRedis({ kind: 'sentinel', sentinels, group: 'main' }, { logger, name: 'test' });
    commands = connections.connect('commands');
    await eventually(() => expect(commands.status).toBe('ready'));
    await eventually(() => expect(sentinel.subscribers()).toBe(1));
  });
  afterEach(async () => {
    await connections.stop();
    await sentinel.stop();
    await server.stop();
  });
  const losses = (redis: Redis): { count: number } => {
    const seen = { count: 0 };
    redis.on('close', () => (seen.count += 1));
    return seen;
  };
  const loseAll = (): Promise<unknown> => server.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  const expectWorking = (redis: Redis): Promise<unknown> =>
    eventually(async () => expect(await redis.set('key', 1)).toBe('OK'), { timeoutMs: 3_000 });

  it('hear of a new primary together, through one connection to the Sentinel, and all go there', async () => {
    const others = [connections.connect('subscriber'), connections.connect('queue'), connections.connect('worker')];
    const copy = others[2]?.duplicate() ?? commands;
    const all = [commands, ...others, copy];
    await eventually(() => expect(all.map(({ status }) => status)).toEqual(all.map(() => 'ready')));
    const lost = all.map(losses);
    expect(sentinel.subscribers()).toBe(1);

    sentinel.announce(1);

    await eventually(() => expect(lost.map(({ count }) => count)).toEqual(all.map(() => 1)));
    await expectWorking(commands);
    await eventually(() => expect(all.map(({ status }) => status)).toEqual(all.map(() => 'ready')));
  });

  it('stay where they are when that is the new primary, or when another group has switched', async () => {
    const lost = losses(commands);

    sentinel.announce(server.port);
    sentinel.announce(1, 'another');
    await systemClock.sleep(200);

    expect([lost.count, commands.status]).toEqual([0, 'ready']);
  });

  it('come back when a new primary is announced in the moment in which they ask for one', async () => {
    const asked = sentinel.hold();
    await loseAll();
    await asked;
    sentinel.announce(1);
    await systemClock.sleep(100);
    sentinel.release();

    await expectWorking(commands);
  });

  it('come back when they are told to reconnect in the moment in which they ask, where ioredis gives up', async () => {
    const asked = sentinel.hold();
    await loseAll();
    await asked;
    commands.disconnect(true);
    sentinel.release();

    await expectWorking(commands);
  });

  it('hear of the next one after the Sentinel was away together with the primary', async () => {
    sentinel.loseAll();
    await loseAll();
    await expectWorking(commands);
    await eventually(() => expect(sentinel.subscribers()).toBe(1));
    const lost = losses(commands);

    sentinel.announce(1);

    await eventually(() => expect(lost.count).toBe(1));
    await expectWorking(commands);
  });

  it('leave nothing open at the Sentinel when they stop', async () => {
    for (let round = 0; round < 3; round += 1) {
      sentinel.announce(1);
      await loseAll();
      await expectWorking(commands);
    }

    await connections.stop();

    await eventually(() => expect(sentinel.connections()).toBe(0));
    await systemClock.sleep(300);
    expect(sentinel.connections()).toBe(0);
  });
});
