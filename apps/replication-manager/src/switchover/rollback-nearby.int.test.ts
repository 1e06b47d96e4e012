import { Readable } from 'node:stream';
import { followStream, serveHistory } from '@switchyard/replication-link';
import { eventually, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import { cleanUp, startManager, type TestManager } from '../manager-fixture.ts';

afterAll(cleanUp, 20_000);

const json = (method: string, body: unknown): RequestInit => ({
  method,
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
  signal: AbortSignal.timeout(30_000),
});
const group = '/v1/redis/groups/main';
/** Longer than what a manager and a Sentinel give a stray node. */
const heldMs = 12_000;

/** What the backup-worker does to a group, without any word to the manager. */
describe('a rollback that nobody told the manager of', () => {
  let nodes: SentinelGroup;
  let manager: TestManager;
  let primary: TestRedis;
  const downAfter = (): Promise<readonly unknown[]> =>
    Promise.all(
      nodes.sentinels.map(async (sentinel) => {
        const facts = await sentinel.cli('SENTINEL', 'MASTER', 'main');
        const words = Array.isArray(facts) ? facts.map(String) : [];
        return words[words.indexOf('down-after-milliseconds') + 1];
      }),
    );
  const setDownAfter = async (ms: number): Promise<void> => {
    for (const sentinel of nodes.sentinels)
      await sentinel.cli('SENTINEL', 'SET', 'main', 'down-after-milliseconds', ms);
  };
  const follows = async (node: TestRedis): Promise<string> =>
    `${String(await node.info('replication', 'role'))} ${String(await node.info('replication', 'master_port'))}`;
  const calm = (): Promise<unknown> =>
    eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 30_000 });

  beforeAll(async () => {
    nodes = await startSentinelGroup({ replicas: 2, downAfterMs: 2_000 });
    [primary] = nodes.nodes as [TestRedis];
    manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: nodes.sentinelAddresses });
    await calm();
    const seeds = nodes.sentinelAddresses.split(',');
    const wanted = { seeds, manage: 'manage', downAfter: '2s' };
    expect((await manager.get(group, json('PUT', wanted))).status).toBe(200);
    await calm();
  }, 60_000);
  afterAll(() => nodes.stop(), 20_000);

  it('is left alone: nobody is repointed, promoted or told to hurry, and all follow afterwards', async () => {
    await primary.cli('SET', 'before', 'the accident');
    const over = new AbortController();
    const { host, port } = primary;
    const followed = await followStream({ host, port, signal: over.signal });
    if (followed.start.kind !== 'full') throw new Error('a whole data set was asked for');
    const chunks: Buffer[] = [];
    for await (const chunk of followed.start.rdb) chunks.push(chunk as Buffer);
    followed.close();
    over.abort();
    await primary.cli('FLUSHALL');
    const { replicationId, offset } = followed.start;
    const rdb = Buffer.concat(chunks);
    const far = offset + 1_000_000_000;
    const history = { replicationId, offset: far, end: far };
    const data = () => ({ stream: Readable.from([rdb]), bytes: rdb.length });
    const server = await serveHistory({ host: '127.0.0.1', history: { ...history, rdb: data } });
    try {
      await setDownAfter(120_000);
      await primary.cli('REPLICAOF', server.host, server.port);
      await server.whenTaken(AbortSignal.timeout(20_000));
      const endMs = performance.now() + heldMs;
      while (performance.now() < endMs) {
        expect(await follows(primary)).toBe(`slave ${String(server.port)}`);
        for (const replica of nodes.nodes.slice(1)) expect(await follows(replica)).toBe(`slave ${String(port)}`);
        expect(await downAfter()).toEqual(['120000', '120000', '120000']);
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      await primary.cli('REPLICAOF', 'NO', 'ONE');
    } finally {
      await server.close();
    }
    await setDownAfter(2_000);
    await calm();
    expect((await manager.group()).primary?.port).toBe(port);
    expect(await manager.history()).toEqual([]);
    expect(await primary.cli('GET', 'before')).toBe('the accident');
  }, 100_000);

  it('is followed by a check that compares all nodes as soon as they have the data', async () => {
    const checked = await manager.get(`${group}/check?wait=30s`, json('POST', { digest: true }));
    expect(checked.body).toMatchObject({ state: 'succeeded', result: { verdict: 'same' } });
    const { result } = checked.body as { result: { nodes: readonly { digest: string | null }[] } };
    const digests = result.nodes.map(({ digest }) => digest);
    expect(digests).toEqual([expect.any(String), digests[0], digests[0]]);
  }, 60_000);
});

describe('a rollback that was announced', () => {
  it('keeps switchovers, failovers and rebuilds off, by name, until it is over', async () => {
    const nodes = await startSentinelGroup({ replicas: 1, downAfterMs: 2_000 });
    try {
      const manager = await startManager({ SWITCHYARD_REDIS_SENTINELS: nodes.sentinelAddresses });
      await eventually(async () => expect((await manager.group()).state).toBe('ok'), { timeoutMs: 30_000 });
      const window = { for: '60s', reason: 'rollback rollback-1' };
      expect((await manager.get(`${group}/maintenance`, json('PUT', window))).status).toBe(200);
      const replica = nodes.nodes[1] as TestRedis;
      const dry = await manager.get(`${group}/switchover`, json('POST', { dryRun: true }));
      const { checks } = dry.body as { checks: readonly { code: string; ok: boolean; detail: string }[] };
      expect(checks.find(({ code }) => code === 'no_rollback_running')).toMatchObject({
        ok: false,
        detail: expect.stringContaining('rollback-1'),
      });
      const refused = async (path: string, body: unknown): Promise<void> => {
        const answer = await manager.get(`${group}/${path}`, json('POST', body));
        expect([path, answer.status]).toEqual([path, 409]);
      };
      await refused('switchover', {});
      await refused('failover', { force: true, confirm: 'main' });
      await refused(`nodes/${replica.host}:${String(replica.port)}/rebuild`, {
        confirm: `${replica.host}:${String(replica.port)}`,
      });
      // And while the manager is at work it does not let one begin.
      expect((await manager.get(`${group}/maintenance`, { method: 'DELETE' })).status).toBe(200);
      await eventually(async () => {
        const after = await manager.get(`${group}/switchover`, json('POST', { dryRun: true }));
        const now = after.body as { checks: readonly { code: string; ok: boolean }[] };
        expect(now.checks.find(({ code }) => code === 'no_rollback_running')?.ok).toBe(true);
      });
    } finally {
      await nodes.stop();
    }
  }, 90_000);
});
