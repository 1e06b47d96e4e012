// Is every way in which Redis can be away recognised as that, and nothing else?
import { Queue } from 'bullmq';
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createCatalogStore, createRedis, isRedisUnavailable, redisRefusal } from './index.ts';
import type { Redis, RedisConnections } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

const faultOf = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    return { unexpected: await work };
  } catch (error) {
    return error;
  }
};
const expectUnavailable = (fault: unknown, text: RegExp): void => {
  expect(fault).toBeInstanceOf(Error);
  expect((fault as Error).message).toMatch(text);
  expect(redisRefusal(fault)).toMatchObject({ code: 'redis_unavailable', why: [expect.stringMatching(text)] });
};

describe('a Redis that is away', () => {
  let server: TestRedis;
  let connections: RedisConnections;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    const endpoint = { host: server.host, port: server.port };
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'test' });
    redis = connections.connect('commands');
    await eventually(() => expect(redis.status).toBe('ready'));
  });
  afterEach(async () => {
    if (server.running()) server.resume();
    else await server.restart();
    await server.cli('REPLICAOF', 'NO', 'ONE');
    await server.cli('CONFIG', 'SET', 'maxmemory', '0', 'min-replicas-to-write', '0');
    await eventually(() => expect(redis.status).toBe('ready'));
  });
  afterAll(async () => {
    await connections.stop();
    await server.stop();
  });

  it('is told by its refusals: a replica, too few replicas, no memory left, also inside a script', async () => {
    const script = "return redis.call('SET', KEYS[1], ARGV[1])";
    const write = (): Promise<unknown> => faultOf(redis.set('key', 'value'));
    const run = (): Promise<unknown> => faultOf(redis.eval(script, 1, 'key', 'value'));

    await server.cli('CONFIG', 'SET', 'min-replicas-to-write', '1');
    expectUnavailable(await write(), /^NOREPLICAS/);
    expectUnavailable(await run(), /^NOREPLICAS/);
    await server.cli('CONFIG', 'SET', 'min-replicas-to-write', '0', 'maxmemory', '1');
    expectUnavailable(await write(), /^OOM/);
    expectUnavailable(await run(), /^OOM/);
    await server.cli('CONFIG', 'SET', 'maxmemory', '0');
    await server.cli('REPLICAOF', '127.0.0.1', await freePort());
    expectUnavailable(await run(), /^READONLY/);
  });

  it('is told by a busy script, and by a missing password', async () => {
    await server.cli('CONFIG', 'SET', 'busy-reply-threshold', '1');
    const busy = server.cli('EVAL', "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 2 do end", 0);
    const fault = await eventually(async () => {
      const seen = await faultOf(redis.get('key'));
      return seen instanceof Error && seen;
    });
    expectUnavailable(fault, /^BUSY/);
    await busy;

    const stranger = await faultOf(redis.call('AUTH', 'nobody', 'wrong'));
    expectUnavailable(stranger, /^WRONGPASS/);
  });

  it('is told by silence, by a lost connection, and by none', async () => {
    server.freeze();
    expectUnavailable(await faultOf(redis.get('key')), /^Command timed out$/);
    server.resume();
    await eventually(async () => expect(await redis.ping()).toBe('PONG'));
    const owed = faultOf(redis.blpop('nothing', 0));
    await server.kill();
    expectUnavailable(await owed, /^Reached the max retries per request limit/);
    expectUnavailable(await faultOf(redis.get('key')), /^Stream isn't writeable/);
    expectUnavailable(await faultOf(redis.multi().set('a', 1).set('b', 2).exec()), /./);
    expectUnavailable(await faultOf(createCatalogStore(redis, 'test').snapshot()), /^Stream isn't writeable/);
    const closed = connections.connect('commands');
    closed.disconnect();
    await eventually(() => expect(closed.status).toBe('end'));
    expectUnavailable(await faultOf(closed.get('key')), /^Connection is closed/);
  });

  it('is told by what BullMQ throws', async () => {
    const connection = connections.connect('queue');
    await eventually(() => expect(connection.status).toBe('ready'));
    const queue = new Queue('probe', { connection, skipVersionCheck: true, skipWaitingForReady: true });
    queue.on('error', () => undefined);
    await queue.add('before', {});

    await server.kill();

    expectUnavailable(await faultOf(queue.add('after', {})), /./);
    expectUnavailable(await faultOf(queue.getJobCounts('waiting')), /./);
    expectUnavailable(await faultOf(queue.upsertJobScheduler('x', { every: 1_000 })), /./);
    await queue.close();
    expectUnavailable(await faultOf(queue.add('closed', {})), /./);
  });

  it('is not blamed for a mistake of ours', () => {
    for (const message of [
      'WRONGTYPE Operation against a key holding the wrong kind of value',
      "ERR unknown command 'FOO'",
      'ERR The ID specified in XADD is equal or smaller than the target stream top item',
      'NOSCRIPT No matching script.',
      'commit.lua answered null',
    ]) {
      expect(isRedisUnavailable(new Error(message))).toBe(false);
    }
    expect(isRedisUnavailable('Connection is closed.')).toBe(false);
    expect(isRedisUnavailable(undefined)).toBe(false);
  });

  it('is told by sockets and names that lead nowhere, also when their error has no message', () => {
    // Node gives one error without a message when all addresses of a host refuse
    const none = Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' });
    expect(redisRefusal(none)).toMatchObject({ code: 'redis_unavailable', why: ['ECONNREFUSED'] });
    const lookup = Object.assign(new Error('getaddrinfo ENOTFOUND redis'), { code: 'ENOTFOUND' });
    expect(isRedisUnavailable(lookup)).toBe(true);
    expect(isRedisUnavailable(new Error('All sentinels are unreachable. Retrying from scratch after 50ms.'))).toBe(
      true,
    );
  });
});
