// Do connections carry on through everything that can happen to the Redis behind them, and does nothing ever hang?
import { announce, registerInstance } from '@switchyard/catalog';
import { instanceInputSchema } from '@switchyard/protocol';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, freePort, startRedis, startSentinelGroup } from '@switchyard/testing';
import type { SentinelGroup, TestRedis } from '@switchyard/testing';
import { replicatedPrimary } from './failover-fixture.ts';
import {
  createCatalogFeed,
  createCatalogStore,
  createEpochKeeper,
  createRedis,
  isRedisUnavailable,
  keepSubscribed,
} from './index.ts';
import type { Redis, RedisConnections, RedisSettings } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const signal = new AbortController().signal;
/** The deadline of a command is 1500 ms; the rest is for a busy machine. */
const answersWithinMs = 2_500;

const single = (port: number): RedisSettings => ({
  kind: 'single',
  endpoint: { host: '127.0.0.1', port },
  group: 'main',
});

/** How a command ended, and that it did so in time. */
async function ask(redis: Redis, command: () => Promise<unknown> = () => redis.get('key')): Promise<unknown> {
  const startedMs = performance.now();
  const ending = await command().catch((error: unknown) => error);
  expect(performance.now() - startedMs).toBeLessThan(answersWithinMs);
  if (ending instanceof Error)
    expect({ error: ending.message, known: isRedisUnavailable(ending) }).toMatchObject({ known: true });
  return ending;
}

/** Everything that a subscriber hears. */
function listen(redis: Redis, channel: string): string[] {
  const heard: string[] = [];
  redis.on('message', (_channel, text) => heard.push(text));
  keepSubscribed(redis, [channel]);
  return heard;
}

/** Publishes until somebody hears it: the first words after a reconnect may come before the subscription. */
const publishUntilHeard = (redis: Redis, heard: readonly string[], word: string): Promise<unknown> =>
  eventually(
    async () => {
      await redis.publish('news', word);
      return heard.includes(word);
    },
    { timeoutMs: 8_000, what: `the word ${word}` },
  );

describe('connections to one Redis', () => {
  const servers: TestRedis[] = [];
  const opened: RedisConnections[] = [];
  const open = (settings: RedisSettings): RedisConnections => {
    const connections = createRedis(settings, { logger, name: 'test' });
    opened.push(connections);
    return connections;
  };
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((one) => one.stop()));
    await Promise.all(servers.splice(0).map((one) => one.stop()));
  });

  it('are ready when the start has waited for them, and start all the same without Redis', async () => {
    const server = await startRedis();
    servers.push(server);
    const there = open(single(server.port));
    const redis = [there.connect('commands'), there.connect('subscriber')];
    await there.start(signal);
    expect(redis.map(({ status }) => status)).toEqual(['ready', 'ready']);

    const nowhere = open(single(await freePort()));
    nowhere.connect('commands');
    const startedMs = performance.now();
    await nowhere.start(signal);
    expect(performance.now() - startedMs).toBeLessThan(1_500);
  });

  it('hears what is published although Redis came long after the subscription', async () => {
    const port = await freePort();
    const connections = open(single(port));
    const heard = listen(connections.connect('subscriber'), 'news');
    const commands = connections.connect('commands');
    expect(await ask(commands)).toBeInstanceOf(Error);
    // long enough for ioredis to give up what waits in its queue
    await systemClock.sleep(600);

    servers.push(await startRedis({ port }));
    await publishUntilHeard(commands, heard, 'late');

    expect(heard).toContain('late');
  });

  it('hears again after a subscription that got lost on its way', async () => {
    const server = await startRedis();
    servers.push(server);
    const connections = open(single(server.port));
    const subscriber = connections.connect('subscriber');
    const commands = connections.connect('commands');
    // the connection goes in the moment in which it would subscribe
    subscriber.once('ready', () => subscriber.disconnect(true));
    const heard = listen(subscriber, 'news');

    await publishUntilHeard(commands, heard, 'again');

    expect(heard).toContain('again');
  });

  it('fails what is owed an answer as soon as the connection is lost, every time', async () => {
    const server = await startRedis();
    servers.push(server);
    const commands = open(single(server.port)).connect('commands');
    for (const round of [1, 2, 3]) {
      await eventually(() => expect(commands.status).toBe('ready'));
      const startedMs = performance.now();
      const owed = ask(commands, () => commands.blpop('nothing', 0));
      await (round === 2 ? server.restart() : server.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));

      expect(await owed).toBeInstanceOf(Error);
      // sooner than the deadline of the command
      expect(performance.now() - startedMs).toBeLessThan(1_000);
    }
  });

  it('answers or fails in time while Redis is frozen, and goes on when it wakes', async () => {
    const server = await startRedis();
    servers.push(server);
    const commands = open(single(server.port)).connect('commands');
    await eventually(() => expect(commands.status).toBe('ready'));
    server.freeze();
    try {
      for (let i = 0; i < 3; i += 1) expect(await ask(commands)).toBeInstanceOf(Error);
    } finally {
      server.resume();
    }

    await eventually(async () => expect(await commands.set('key', 'after')).toBe('OK'));
  });

  it('leaves a Redis that was made a replica under it', async () => {
    const [first, second] = [await startRedis(), await startRedis()];
    servers.push(first, second);
    const commands = open(single(first.port)).connect('commands');
    await eventually(async () => expect(await commands.set('key', 1)).toBe('OK'));
    const reconnected = new Promise((resolve) => {
      commands.once('close', resolve);
    });

    await first.cli('REPLICAOF', second.host, second.port);

    const refusal = await ask(commands, () => commands.set('key', 2));
    expect(refusal).toMatchObject({ message: expect.stringMatching(/^READONLY/) });
    await reconnected;
  });

  it('does not come back once it was disconnected on purpose', async () => {
    const server = await startRedis();
    servers.push(server);
    const connections = open(single(server.port));
    const commands = connections.connect('commands');
    await eventually(() => expect(commands.status).toBe('ready'));

    commands.disconnect();

    await eventually(() => expect(commands.status).toBe('end'));
    await systemClock.sleep(200);
    expect(commands.status).toBe('end');
    expect(await ask(commands)).toMatchObject({ message: 'Connection is closed.' });
  });
});

