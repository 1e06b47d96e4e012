// A real Redis that goes away, real processes that hang and die, a real data plane: does the dispatcher find out by itself?
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { probe } from '@switchyard/http';
import { instanceInputSchema } from '@switchyard/protocol';
import { createMeters, createSocketDataPlane, defaultLimits, defaultTimeouts } from '@switchyard/proxy';
import { createCatalogFeed, createCatalogStore, createRedis, createRedisRegistrar } from '@switchyard/redis';
import { createHealth, createLogger, createMetrics, systemClock, type Component } from '@switchyard/runtime';
import { eventually, freePort, startOwned, startRedis, type OwnedProcess } from '@switchyard/testing';
import { createEjections } from './ejections.ts';
import { createProbes } from './probes.ts';
import { createRequestLog } from './request-log.ts';
import { createTableFile } from './table-file.ts';
import { watchTable } from './table-health.ts';
import { createTableKeeper } from './table-keeper.ts';
import { trafficPolicy, whyNotIn } from './traffic-policy.ts';

const clock = systemClock;
const logger = createLogger('dispatcher-test', { level: 'silent' });
const check = { type: 'http', path: '/livez', interval: '300ms', timeout: '200ms' } as const;
/** Three intervals and the timeout, and as much again for a machine that is busy. */
const foundWithinMs = 2 * (3 * 300 + 200);
const ids = ['a', 'b', 'c', 'd', 'e'] as const;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function backEnd(id: string): Promise<{ readonly port: number; readonly process: OwnedProcess }> {
  const port = await freePort();
  const code = `require('http').createServer((q,r)=>{r.setHeader('switchyard-instance','${id}');r.end('${id}')}).listen(${port},'127.0.0.1')`;
  const process = await startOwned({ command: globalThis.process.execPath, args: ['-e', code] });
  closers.push(() => process.end(500));
  return { port, process };
}

async function world() {
  const redis = await startRedis();
  closers.push(() => redis.stop());
  const endpoint = { host: redis.host, port: redis.port };
  const connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'probes-test' });
  closers.push(() => connections.stop());
  const commands = connections.connect('commands');
  const store = createCatalogStore(commands, 'probes-test');
  await eventually(() => commands.ping());
  const started: Record<string, OwnedProcess> = {};
  const register = async (id: string, port: number): Promise<void> => {
    const input = instanceInputSchema.parse({ url: `http://127.0.0.1:${port}`, ttl: '1s', check });
    const registrar = createRedisRegistrar({ store, redis: commands, service: 'shop', id, input });
    expect((await registrar.register()).ok).toBe(true);
  };
  for (const id of ids) {
    const { port, process } = await backEnd(id);
    started[id] = process;
    await register(id, port);
  }

  const dir = await mkdtemp(join(tmpdir(), 'switchyard-probes-'));
  closers.push(() => rm(dir, { recursive: true, force: true }));
  const feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock, logger });
  const [meters, ejections] = [createMeters(), createEjections({ clock, logger })];
  const { random } = Math;
  const probes = createProbes({
    feed,
    probe,
    afterMs: 1_500,
    intervalMs: 1_000,
    timeoutMs: 500,
    random,
    clock,
    logger,
  });
  const file = createTableFile(join(dir, 'table.json'));
  const keeper = createTableKeeper({ feed, file, meters, ejections, probes, random, clock, logger });
  const current = () => keeper.current();
  const health = createHealth({ clock, logger });
  const metrics = createMetrics();
  // no route: the plane is asked for the service directly
  const policy = trafficPolicy({ current, log: createRequestLog(64), ejections });
  const rules = () => current()?.services.get('shop')?.rules;
  const plane = createSocketDataPlane({
    name: 'traffic',
    host: '127.0.0.1',
    port: 0,
    policy: {
      ...policy,
      route: (head) => {
        const own = rules();
        return own === undefined
          ? policy.route(head)
          : { action: 'proxy', route: 'all', service: 'shop', redirectStatus: 307, stripPrefix: '', rules: own };
      },
    },
    limits: defaultLimits,
    // twice that is what a request may take that meets the frozen instance first, on a machine that is busy with others
    timeouts: { ...defaultTimeouts, responseMs: 3_000 },
    trustedProxies: [],
    announceInstance: true,
    via: 'switchyard',
    clock,
    logger,
  });
  const watch = watchTable({ keeper, probes, health, metrics, clock, logger });
  const parts: readonly Component[] = [keeper, feed, probes, watch, plane];
  for (const part of parts) {
    await part.start?.(new AbortController().signal);
    closers.push(() => part.stop?.());
  }
  const picked = (): string => (current()?.services.get('shop')?.picker.candidates ?? []).map(({ id }) => id).join('');
  await eventually(() => picked() === 'abcde');
  const ask = async (): Promise<number> => {
    const { port } = plane.address();
    const request = get({ host: '127.0.0.1', port, path: '/', agent: false, signal: AbortSignal.timeout(10_000) });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    answer.resume();
    return answer.statusCode ?? 0;
  };
  const why = (id: string): string | undefined => whyNotIn(current(), 'shop').find((one) => one.id === id)?.reason;
  return { redis, started, picked, ask, why, probes, health, metrics };
}

