// Is a write that was acknowledged as replicated really safe, and does everybody else hear exactly what is known of theirs?
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createDurableWriter, createRedis } from './index.ts';
import type { DurableWriter, DurableWriterOptions, RedisConnections, RedisSettings, WriteOutcome } from './index.ts';
import { startSlowGroup } from './slow-group-fixture.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const single = (port: number): RedisSettings => ({
  kind: 'single',
  endpoint: { host: '127.0.0.1', port },
  group: 'main',
});

describe('writes to a primary with one replica', () => {
  let primary: TestRedis;
  let replica: TestRedis;
  let connections: RedisConnections;
  const writers: DurableWriter[] = [];
  const writerWith = async (options: Omit<DurableWriterOptions, 'logger'>): Promise<DurableWriter> => {
    const writer = createDurableWriter(connections, { ...options, logger });
    writers.push(writer);
    await eventually(
      async () => (await writer.run((redis) => redis.ping())).type !== 'refused' || options.level === 'fsynced',
    );
    return writer;
  };
  beforeEach(async () => {
    primary = await startRedis();
    replica = await startRedis({ replicaOf: primary });
    await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
      timeoutMs: 15_000,
    });
    connections = createRedis(single(primary.port), { logger, name: 'test' });
  });
  afterEach(async () => {
    await Promise.all(writers.splice(0).map((one) => one.stop()));
    await connections.stop();
    await replica.stop();
    await primary.stop();
  });

  it('are acknowledged together, with one WAIT for all of a batch, and the replica has them', async () => {
    const writer = await writerWith({ level: 'replicated' });
    const lineage = await primary.info('replication', 'master_replid');
    await primary.cli('CONFIG', 'RESETSTAT');

    const outcomes = await Promise.all(Array.from({ length: 3_000 }, (_, i) => writer.write(['SET', `k${i}`, i])));

    expect(new Set(outcomes.map(({ type }) => type))).toEqual(new Set(['acknowledged']));
    const last = outcomes.at(-1);
    expect(last).toMatchObject({ value: 'OK', ack: { level: 'replicated', replicas: 1, epoch: null, lineage } });
    expect(await replica.cli('DBSIZE')).toBe(3_000);
    const offset = last?.type === 'acknowledged' ? (last.ack.offset ?? Infinity) : Infinity;
    expect(Number(await replica.info('replication', 'slave_repl_offset'))).toBeGreaterThanOrEqual(offset);
    const waits = /calls=(\d+)/.exec((await primary.info('commandstats', 'cmdstat_wait')) ?? '')?.[1];
    expect(Number(waits)).toBeLessThan(20);
  });

  it('are told as unconfirmed, and not as failed, when they are executed and the replica does not get them', async () => {
    const writer = await writerWith({ level: 'replicated', deadlineMs: 100 });
    replica.freeze();
    try {
      const outcome = await writer.write(['INCR', 'n']);
      expect(outcome).toMatchObject({
        type: 'unconfirmed',
        value: 1,
        ack: { replicas: 0 },
        refusal: { code: 'not_replicated', why: ['0 of 1 replicas had it after 100 ms'] },
      });
      expect(await primary.cli('GET', 'n')).toBe('1');
    } finally {
      replica.resume();
    }
    await eventually(async () => expect(await writer.write(['INCR', 'n'])).toMatchObject({ type: 'acknowledged' }));
  });

  it('are told as unconfirmed when the primary dies under them, and refused while there is none', async () => {
    const writer = await writerWith({ level: 'replicated', deadlineMs: 1_200 });
    replica.freeze();
    const owed = writer.write(['SET', 'a', 1]);
    await eventually(async () => (await primary.cli('GET', 'a')) === '1');

    await primary.kill();
    replica.resume();

    expect(await owed).toMatchObject({ type: 'unconfirmed', refusal: { code: 'not_replicated' } });
    await eventually(async () => {
      const refused = await writer.write(['SET', 'b', 1]);
      expect(refused).toMatchObject({ type: 'refused', refusal: { code: 'redis_unavailable' } });
    });
  });

  it('do not count as replicated by what another connection has written', async () => {
    const writer = await writerWith({ level: 'replicated', deadlineMs: 1_200 });
    replica.freeze();
    const owed = writer.write(['SET', 'a', 1]);
    await eventually(async () => (await primary.cli('GET', 'a')) === '1');
    // the socket goes between the write and the answer: a WAIT on the next one would count nothing of it
    await primary.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    replica.resume();

    expect(await owed).toMatchObject({ type: 'unconfirmed' });
  });

  it('are refused when too many wait, and when Redis refuses the command', async () => {
    const writer = await writerWith({ level: 'replicated', maxBatch: 1, maxQueue: 2 });

    const outcomes = await Promise.all(['a', 'b', 'c', 'd'].map((key) => writer.write(['SET', key, 1])));

    expect(outcomes.map(({ type }) => type)).toEqual(['acknowledged', 'acknowledged', 'refused', 'refused']);
    expect(outcomes[3]).toMatchObject({ refusal: { code: 'overloaded' } });
    expect(await writer.write(['LPUSH', 'a', 1])).toMatchObject({
      type: 'refused',
      refusal: { code: 'invalid_input' },
    });
  });

  it('by scripts and commands of others share the batch, and their defects are their own', async () => {
    const writer = await writerWith({ level: 'replicated' });

    const [script, plain, defect, sudden] = await Promise.allSettled([
      writer.run((redis) => redis.eval("return redis.call('INCR', KEYS[1])", 1, 'n')),
      writer.write(['SET', 'a', 1]),
      writer.run(() => Promise.reject(new TypeError('a defect'))),
      writer.run((): Promise<never> => {
        throw new TypeError('at once');
      }),
    ]);

    expect(script).toMatchObject({ value: { type: 'acknowledged', value: 1, ack: { replicas: 1 } } });
    expect(plain).toMatchObject({ value: { type: 'acknowledged', value: 'OK', ack: { replicas: 1 } } });
    for (const one of [defect, sudden])
      expect(one).toMatchObject({ status: 'rejected', reason: expect.any(TypeError) });
    expect(await writer.write(['SET', 'a', 2])).toMatchObject({ type: 'acknowledged' });
  });

  it('are refused before they are written when Redis cannot say what is on disk', async () => {
    const writer = await writerWith({ level: 'fsynced' });
    const [major = 0, minor = 0] = String(await primary.info('server', 'redis_version'))
      .split('.')
      .map(Number);
    const isOld = major < 7 || (major === 7 && minor < 2);

    const outcome = await eventually(async () => {
      const told: WriteOutcome<unknown> = await writer.write(['SET', 'a', 1]);
      expect(told).toMatchObject({
        type: 'refused',
        refusal: { code: 'refused_for_safety', next: expect.any(String) },
      });
      return told;
    });

    const detail = outcome.type === 'refused' ? outcome.refusal.detail : '';
    expect(detail).toMatch(isOld ? /WAITAOF came with 7\.2/ : /no append-only file/);
    expect(await primary.cli('EXISTS', 'a')).toBe(0);
  });

  it('need no replica at the level async', async () => {
    const writer = await writerWith({ level: 'async' });
    await replica.stop();

    expect(await writer.write(['SET', 'a', 1])).toMatchObject({
      type: 'acknowledged',
      ack: { level: 'async', replicas: 0 },
    });
  });
});

