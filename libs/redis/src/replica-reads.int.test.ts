// Does a read from a replica see what was written before it, and is told what it cannot see?
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startDelayProxy, startRedis } from '@switchyard/testing';
import type { DelayProxy, TestRedis } from '@switchyard/testing';
import { createDurableWriter, createRedis, createReplicaReader } from './index.ts';
import type { DurableAck, DurableWriter, RedisConnections, ReplicaReader } from './index.ts';
import { startSlowGroup } from './slow-group-fixture.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });

/** Writes when it can, and gives what was acknowledged. */
const acked = (writer: DurableWriter, key: string, value: string): Promise<DurableAck> =>
  eventually(
    async () => {
      const outcome = await writer.write(['SET', key, value]);
      return outcome.type === 'acknowledged' ? outcome.ack : null;
    },
    { timeoutMs: 20_000 },
  );

describe('reads from the replica of one primary', () => {
  let primary: TestRedis;
  let replica: TestRedis;
  let link: DelayProxy;
  let connections: RedisConnections;
  let reader: ReplicaReader;
  let writer: DurableWriter;
  beforeEach(async () => {
    primary = await startRedis();
    link = await startDelayProxy({ to: primary, delayMs: 0 });
    replica = await startRedis({ replicaOf: link });
    await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
      timeoutMs: 15_000,
    });
    connections = createRedis(
      { kind: 'single', endpoint: { host: '127.0.0.1', port: primary.port }, group: 'main' },
      { logger, name: 'test' },
    );
    reader = createReplicaReader(connections, { clock: systemClock, logger, waitMs: 400 });
    writer = createDurableWriter(connections, { level: 'async', logger });
    await eventually(async () => expect((await reader.read((redis) => redis.get('a'))).from).toBe('replica'));
  });
  afterEach(async () => {
    await reader.stop();
    await writer.stop();
    await connections.stop();
    await replica.stop();
    await link.stop();
    await primary.stop();
  });

  it('wait until it has the write that they are to see', async () => {
    link.setDelay(100);
    const ack = await acked(writer, 'a', 'new');

    expect((await reader.read((redis) => redis.get('a'))).value).toBeNull();
    const read = await reader.read((redis) => redis.get('a'), ack);

    expect(read).toMatchObject({ value: 'new', from: 'replica', sees: 'the write', lagBytes: expect.any(Number) });
  });

  it('go to the primary when it takes too long, or when there is no replica', async () => {
    link.cut();
    const ack = await acked(writer, 'a', 'new');

    expect(await reader.read((redis) => redis.get('a'), ack)).toMatchObject({
      value: 'new',
      from: 'primary',
      sees: 'the write',
    });

    await replica.kill();
    expect(await reader.read((redis) => redis.get('a'))).toMatchObject({
      value: 'new',
      from: 'primary',
      sees: 'unasked',
    });
  });

  it('say that a write was lost when the history of nobody contains it', async () => {
    const ack = await acked(writer, 'a', 'new');
    const elsewhere = { lineage: 'f'.repeat(40), offset: ack.offset };

    expect(await reader.read((redis) => redis.get('a'), elsewhere)).toMatchObject({ from: 'primary', sees: 'lost' });
  });
});

describe('reads from the replicas of a group', () => {
  it('find the replica with the least lag by the Sentinels, and see after a failover what was acknowledged before it', async () => {
    const group = await startSlowGroup({ delayMs: 5, downAfterMs: 1_000 });
    const { sentinels, nodes } = group;
    const connections = createRedis({ kind: 'sentinel', sentinels, group: 'main' }, { logger, name: 'test' });
    const reader = createReplicaReader(connections, { clock: systemClock, logger, waitMs: 300, chooseEveryMs: 50 });
    const writer = createDurableWriter(connections, { level: 'replicated', replicas: 2, logger });
    try {
      const before = await acked(writer, 'a', 'before');
      // one of the two stays behind
      nodes[1]?.redis.freeze();
      await eventually(
        async () => {
          const read = await reader.read((redis) => Promise.all([redis.get('a'), redis.config('GET', 'port')]), before);
          expect(read).toMatchObject({ value: ['before', ['port', String(nodes[2]?.redis.port)]], from: 'replica' });
        },
        { timeoutMs: 10_000 },
      );
      nodes[1]?.redis.resume();
      await nodes[0]?.redis.kill();
      await eventually(async () => expect((await group.primary()).redis.port).not.toBe(nodes[0]?.redis.port), {
        timeoutMs: 20_000,
      });

      await eventually(
        async () => {
          const read = await reader.read((redis) => redis.get('a'), before);
          expect(read).toMatchObject({ value: 'before', from: 'replica', sees: 'the write' });
        },
        { timeoutMs: 20_000 },
      );
    } finally {
      await reader.stop();
      await writer.stop();
      await connections.stop();
      await group.stop();
    }
  }, 90_000);
});
