// Is a promoted replica followed before the Sentinels name it, and left again when nothing comes of it? On real Sentinels.
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startSentinelGroup } from '@switchyard/testing';
import type { SentinelGroup, TestRedis } from '@switchyard/testing';
import { replicatedPrimary } from './failover-fixture.ts';
import { createPromotionWatch, createRedis } from './index.ts';
import type { PromotionWatch, Redis, RedisConnections } from './index.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

/** A group, the connections of a process that follows it, and what a manager would be told. */
async function startFollowed(failoverTimeoutMs: number) {
  const group = await startSentinelGroup({ downAfterMs: 1_000, failoverTimeoutMs });
  const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
  const connections = createRedis({ kind: 'sentinel', sentinels, group: group.group }, { logger, name: 'test' });
  const news: {
    readonly type: string;
    readonly port: number;
    readonly epoch?: number | null;
    readonly why?: string;
  }[] = [];
  const watch = createPromotionWatch({
    sentinels,
    group: group.group,
    name: 'manager',
    logger,
    clock: systemClock,
    onNews: ({ primary, ...one }) => news.push({ ...one, port: primary.port }),
  });
  const all = [connections.connect('commands'), connections.connect('queue'), connections.connect('worker')];
  all.push(connections.connect('subscriber'), (all[2] as Redis).duplicate());
  await eventually(() => expect(all.map(({ status }) => status)).toEqual(all.map(() => 'ready')));
  // what is said before somebody listens is said to nobody
  const listened = async (sentinel: TestRedis): Promise<void> => {
    const clients = String(await sentinel.cli('CLIENT', 'LIST'));
    expect(clients.split('\n').filter((one) => one.includes(':switches ') && one.includes(' psub=1 ')).length).toBe(2);
  };
  for (const sentinel of group.sentinels) await eventually(() => listened(sentinel), { timeoutMs: 10_000 });
  return { group, connections, watch, news, all, commands: all[0] as Redis };
}

/** Writes every few ms from the fault on; ms until the first acknowledgement, and until a majority of Sentinels names another. */
async function followedWithin(group: SentinelGroup, commands: Redis, than: TestRedis) {
  const faultMs = performance.now();
  const since = async (done: Promise<unknown>): Promise<number> => {
    await done;
    return performance.now() - faultMs;
  };
  // a frozen one would take what it can answer only later
  const isElsewhere = (): boolean => commands.stream.remotePort !== than.port;
  const written = eventually(async () => (await commands.set('key', 1)) === 'OK' && isElsewhere(), {
    timeoutMs: 20_000,
    intervalMs: 5,
  });
  const named = eventually(async () => (await group.primary()).port !== than.port, {
    timeoutMs: 20_000,
    intervalMs: 5,
  });
  const [writtenMs, namedMs] = await Promise.all([since(written), since(named)]);
  process.stdout.write(`written after ${writtenMs.toFixed(0)} ms, named after ${namedMs.toFixed(0)} ms\n`);
  return { writtenMs, namedMs };
}

const portsOf = (all: readonly Redis[]): readonly (number | undefined)[] =>
  all.map(({ status, stream }) => (status === 'ready' ? stream.remotePort : undefined));

/** All connections are where the majority says, that one takes writes, and this stays so for a moment. */
async function allAtPrimary(group: SentinelGroup, all: readonly Redis[]): Promise<TestRedis> {
  const settled = async (): Promise<TestRedis> => {
    const primary = await group.primary();
    expect(portsOf(all)).toEqual(all.map(() => primary.port));
    expect(await primary.info('replication', 'role')).toBe('master');
    return primary;
  };
  await eventually(settled, { timeoutMs: 30_000 });
  await systemClock.sleep(500);
  return eventually(settled, { timeoutMs: 30_000 });
}