describe('writes without Redis', () => {
  it('are refused at once', async () => {
    const connections = createRedis(single(await freePort()), { logger, name: 'test' });
    const writer = createDurableWriter(connections, { level: 'replicated', logger });

    expect(await writer.write(['SET', 'a', 1])).toMatchObject({
      type: 'refused',
      refusal: { code: 'redis_unavailable' },
    });

    await writer.stop();
    await connections.stop();
  });
});

describe('writes to a group whose replicas are far away', () => {
  it.each([5, 25])(
    'are all there after kill -9 of the primary if they were acknowledged as replicated (%s ms each way)',
    async (delayMs) => {
      const group = await startSlowGroup({ delayMs, downAfterMs: 1_000 });
      const connections = createRedis(
        { kind: 'sentinel', sentinels: group.sentinels, group: 'main' },
        { logger, name: 'test' },
      );
      const writer = createDurableWriter(connections, { level: 'replicated', logger });
      try {
        const acked: string[] = [];
        const told = { acknowledged: 0, unconfirmed: 0, refused: 0 };
        const epochs = new Set<number | null>();
        const over = new AbortController();
        const ledger = async (id: number): Promise<void> => {
          for (let n = 0; !over.signal.aborted; n += 1) {
            const key = `w${String(id)}:${String(n)}`;
            const outcome = await writer.write(['SET', key, 'x']);
            told[outcome.type] += 1;
            if (outcome.type === 'acknowledged') {
              acked.push(key);
              epochs.add(outcome.ack.epoch);
            } else await new Promise((resolve) => setTimeout(resolve, 10));
          }
        };
        const ledgers = Array.from({ length: 64 }, (_, id) => ledger(id));
        const first = await group.primary();
        await eventually(() => acked.length > 500, { timeoutMs: 20_000 });
        const before = acked.length;

        await first.redis.kill();

        await eventually(async () => (await group.primary()) !== first && acked.length > before + 500, {
          timeoutMs: 40_000,
        });
        over.abort();
        await Promise.all(ledgers);
        const now = await group.primary();
        const missing = [];
        for (const key of acked) if ((await now.redis.cli('EXISTS', key)) !== 1) missing.push(key);
        process.stdout.write(
          `${String(delayMs)} ms: ${JSON.stringify({ ...told, missing: missing.length, epochs: [...epochs] })}\n`,
        );
        expect(missing).toEqual([]);
        expect(epochs.size).toBeGreaterThanOrEqual(2);
      } finally {
        await writer.stop();
        await connections.stop();
        await group.stop();
      }
    },
    90_000,
  );
});
