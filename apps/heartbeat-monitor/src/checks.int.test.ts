// Does an instance live by its check alone, on a real Redis, as long as its process answers and no longer?
import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { eligibilityOf } from '@switchyard/catalog';
import { probe } from '@switchyard/http';
import type { Instance, SwitchyardEvent } from '@switchyard/protocol';
import { beatByCheck, createCatalogFeed, createCatalogStore } from '@switchyard/redis';
import { createLogger, createMetrics, systemClock } from '@switchyard/runtime';
import { eventually, freePort, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess, TestRedis } from '@switchyard/testing';
import { createChecks } from './checks.ts';
import { pause, startFleet, startMonitor, typesOf } from './monitor-fixture.ts';
import type { Fleet } from './monitor-fixture.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const serverCode = `require('node:http').createServer((_, res) => res.end()).listen(Number(process.argv[1]), '127.0.0.1')`;

describe('an instance that is registered once, with a check and without heartbeats', () => {
  let redis: TestRedis;
  let fleet: Fleet;
  const ends: (() => unknown)[] = [];
  const asked: string[] = [];
  beforeEach(async () => {
    redis = await startRedis();
    fleet = startFleet(redis.port);
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
    await fleet.stop();
    await redis.stop();
    asked.length = 0;
  });

  const startMonitorWithChecks = async (id: string): Promise<void> => {
    const monitor = await startMonitor({ id, port: redis.port });
    ends.push(() => monitor.stop());
    const commands = monitor.connections.connect('commands');
    const store = createCatalogStore(commands, id);
    const subscriber = monitor.connections.connect('subscriber');
    const feed = createCatalogFeed({ store, subscriber, clock: systemClock, logger });
    const checks = createChecks({
      id,
      monitor,
      store,
      feed,
      probe(instance: Instance, timeoutMs) {
        asked.push(`${id} ${instance.id}`);
        return probe(instance, timeoutMs);
      },
      beat: (beats) => beatByCheck(commands, beats),
      timeoutMs: 150,
      random: Math.random,
      clock: systemClock,
      logger,
      metrics: createMetrics(),
    });
    const { signal } = new AbortController();
    for (const part of [feed, checks]) {
      await part.start?.(signal);
      ends.push(() => part.stop?.());
    }
  };
  const startServer = async (): Promise<{ server: Server; url: string; is: { status: number } }> => {
    const is = { status: 200 };
    const server = createServer((_req, res) => res.writeHead(is.status).end());
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    ends.push(() => server.close());
    return { server, is, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  };
  const startProcess = async (at?: number): Promise<{ owned: OwnedProcess; url: string }> => {
    const port = at ?? (await freePort());
    const owned = await startOwned({ command: process.execPath, args: ['-e', serverCode, String(port)] });
    ends.push(() => owned.end(0));
    const url = `http://127.0.0.1:${port}`;
    await eventually(async () => expect((await fetch(url)).status).toBe(200));
    return { owned, url };
  };
  /** Registers, and says no more. */
  const registerOnce = async (id: string, more: object): Promise<void> => {
    await fleet.add('shop', id, more);
    fleet.silence(`shop/${id}`);
  };
  const happened = async (id: string): Promise<string[]> => typesOf(await fleet.events(`shop/${id}`));
  const evidenceOf = async (id: string, type: SwitchyardEvent['type']): Promise<unknown> => {
    const event = (await fleet.events(`shop/${id}`)).findLast((one) => one.type === type);
    return (event?.data as { readonly evidence?: unknown } | undefined)?.evidence;
  };

  it('stays as long as it answers, be the interval longer than its time to live', async () => {
    await startMonitorWithChecks('m1');
    const { url } = await startServer();
    const ttl = '1s';
    await registerOnce('often', { url, ttl, check: { type: 'http', path: '/health', interval: '200ms' } });
    await registerOnce('seldom', { url, ttl, check: { type: 'http', path: '/health', interval: '3s' } });
    await registerOnce('by-port', { url, ttl, check: { type: 'tcp', interval: '200ms' } });

    await pause(4_000);

    expect([await happened('often'), await happened('seldom')]).toEqual([
      ['instance.registered'],
      ['instance.registered'],
    ]);
    // the kernel accepts for a process that hangs: a port that is open is no heartbeat
    expect((await happened('by-port')).slice(0, 2)).toEqual(['instance.registered', 'instance.suspected']);
  });

  it('is suspected when it fails, used when there is nobody else, and back when it answers again', async () => {
    await startMonitorWithChecks('m1');
    const { url, is } = await startServer();
    await registerOnce('a', { url, check: { type: 'http', interval: '300ms', fall: 2, rise: 2 } });
    await eventually(() => expect(asked.length).toBeGreaterThan(1));
    is.status = 503;
    await eventually(async () => expect(await fleet.liveness('shop/a')).toBe('suspect'));
    // its process is there: it is not evicted, however long it is not well
    await pause(2_000);
    expect(await happened('a')).toEqual(['instance.registered', 'instance.suspected']);

    expect(await evidenceOf('a', 'instance.suspected')).toMatchObject({
      because: 'check-failed',
      detail: '2 probes in a row failed, the last one: its check answered 503',
      probes: expect.arrayContaining([{ kind: 'http', outcome: 'failed', tookMs: expect.any(Number) }]),
      monitor: 'm1',
      fencingToken: expect.any(Number),
    });
    const suspected = await fleet.store.readInstance('shop', 'a');
    expect(suspected).toMatchObject({ suspectedBy: 'check' });
    expect(suspected && eligibilityOf(suspected)).toMatchObject({ eligible: false, lastResort: true });

    is.status = 200;
    await eventually(async () => expect(await fleet.liveness('shop/a')).toBe('alive'));
    expect(await evidenceOf('a', 'instance.revived')).toMatchObject({ because: 'check-answered' });
  });

  it('stays suspect by its check although it beats', async () => {
    await startMonitorWithChecks('m1');
    const { url, is } = await startServer();
    await fleet.add('shop', 'a', { url, check: { type: 'http', interval: '200ms', fall: 2 } });
    await eventually(() => expect(asked.length).toBeGreaterThan(1));
    is.status = 500;
    await eventually(async () => expect(await fleet.liveness('shop/a')).toBe('suspect'));

    await pause(1_500);

    expect(await happened('a')).toEqual(['instance.registered', 'instance.suspected']);
  });

  it('is evicted when its process is killed, and back when it was started again', async () => {
    await startMonitorWithChecks('m1');
    const { owned, url } = await startProcess();
    await registerOnce('a', { url, ttl: '30s', check: { type: 'http', interval: '200ms' } });
    await eventually(() => expect(asked.length).toBeGreaterThan(2));

    owned.signal('SIGKILL');
    const killedMs = performance.now();
    await eventually(async () => expect(await fleet.liveness('shop/a')).toBe('dead'));

    // three checks, not the time to live
    expect(performance.now() - killedMs).toBeLessThan(3_000);

    await startProcess(Number(new URL(url).port));
    await eventually(async () => expect(await fleet.liveness('shop/a')).toBe('alive'));
    expect(await fleet.store.readInstance('shop', 'a')).toMatchObject({ incarnation: 2, ttlMs: 30_000 });
  });

  it('is suspected when its process is frozen, and back when it goes on', async () => {
    await startMonitorWithChecks('m1');
    const { owned, url } = await startProcess();
    await registerOnce('a', { url, ttl: '30s', check: { type: 'http', interval: '200ms', timeout: '100ms' } });
    await eventually(() => expect(asked.length).toBeGreaterThan(2));

    owned.signal('SIGSTOP');
    await eventually(async () => expect(await fleet.liveness('shop/a')).toBe('suspect'));
    expect(await evidenceOf('a', 'instance.suspected')).toMatchObject({ because: 'check-failed' });
    owned.signal('SIGCONT');
    await eventually(async () => expect(await fleet.liveness('shop/a')).toBe('alive'));

    expect(await happened('a')).toEqual(['instance.registered', 'instance.suspected', 'instance.revived']);
  });

  it('is asked by one of two monitors', async () => {
    await startMonitorWithChecks('m1');
    await startMonitorWithChecks('m2');
    const { url } = await startServer();
    await registerOnce('a', { url, check: { type: 'http', interval: '200ms' } });

    await eventually(() => expect(asked.length).toBeGreaterThan(8));

    expect(new Set(asked)).toEqual(new Set(['m1 a']));
  });

  it('outlives a Redis that hangs: nobody is asked meanwhile, and nobody is suspected after it', async () => {
    await startMonitorWithChecks('m1');
    const { url } = await startServer();
    await registerOnce('a', { url, check: { type: 'http', interval: '200ms' } });
    await eventually(() => expect(asked.length).toBeGreaterThan(2));

    redis.freeze();
    await pause(1_000);
    const before = asked.length;
    await pause(1_500);
    expect(asked).toHaveLength(before);
    redis.resume();
    await eventually(() => expect(asked.length).toBeGreaterThan(before + 5));

    expect(await happened('a')).toEqual(['instance.registered']);
  });
});