describe('a process that follows a group', () => {
  let followed: Awaited<ReturnType<typeof startFollowed>>;
  beforeAll(async () => {
    followed = await startFollowed(3_000);
  });
  afterAll(async () => {
    followed.watch.close();
    await followed.connections.stop();
    await followed.group.stop();
  });
  beforeEach(async () => {
    const { group } = followed;
    for (const node of group.nodes) if (!node.running()) await node.restart();
    await eventually(
      async () => {
        const primary = await group.primary();
        expect(await primary.info('replication', 'connected_slaves')).toBe('2');
        // a replica that the Sentinels have not seen well for a moment is not selected
        const listed = await Promise.all(group.sentinels.map((one) => one.cli('SENTINEL', 'REPLICAS', group.group)));
        expect(JSON.stringify(listed)).not.toMatch(/s_down|disconnected|"master-link-status","err"/);
      },
      { timeoutMs: 40_000, what: 'a whole group' },
    );
    followed.news.length = 0;
  }, 60_000);

  it('writes to the promoted replica before the Sentinels name it, after kill -9 of the primary', async () => {
    const { group, commands, all, news, connections } = followed;
    const primary = await replicatedPrimary(group);
    await primary.kill();

    const { writtenMs, namedMs } = await followedWithin(group, commands, primary);

    expect(writtenMs).toBeLessThan(namedMs);
    const now = await allAtPrimary(group, all);
    // a starved machine adds failovers of its own
    const announced = news.find(({ type }) => type === 'announced');
    expect(announced).toMatchObject({ epoch: expect.any(Number) });
    expect(news).toContainEqual({ ...announced, type: 'confirmed' });
    expect(connections.primary()).toMatchObject({ port: now.port, epoch: expect.any(Number), early: false });
  }, 90_000);

  it('leaves a frozen primary for the promoted replica before the Sentinels name it, and does not return when it wakes', async () => {
    const { group, commands, all } = followed;
    const primary = await replicatedPrimary(group);
    primary.freeze();
    try {
      const { writtenMs, namedMs } = await followedWithin(group, commands, primary);
      expect(writtenMs).toBeLessThan(namedMs);
    } finally {
      primary.resume();
    }
    const ports = new Set<number | undefined>();
    await eventually(
      async () => {
        for (const port of portsOf(all)) ports.add(port);
        return (await primary.info('replication', 'role')) === 'slave';
      },
      { timeoutMs: 30_000, intervalMs: 5 },
    );

    expect(ports).not.toContain(primary.port);
    await allAtPrimary(group, all);
  }, 90_000);

  it('follows two failovers in a row', async () => {
    const { group, commands, all, news } = followed;
    const first = await replicatedPrimary(group);
    await first.kill();
    await followedWithin(group, commands, first);
    await allAtPrimary(group, all);
    const second = await eventually(
      async () => {
        const listed = await Promise.all(group.sentinels.map((one) => one.cli('SENTINEL', 'MASTER', group.group)));
        expect(JSON.stringify(listed)).not.toMatch(/failover_in_progress/);
        const now = await group.primary();
        expect(await now.info('replication', 'connected_slaves')).toBe('1');
        return now;
      },
      { timeoutMs: 30_000 },
    );
    await second.kill();
    await followedWithin(group, commands, second);

    const last = await allAtPrimary(group, all);
    const followedTo = news.filter(({ type }) => type !== 'retracted').map(({ port }) => port);
    expect(followedTo).toEqual(expect.arrayContaining([second.port, last.port]));
  }, 90_000);

  it('works again when all nodes and Sentinels were away for five seconds', async () => {
    const { group, commands, all } = followed;
    await replicatedPrimary(group);
    await Promise.all([...group.sentinels, ...group.nodes].map((one) => one.kill()));
    await systemClock.sleep(5_000);
    await Promise.all([...group.nodes, ...group.sentinels].map((one) => one.restart()));
    const backMs = performance.now();

    await eventually(async () => expect(await commands.set('key', 1)).toBe('OK'), { timeoutMs: 30_000, intervalMs: 5 });

    process.stdout.write(`written ${(performance.now() - backMs).toFixed(0)} ms after the blackout\n`);
    await allAtPrimary(group, all);
  }, 90_000);
});

