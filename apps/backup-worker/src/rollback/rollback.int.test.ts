// Rollbacks of a real group with Sentinels: what was acknowledged before the moment is there, nothing after it, at all nodes; and what
// happens when somebody or something is in the way.
import { eventually, startRedis, startSentinelGroup, type SentinelGroup, type TestRedis } from '@switchyard/testing';
import type { OperationRecord, RollbackState } from '@switchyard/backup';
import { digestOf, fill, sameEverywhere, startRollbacks, type TestRollbacks } from './rollback-fixture.ts';

const labelOf = ({ result }: OperationRecord): string =>
  String((result?.['safetyPoint'] as { label?: string } | null | undefined)?.label);

type Waits = RollbackState['waitsFor'];

describe('a rollback in place', () => {
  let group: SentinelGroup;
  let worker: TestRollbacks;
  let primary: TestRedis;
  let env: Record<string, string>;
  /** What happens when a step begins. */
  let interfere: Partial<Record<Waits, () => Promise<void>>> = {};
  let steps: Waits[] = [];
  /** Serve somewhere else than where we are. */
  const onStep = async ({ waitsFor }: RollbackState): Promise<void> => {
    steps.push(waitsFor);
    await interfere[waitsFor]?.();
  };

  beforeAll(async () => {
    group = await startSentinelGroup({ replicas: 2, sentinels: 3, args: ['--min-replicas-to-write', '1'] });
    env = { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses };
    primary = await group.primary();
    await fill(primary, 500);
    worker = await startRollbacks(env, { onStep });
  }, 90_000);

  afterAll(async () => {
    await worker?.stop();
    await group?.stop();
  }, 30_000);

  beforeEach(() => {
    interfere = {};
    steps = [];
  });

  const fact = async (sentinel: TestRedis, name: string): Promise<string> => {
    const facts = (await sentinel.cli('SENTINEL', 'MASTER', 'main')) as string[];
    return String(facts[facts.indexOf(name) + 1]);
  };
  /** Sentinels with their own settings, the same primary in the same epoch, and no ghosts; the primary with its own settings. */
  const expectUndisturbed = async (): Promise<void> => {
    for (const sentinel of group.sentinels) {
      expect(await fact(sentinel, 'port')).toBe(String(primary.port));
      expect(await fact(sentinel, 'config-epoch')).toBe('0');
      expect(await fact(sentinel, 'down-after-milliseconds')).toBe('1000');
      expect(await fact(sentinel, 'num-slaves')).toBe('2');
    }
    const setting = async (name: string): Promise<unknown> =>
      ((await primary.cli('CONFIG', 'GET', name)) as string[])[1];
    expect(await setting('min-replicas-to-write')).toBe('1');
    expect(await setting('repl-diskless-load')).toBe('disabled');
    expect(await setting('repl-diskless-sync-delay')).toBe('0');
    expect(await primary.info('replication', 'role')).toBe('master');
  };
  const position = async (): Promise<number> => Number(await primary.info('replication', 'master_repl_offset'));
  /** The archive follows again after a rollback, and can keep a safety point. */
  const ready = async (): Promise<void> => {
    await eventually(
      async () => {
        const flushed = await worker.archive.archive
          .flush({ untilOffset: await position(), signal: AbortSignal.timeout(1_000) })
          .catch(() => null);
        const replicationId = await primary.info('replication', 'master_replid');
        return flushed?.ok === true && flushed.value.replicationId === replicationId;
      },
      { timeoutMs: 30_000, what: 'The archive to follow the new history' },
    );
  };

  it('undoes a FLUSHALL to the command, keeps the present, and gives it back', async () => {
    const acknowledged: string[] = [];
    for (let at = 0; at < 50; at += 1) {
      await primary.cli('SET', `ledger:${at}`, at);
      await primary.cli('INCR', 'counter');
      acknowledged.push(`ledger:${at}`);
    }
    const before = await digestOf(primary);
    await primary.cli('FLUSHALL');
    await primary.cli('SET', 'after', 'the accident');
    const present = await digestOf(primary);
    const planned = await worker.roll({ to: { before: 'FLUSHALL' }, dryRun: true });
    expect(planned).toMatchObject({
      state: 'succeeded',
      result: {
        state: 'planned',
        allowed: true,
        loads: 'swapdb',
        diff: { now: 1, target: 557, added: 557, removed: 1 },
      },
    });
    expect(steps).toEqual([]);
    expect(await digestOf(primary)).toBe(present);

    const done = await worker.roll({ to: { before: 'FLUSHALL' } });
    expect(done.refusal).toBeNull();
    expect(done.result).toMatchObject({
      state: 'done',
      reason: null,
      notes: [],
      settingsLeft: [],
      safetyPoint: { label: expect.stringMatching(/-safety$/) },
      undo: { command: expect.stringMatching(/^switchyard backup rollback --group main --to label:\S+-safety --yes$/) },
      unavailable: { writesMs: expect.any(Number), readsMs: expect.any(Number) },
      verification: { compared: true, keys: 557 },
      warnings: [expect.stringContaining('would be gone')],
    });
    expect(await sameEverywhere(group.nodes)).toBe(before);
    expect(await primary.cli('EXISTS', ...acknowledged, 'after')).toBe(50);
    expect(await primary.cli('GET', 'counter')).toBe('91');
    expect(Number(await primary.cli('PTTL', 'expiring'))).toBeLessThan(600_000);
    await expectUndisturbed();

    await ready();
    const label = labelOf(done);
    const undone = await worker.roll({ to: { label } });
    expect(undone.result).toMatchObject({ state: 'done', diff: { now: 557, target: 1, removed: 557 } });
    expect(await sameEverywhere(group.nodes)).toBe(present);
    await expectUndisturbed();
    await ready();
    await primary.cli('DEL', 'after');
    await fill(primary, 500);
  }, 120_000);

  it('lets writers wait instead of failing them, and loses nothing that it acknowledged after the moment without keeping it', async () => {
    await ready();
    const offset = await position();
    let errors = 0;
    const over = new AbortController();
    const writer = (async () => {
      for (let at = 0; !over.signal.aborted; at += 1)
        await primary.cli('SET', 'written', at).catch(() => (errors += 1));
    })();
    const done = await worker.roll({ to: { offset } });
    over.abort();
    await writer;
    expect(done.result).toMatchObject({ state: 'done', reason: null });
    expect(errors).toBe(0);
    const label = labelOf(done);
    const point = await worker.archive.archive.locate({ label }, AbortSignal.timeout(5_000));
    expect(point).toMatchObject({ ok: true });
    await sameEverywhere(group.nodes);
    await expectUndisturbed();
  }, 60_000);

  it('takes itself back, to the very data of before, when what was taken differs from what was served', async () => {
    await ready();
    const offset = await position();
    await primary.cli('SET', 'later', '1');
    const before = await digestOf(primary);
    interfere = {
      // Whoever can write to a replica of ours spoils it before it is compared.
      'data-proven': async () => {
        await primary.cli('CONFIG', 'SET', 'replica-read-only', 'no');
        await primary.cli('CLIENT', 'UNPAUSE');
        await primary.cli('SET', 'spoilt', '1');
        await primary.cli('CONFIG', 'SET', 'replica-read-only', 'yes');
      },
    };
    const ended = await worker.roll({ to: { offset } });
    expect(ended).toMatchObject({
      state: 'failed',
      result: { state: 'undone', reason: expect.stringContaining('instead of') },
    });
    expect(steps).toEqual(expect.arrayContaining(['data-judged', 'safety-taken', 'role-returned']));
    expect(await sameEverywhere(group.nodes)).toBe(before);
    await expectUndisturbed();
  }, 60_000);

  it('is refused when the primary was replaced by another history between plan and order, and touches nothing', async () => {
    await ready();
    const offset = await position();
    await primary.cli('SET', 'later', '2');
    const before = await digestOf(primary);
    interfere = {
      'point-sealed': async () => {
        // A demotion and promotion by somebody else begin another history.
        await primary.cli('REPLICAOF', '127.0.0.1', '1');
        await primary.cli('REPLICAOF', 'NO', 'ONE');
      },
    };
    const ended = await worker.roll({ to: { offset } });
    expect(ended).toMatchObject({
      state: 'failed',
      result: { state: 'refused', reason: expect.stringContaining('another history') },
    });
    expect(steps).not.toContain('data-taken');
    expect(await sameEverywhere(group.nodes)).toBe(before);
    await expectUndisturbed();
  }, 60_000);

  it('can be cancelled before the order, refuses a second one meanwhile, and says when it is too late', async () => {
    await ready();
    const offset = await position();
    await primary.cli('SET', 'later', '3');
    const before = await digestOf(primary);
    let id = '';
    interfere = {
      'point-sealed': async () => {
        await expect(worker.begin({ to: { offset } })).rejects.toThrow(/under way/);
        worker.cancel(id);
      },
    };
    id = await worker.begin({ to: { offset } });
    expect(await worker.ended(id)).toMatchObject({ state: 'cancelled', result: { state: 'refused' } });
    expect(await sameEverywhere(group.nodes)).toBe(before);
    interfere = { 'data-proven': async () => void worker.cancel(id) };
    id = await worker.begin({ to: { offset } });
    expect(await worker.ended(id)).toMatchObject({
      state: 'succeeded',
      result: { state: 'done', notes: [expect.stringContaining('too late')] },
    });
    expect(await primary.cli('GET', 'later')).not.toBe('3');
    await expectUndisturbed();
  }, 60_000);

  it('refuses what cannot be restored or has something in its way, and touches nothing', async () => {
    await ready();
    await expect(worker.begin({ to: { time: '2001-01-01T00:00:00Z' } })).rejects.toThrow(/cannot be restored/);
    const [, sentinel] = group.sentinels;
    sentinel?.freeze();
    try {
      const refused = await worker.roll({ to: { offset: await position() } });
      expect(refused).toMatchObject({
        state: 'failed',
        refusal: { code: 'refused_for_safety', why: [expect.stringContaining('sentinels-reachable')] },
      });
    } finally {
      sentinel?.resume();
    }
    expect(steps).toEqual([]);
  }, 60_000);
});

describe('a rollback of one server', () => {
  it('needs no Sentinels, and is taken back within seconds when the server cannot reach us', async () => {
    const redis = await startRedis();
    await fill(redis, 300);
    // Nobody listens there.
    const env = { SWITCHYARD_REDIS_URL: redis.url };
    const worker = await startRollbacks(env, { advertisedHost: '127.0.0.77' });
    try {
      const before = await digestOf(redis);
      await redis.cli('FLUSHALL');
      const undone = await worker.roll({ to: { before: 'FLUSHALL' } });
      expect(undone).toMatchObject({
        state: 'failed',
        result: { state: 'undone', reason: expect.stringContaining('127.0.0.77') },
      });
      expect(await redis.cli('DBSIZE')).toBe(0);
      expect(await redis.info('replication', 'role')).toBe('master');
      await redis.cli('SET', 'still', 'writable');
      expect(before).not.toBe('');
    } finally {
      await worker.stop();
      await redis.stop();
    }
  }, 60_000);
});
