// Is the promoted node named as soon as it takes writes, before the Sentinels name it, and taken back when they name another?
import { channels } from '@switchyard/protocol';
import { createRedis, keepSubscribed } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

interface Told {
  readonly atMs: number;
  readonly type: string;
  readonly port: number;
  readonly epoch: number | null;
}

describe('a primary that the Sentinels have yet to name', () => {
  let group: SentinelGroup;
  let manager: TestManager;
  let endings: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    group = await startSentinelGroup();
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses });
    await eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }), { timeoutMs: 10_000 });
  }, 60_000);
  afterEach(async () => {
    for (const end of endings) await end();
    endings = [];
  });
  afterAll(async () => {
    await cleanUp();
    await group.stop();
  }, 30_000);

  /** What is published at a node. */
  const listen = async (node: TestRedis): Promise<readonly Told[]> => {
    const told: Told[] = [];
    const endpoint = { host: node.host, port: node.port };
    const connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'listener' });
    const redis = connections.connect('subscriber');
    keepSubscribed(redis, [channels.redisPrimary]);
    await connections.start(new AbortController().signal);
    redis.on('message', (_channel: string, text: string) =>
      told.push({ ...(JSON.parse(text) as Omit<Told, 'atMs'>), atMs: performance.now() }),
    );
    endings.push(() => connections.stop());
    return told;
  };
  const switchedAtMs = (old: TestRedis): Promise<number> =>
    eventually(
      async () => {
        const now = await group.primary().catch(() => old);
        return now.port === old.port ? null : performance.now();
      },
      { timeoutMs: 30_000, intervalMs: 10, what: 'a switch' },
    );

  it('is announced at every node that is left, and named by the API, before they do', async () => {
    const old = await group.primary();
    const others = group.nodes.filter((node) => node !== old);
    const told = await Promise.all(others.map(listen));
    const named = switchedAtMs(old);
    await old.kill();
    const servedAtMs = await eventually(
      async () => {
        const { status, body } = await manager.get('/v1/redis/groups/main/primary');
        return status === 200 && (body as { port: number }).port !== old.port ? performance.now() : null;
      },
      { timeoutMs: 30_000, intervalMs: 10, what: 'a primary' },
    );
    const namedAtMs = await named;
    const now = await group.primary();
    await eventually(() => expect(told.flat().some(({ type }) => type === 'confirmed')).toBe(true), {
      timeoutMs: 10_000,
    });
    // a node whose role changes closes its connections: a subscriber there may miss it, the others do not
    const announced = told.flat().find(({ type }) => type === 'announced');
    expect(announced).toMatchObject({ port: now.port, epoch: 1 });
    expect(announced?.atMs).toBeLessThan(namedAtMs);
    expect(servedAtMs).toBeLessThan(namedAtMs);
    const entry = await eventually(async () => (await manager.history())[0] ?? null, { timeoutMs: 20_000 });
    expect(entry.id).toBe('main-1');
    await eventually(
      async () => expect((await manager.history())[0]?.notes?.join()).toContain('before a Sentinel named it'),
      {
        timeoutMs: 5_000,
      },
    );
    await old.restart();
    await eventually(async () => expect(await manager.group()).toMatchObject({ state: 'ok' }), { timeoutMs: 30_000 });
  }, 90_000);

  it('stays or goes as they decide when the leader dies right after the promotion', async () => {
    const old = await group.primary();
    for (const sentinel of group.sentinels) await sentinel.cli('SENTINEL', 'SIMULATE-FAILURE', 'crash-after-promotion');
    await old.kill();
    // A leader that is told to crash does so at once; the next one tries after its own wait.
    await eventually(() => expect(group.sentinels.filter((one) => one.running())).toHaveLength(2), {
      timeoutMs: 20_000,
    });
    for (const sentinel of group.sentinels) {
      if (sentinel.running()) await sentinel.cli('SENTINEL', 'SIMULATE-FAILURE').catch(() => undefined);
      else await sentinel.restart();
    }
    await old.restart();
    await eventually(
      async () => {
        const now = await group.primary();
        const view = await manager.group();
        expect(view.primary).toMatchObject({ port: now.port });
        expect(await now.info('replication', 'role')).toBe('master');
        const primaries = [];
        for (const node of group.nodes)
          if ((await node.info('replication', 'role')) === 'master') primaries.push(node.port);
        expect(primaries).toEqual([now.port]);
      },
      { timeoutMs: 90_000, intervalMs: 250, what: 'one primary that all name' },
    );
  }, 150_000);
});
