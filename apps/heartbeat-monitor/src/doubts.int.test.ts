// How soon is somebody evicted whom others saw fail? Long before the deadline; and a doubt alone changes nothing.
import { channels } from '@switchyard/protocol';
import type { Doubt } from '@switchyard/protocol';
import { createLogger, createMetrics } from '@switchyard/runtime';
import { eventually, freePort, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess, TestRedis } from '@switchyard/testing';
import { createDoubtIntake } from './doubts.ts';
import type { DoubtIntake } from './doubts.ts';
import { pause, startFleet, startListener, startMonitor, typesOf } from './monitor-fixture.ts';
import type { Fleet, TestMonitor } from './monitor-fixture.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const serverCode = `require('node:net').createServer((socket) => socket.end()).listen(Number(process.argv[1]), '127.0.0.1')`;
/** Nobody waits for it in these tests. */
const ttl = '60s';

describe('a monitor that hears doubts', () => {
  let redis: TestRedis;
  let fleet: Fleet;
  let monitor: TestMonitor;
  let intake: DoubtIntake;
  const metrics = createMetrics();
  const passed: Doubt[] = [];
  let intakeMs = 0;
  const processes: OwnedProcess[] = [];
  beforeEach(async () => {
    redis = await startRedis();
    fleet = startFleet(redis.port);
    monitor = await startMonitor({ id: 'm1', port: redis.port });
    passed.length = 0;
    intake = createDoubtIntake({
      monitor: {
        doubt(doubt) {
          passed.push(doubt);
          monitor.doubt(doubt);
        },
      },
      subscriber: monitor.connections.connect('subscriber'),
      metrics,
      // its seconds last as long as a test wants
      clock: { monotonicMs: () => intakeMs },
      logger,
    });
    await intake.start?.(new AbortController().signal);
    await eventually(async () =>
      expect((await redis.cli('PUBSUB', 'NUMSUB', channels.doubt)) as unknown).toEqual([channels.doubt, 1]),
    );
  });
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((one) => one.end(0)));
    await intake.stop?.();
    await monitor.stop();
    await fleet.stop();
    await redis.stop();
  });
  const doubt = (id: string, more: Partial<Doubt> = {}) =>
    fleet.redis.publish(
      channels.doubt,
      JSON.stringify({ service: 'shop', id, because: 'connect-failed', detail: 'it refuses', witness: 'd1', ...more }),
    );
  const startInstance = async (id: string): Promise<OwnedProcess> => {
    const port = await freePort();
    const owned = await startOwned({ command: process.execPath, args: ['-e', serverCode, String(port)] });
    processes.push(owned);
    const url = `http://127.0.0.1:${port}`;
    await eventually(async () =>
      fetch(url).catch((error: Error) => expect(String(error.cause)).not.toMatch(/REFUSED/)),
    );
    await fleet.add('shop', id, { url, ttl });
    return owned;
  };

  it('evicts at once who was killed', async () => {
    await startInstance('b');
    const tookMs: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const victim = await startInstance(`a${round}`);
      await pause(200);
      victim.signal('SIGKILL');
      await victim.ended();
      const saidMs = performance.now();
      await doubt(`a${round}`);
      await eventually(async () => expect(await fleet.liveness(`shop/a${round}`)).toBe('dead'), { timeoutMs: 5_000 });
      tookMs.push(performance.now() - saidMs);
    }

    // the median: a busy machine may be late once
    expect(tookMs.toSorted((one, other) => one - other)[2]).toBeLessThan(150);
    const eviction = (await fleet.events('shop/a0')).find(({ type }) => type === 'instance.evicted');
    expect(eviction?.data).toMatchObject({ evidence: { probes: [{ outcome: 'refused' }] } });
    expect(await fleet.liveness('shop/b')).toBe('alive');
  });

  it('changes nothing about one that is well', async () => {
    const { server, url } = await startListener();
    await fleet.add('shop', 'a', { url, ttl });
    await pause(200);
    for (let n = 0; n < 20; n += 1) await doubt('a', { witness: `d${n}` });
    await pause(700);
    server.close();

    expect(passed).toHaveLength(20);
    expect(typesOf(await fleet.events('shop/a'))).toEqual(['instance.registered']);
  });

  it('is not moved by doubts about nobody, and by nonsense', async () => {
    await doubt('nobody');
    for (const text of [
      '',
      '{',
      '[]',
      '{"service":"shop"}',
      JSON.stringify({ service: 'shop', id: 'a', because: 'I say so', detail: '', witness: 'x' }),
    ]) {
      await fleet.redis.publish(channels.doubt, text);
    }
    await eventually(() => expect(intake.status()).toEqual({ heard: 1, dropped: 0, refused: 5 }));

    expect((await metrics.text()).split('\n')).toContain(
      'switchyard_monitor_doubts_total{cause="unread",outcome="refused"} 5',
    );
    await eventually(() => expect(monitor.status()).toMatchObject({ leader: true }));
  });

  it('takes a thousand a second, and counts what is beyond', async () => {
    const pipeline = fleet.redis.pipeline();
    const text = JSON.stringify({ service: 'shop', id: 'x', because: 'request-timeout', detail: '', witness: 'd1' });
    for (let n = 0; n < 5_000; n += 1) pipeline.publish(channels.doubt, text);
    await pipeline.exec();
    await eventually(() => {
      const { heard, dropped } = intake.status();
      expect(heard + dropped).toBe(5_000);
    });

    expect(intake.status()).toEqual({ heard: 1_000, dropped: 4_000, refused: 0 });
    intakeMs += 1_000;
    await doubt('x');
    await eventually(() => expect(intake.status().heard).toBe(1_001));
    await eventually(() => expect(monitor.status().lastSweepAgoMs).toBeLessThan(200));
  });
});