describe('connections to a group that fails over', () => {
  let group: SentinelGroup;
  let connections: RedisConnections;
  beforeAll(async () => {
    group = await startSentinelGroup({ downAfterMs: 500 });
    const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
    connections = createRedis({ kind: 'sentinel', sentinels, group: group.group }, { logger, name: 'test' });
  });
  afterAll(async () => {
    await connections.stop();
    await group.stop();
  });

  it('works again by itself after kill -9 of the primary: commands, messages, feed and commits', async () => {
    const commands = connections.connect('commands');
    const store = createCatalogStore(commands, 'test');
    const feed = createCatalogFeed({
      store,
      subscriber: connections.connect('subscriber'),
      clock: systemClock,
      logger,
    });
    const keeper = createEpochKeeper({ store, redis: commands, feed, clock: systemClock, logger });
    const heard = listen(connections.connect('subscriber'), 'news');
    await Promise.all([feed.start?.(signal), keeper.start?.(signal)]);
    try {
      await publishUntilHeard(commands, heard, 'before');
      const input = instanceInputSchema.parse({ url: 'http://127.0.0.1:3000' });
      const decision = registerInstance(undefined, { service: 'shop', id: 'a' }, input, 1);
      if (decision.type !== 'commit') throw new Error('it is new');
      // nothing is given out before the first epoch has begun
      await eventually(async () => (await store.commit(decision.commit)).type === 'committed');
      await eventually(() => expect(feed.view.instance('shop', 'a')).toBeDefined());
      const before = feed.status();
      // what the replicas have not got is lost with the primary, by design
      const primary = await replicatedPrimary(group);

      const killedMs = performance.now();
      await primary.kill();

      await eventually(async () => expect(await ask(commands, () => commands.set('key', 1))).toBe('OK'), {
        timeoutMs: 8_000,
      });
      const tookMs = performance.now() - killedMs;
      expect(tookMs).toBeLessThan(6_000);
      await publishUntilHeard(commands, heard, 'after');
      await eventually(() => expect(feed.status().epoch).toBeGreaterThan(before.epoch));
      const news = announce({ type: 'route.deleted', subject: 'x', data: { name: 'x' } });
      const outcome = await store.commit(news);
      if (outcome.type !== 'committed') throw new Error('nobody else writes here');
      expect(outcome.cursor.revision).toBeGreaterThan(before.revision);
      await eventually(() => expect(feed.status()).toMatchObject(outcome.cursor));
      expect(feed.view.instance('shop', 'a')).toBeDefined();
    } finally {
      await feed.stop?.();
      await keeper.stop?.();
    }
  });

  it('never hangs on a frozen primary, and goes on with the new one', async () => {
    // the dead one of the test before is a replica again
    for (const node of group.nodes) if (!node.running()) await node.restart();
    const commands = connections.connect('commands');
    const heard = listen(connections.connect('subscriber'), 'news');
    await publishUntilHeard(commands, heard, 'warm');
    const primary = await group.primary();
    primary.freeze();
    try {
      const frozenMs = performance.now();
      await eventually(async () => expect(await ask(commands, () => commands.set('key', 2))).toBe('OK'), {
        timeoutMs: 10_000,
      });
      expect(performance.now() - frozenMs).toBeLessThan(6_000);
      await group.primaryOtherThan(primary);
      await publishUntilHeard(commands, heard, 'thawed');
    } finally {
      primary.resume();
    }
  });
});