describe('a failover whose leader dies', () => {
  let followed: Awaited<ReturnType<typeof startFollowed>>;
  let watch: PromotionWatch;
  let connections: RedisConnections;
  beforeEach(async () => {
    // the next attempt comes after twice as long
    followed = await startFollowed(2_000);
    ({ watch, connections } = followed);
  });
  afterEach(async () => {
    watch.close();
    await connections.stop();
    await followed.group.stop();
  });
  const simulate = async (failure: string): Promise<void> => {
    for (const one of followed.group.sentinels) await one.cli('SENTINEL', 'SIMULATE-FAILURE', failure);
  };
  /** Resolves when one has crashed; the others may live: asking for help forgets what is to be simulated. */
  const crashed = async (): Promise<void> => {
    const { sentinels } = followed.group;
    await eventually(() => sentinels.some((one) => !one.running()), { timeoutMs: 20_000, intervalMs: 5 });
    for (const one of sentinels)
      if (one.running()) await one.cli('SENTINEL', 'SIMULATE-FAILURE', 'help').catch(() => undefined);
  };

  it('after the promotion: writes go on at the promoted one, and all end where the next leader leads', async () => {
    const { group, all, news, commands } = followed;
    const primary = await replicatedPrimary(group);
    await simulate('crash-after-promotion');
    await primary.kill();
    await crashed();

    // nobody alive has named it: the Sentinels that are left still name the dead one
    await eventually(async () => expect(await commands.set('key', 1)).toBe('OK'), { timeoutMs: 5_000, intervalMs: 5 });
    await group.primaryOtherThan(primary, 60_000);

    const now = await allAtPrimary(group, all);
    expect(news[0]).toMatchObject({ type: 'announced' });
    expect(watch.announced()).toBeNull();
    const last = news.findLast(({ type }) => type === 'announced' || type === 'confirmed' || type === 'named');
    expect(last?.port).toBe(now.port);
    // whoever was sent to another one was told that it is over
    const open = news.filter(({ type }) => type === 'announced').length;
    const ended = news.filter(({ type }) => type === 'confirmed' || type === 'retracted').length;
    expect(ended).toBeLessThanOrEqual(open);
  }, 90_000);

  it('after the promotion, while the old primary serves: all return to that one', async () => {
    const { group, all, news } = followed;
    const primary = await replicatedPrimary(group);
    await simulate('crash-after-promotion');
    // asked for, not needed: the others know nothing of it
    await group.sentinels[0]?.cli('SENTINEL', 'FAILOVER', group.group);
    await crashed();

    await eventually(() => expect(news.map(({ type }) => type)).toContain('retracted'), { timeoutMs: 20_000 });
    expect(news.filter(({ type }) => type === 'announced' || type === 'retracted').slice(0, 2)).toMatchObject([
      { type: 'announced' },
      { type: 'retracted', why: expect.stringMatching(/is gone, and .* still serves/) },
    ]);
    await eventually(() => expect(portsOf(all)).toEqual(all.map(() => primary.port)), { timeoutMs: 20_000 });
    await allAtPrimary(group, all);
  }, 90_000);

  it('after its election: nobody is announced, and all end where the next leader leads', async () => {
    const { group, all, news } = followed;
    const primary = await replicatedPrimary(group);
    await simulate('crash-after-election');
    await primary.kill();
    await crashed();
    expect(news).toEqual([]);

    await group.primaryOtherThan(primary, 60_000);

    const now = await allAtPrimary(group, all);
    expect(news.at(-1)?.port).toBe(now.port);
    expect(news.filter(({ type }) => type === 'retracted')).toEqual([]);
  }, 90_000);
});