/** Asks all the time until told to stop; the statuses that were not 200. */
function traffic(ask: () => Promise<number>): { end(): Promise<{ readonly asked: number; readonly bad: unknown[] }> } {
  const stop = new AbortController();
  let asked = 0;
  const bad: unknown[] = [];
  const client = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      asked += 1;
      const status = await ask().catch((error: unknown) => error);
      if (status !== 200) bad.push(status);
      await clock.sleep(10);
    }
  };
  const clients = Promise.all(Array.from({ length: 4 }, client));
  return {
    async end() {
      stop.abort();
      await clients;
      return { asked, bad };
    },
  };
}

describe('a dispatcher whose Redis is gone', () => {
  it('takes out an instance that hangs and one that was killed, and no request fails', async () => {
    const { redis, started, picked, ask, why, probes, health, metrics } = await world();
    await redis.kill();
    await eventually(() => probes.status().probing, { timeoutMs: 10_000 });
    const load = traffic(ask);
    await clock.sleep(300);
    const beganMs = performance.now();
    started['a']?.signal('SIGSTOP');
    started['b']?.signal('SIGKILL');
    // ejections for failed requests come and go: the verdict of probes stays
    await eventually(() => probes.of('shop', 'a') !== undefined && probes.of('shop', 'b') !== undefined, {
      timeoutMs: 10_000,
    });
    const tookMs = performance.now() - beganMs;
    await clock.sleep(1_000);
    expect(picked()).toBe('cde');
    expect(tookMs).toBeLessThan(foundWithinMs);
    for (const id of ['a', 'b']) expect(why(id)).toMatch(/^(?:left out by probes from here|ejected here for .+): /);
    const { asked, bad } = await load.end();
    expect(asked).toBeGreaterThan(50);
    expect(bad).toEqual([]);
    // and it says what it knows
    await eventually(() => health.report().checks['table']?.ok === false, { timeoutMs: 5_000 });
    expect(health.report().checks['table']).toMatchObject({
      critical: false,
      detail: expect.stringMatching(
        /^Redis does not answer: routing by a table that is \d+ s old .*; instances are probed from here, 2 of them left out$/,
      ),
    });
    const age = /^switchyard_dispatcher_table_age_seconds (\S+)$/m.exec(await metrics.text());
    expect(Number(age?.[1])).toBeGreaterThan(2);

    started['a']?.signal('SIGCONT');
    await eventually(() => probes.of('shop', 'a') === undefined, { timeoutMs: 5_000 });
    await eventually(() => picked() === 'acde', { timeoutMs: 35_000 });
  }, 60_000);

  it('goes by the catalog again when Redis is back, without using the dead one for a moment', async () => {
    const { redis, started, picked, probes } = await world();
    redis.freeze();
    await eventually(() => probes.status().probing, { timeoutMs: 10_000 });
    started['a']?.signal('SIGSTOP');
    started['b']?.signal('SIGKILL');
    await eventually(() => picked() === 'cde', { timeoutMs: 10_000 });
    redis.resume();
    await eventually(() => !probes.status().probing, { timeoutMs: 15_000 });
    const seen = new Set<string>();
    const untilMs = performance.now() + 1_500;
    while (performance.now() < untilMs) {
      seen.add(picked());
      await clock.sleep(10);
    }
    expect([...seen]).toEqual(['cde']);
    started['a']?.signal('SIGCONT');
    await eventually(() => picked().startsWith('a'), { timeoutMs: 5_000 });
    // nobody evicts the dead one here: after four TTLs the catalog's word counts
    await eventually(() => picked() === 'abcde', { timeoutMs: 10_000 });
    expect(probes.status()).toMatchObject({ probing: false, out: 0 });
  }, 60_000);
});
