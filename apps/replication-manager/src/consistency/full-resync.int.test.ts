import { createRedisNodeAdmin, type RedisNodeAdmin } from '@switchyard/redis';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { fullResync } from './full-resync.ts';

const clock = systemClock;
const logger = createLogger('test', { level: 'silent' });

describe('a full resync', () => {
  let nodes: TestRedis[] = [];
  let admins: RedisNodeAdmin[] = [];
  const adminOf = ({ host, port }: TestRedis): RedisNodeAdmin => {
    const admin = createRedisNodeAdmin({ host, port, clock, logger, deadlineMs: 2_000 });
    admins.push(admin);
    return admin;
  };
  const pair = async (): Promise<readonly [TestRedis, TestRedis]> => {
    const primary = await startRedis();
    nodes.push(primary);
    const replica = await startRedis({ replicaOf: primary });
    nodes.push(replica);
    await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
      timeoutMs: 15_000,
    });
    return [primary, replica];
  };
  afterEach(async () => {
    for (const admin of admins) admin.close();
    await Promise.all(nodes.map((node) => node.stop()));
    nodes = [];
    admins = [];
  });

  it('replaces data that differs, and the replica takes no write meanwhile', async () => {
    const [primary, replica] = await pair();
    for (let key = 0; key < 20; key += 1) await primary.cli('SET', `key:${String(key)}`, 'x'.repeat(10_000));
    await eventually(async () => Number(await replica.cli('DBSIZE')) === 20);
    // Equal offsets, other data: nothing but a full copy mends this.
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'no');
    await replica.cli('SET', 'key:3', 'tampered');
    await replica.cli('CONFIG', 'SET', 'replica-read-only', 'yes');
    const fullBefore = Number(await primary.info('stats', 'sync_full'));

    let written = 0;
    const stop = new AbortController();
    const writer = (async () => {
      while (!stop.signal.aborted) {
        await replica.cli('SET', 'intruder', '1').then(
          () => (written += 1),
          () => undefined,
        );
      }
    })();
    const progress: number[] = [];
    const outcome = await fullResync({
      replica: adminOf(replica),
      primary: adminOf(primary),
      clock,
      signal: AbortSignal.timeout(30_000),
      deadlineMs: 30_000,
      onProgress: ({ percent }) => progress.push(percent),
    });
    stop.abort();
    await writer;

    expect(outcome).toMatchObject({ ok: true, value: { lineage: await primary.info('replication', 'master_replid') } });
    expect(progress.at(-1)).toBe(100);
    expect(Number(await primary.info('stats', 'sync_full')) - fullBefore).toBe(1);
    expect(await replica.cli('GET', 'key:3')).toBe('x'.repeat(10_000));
    expect(written).toBe(0);
    expect(await replica.cli('DEBUG', 'DIGEST')).toBe(await primary.cli('DEBUG', 'DIGEST'));
  }, 60_000);

  it('is not begun from a node that is no primary', async () => {
    const [primary, replica] = await pair();
    const options = { clock, signal: AbortSignal.timeout(10_000), deadlineMs: 10_000 };
    expect(await fullResync({ replica: adminOf(primary), primary: adminOf(replica), ...options })).toMatchObject({
      ok: false,
      error: { code: 'conflict' },
    });
    expect(await primary.info('replication', 'role')).toBe('master');
  }, 60_000);

  it('ends its wait when what it was meant for has changed, and the replica goes on', async () => {
    const [primary, replica] = await pair();
    const outcome = await fullResync({
      replica: adminOf(replica),
      primary: adminOf(primary),
      clock,
      signal: AbortSignal.timeout(10_000),
      deadlineMs: 10_000,
      recheck: () => ({ code: 'conflict', detail: 'another node is primary by now' }),
    });
    expect(outcome).toMatchObject({ ok: false, error: { code: 'conflict' } });
    await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
      timeoutMs: 15_000,
    });
  }, 60_000);
});
