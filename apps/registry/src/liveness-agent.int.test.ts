import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL, fileURLToPath } from 'node:url';
import { channels, doubtSchema } from '@switchyard/protocol';
import type { Doubt, ObservedInstance } from '@switchyard/protocol';
import { createRedis, keepSubscribed } from '@switchyard/redis';
import type { RedisConnections } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, freeze, resume, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess, TestRedis } from '@switchyard/testing';
import { startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const moduleOf = (path: string): string =>
  JSON.stringify(new URL(`../../../libs/${path}/src/index.ts`, import.meta.url).href);

/** An app that serves, beats from a worker, and is busy for as long as it is asked to be. */
const app = `
import { createServer } from 'node:http';
import { createWorkerAgent } from ${moduleOf('agent')};
import { createLogger, systemClock } from ${moduleOf('runtime')};
const { ID: id, TTL: ttl, PORT: port, REGISTRY: registry, WORKER: worker, LIMIT: limit } = process.env;
const agent = createWorkerAgent({
  registryUrls: [registry], service: 'shop', id, clock: systemClock, logger: createLogger('app'),
  input: { url: 'http://127.0.0.1:' + port, weight: 1, meta: {}, ttl, role: 'member' },
  load: () => ({ inflight: 4, utilization: 0.25 }), drainDelayMs: 50, busyLimitMs: Number(limit ?? 30_000),
  ...(worker ? { workerUrl: new URL(worker) } : {}),
});
createServer((req, res) => {
  const ms = Number(new URL(req.url, 'http://x').searchParams.get('busy') ?? 0);
  for (const end = performance.now() + ms; performance.now() < end; );
  res.end(JSON.stringify(agent.state()));
}).listen(Number(port), '127.0.0.1', () => void agent.start());
process.once('SIGTERM', async () => { await agent.drain(); await agent.stop(); console.log('left'); server?.close(); process.exitCode = 0; });
let server;
`
  .replace('createServer((req', 'server = createServer((req')
  .replace('let server;\n', '')
  .replace('const agent', 'let server;\nconst agent');

describe('an app with its agent on a worker thread', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  let connections: RedisConnections;
  let directory: string;
  const started: OwnedProcess[] = [];
  const doubts: Doubt[] = [];

  const start = async (id: string, env: NodeJS.ProcessEnv = {}): Promise<{ app: OwnedProcess; url: string }> => {
    const port = String(await freePort());
    const owned = await startOwned({
      command: process.execPath,
      args: [join(directory, 'app.mjs')],
      env: { PATH: process.env['PATH'], ID: id, TTL: '1s', PORT: port, REGISTRY: registry.url, ...env },
    });
    started.push(owned);
    await eventually(async () => (await shown(id)) !== undefined, { timeoutMs: 15_000, what: `${id} is registered` });
    return { app: owned, url: `http://127.0.0.1:${port}` };
  };
  const shown = async (id: string): Promise<ObservedInstance | undefined> => {
    const { status, body } = await registry.api.get(`/v1/services/shop/instances/${id}`);
    return status === 200 ? (body as ObservedInstance) : undefined;
  };
  /** Members whose deadline has passed. */
  const late = async (): Promise<string[]> => {
    const passed = await redis.cli(
      'EVAL',
      "local t = redis.call('TIME') return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', t[1] * 1000 + math.floor(t[2] / 1000))",
      1,
      '{switchyard}:deadlines',
    );
    return (passed as string[]).map(String);
  };
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      setTimeout(resolve, ms);
    });

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-agent-'));
    await writeFile(join(directory, 'app.mjs'), app);
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    const endpoint = { host: '127.0.0.1', port: redis.port };
    connections = createRedis(
      { kind: 'single', endpoint, group: 'main' },
      { logger: createLogger('test', { level: 'silent' }), name: 'witness' },
    );
    const subscriber = connections.connect('subscriber');
    subscriber.on('message', (_channel, text: string) => doubts.push(doubtSchema.parse(JSON.parse(text))));
    keepSubscribed(subscriber, [channels.doubt]);
  });
  afterAll(async () => {
    await Promise.all(started.map((one) => one.end(100)));
    await registry.stop();
    await connections.stop();
    await redis.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it('reports its load, and lives on through a busy loop of 5 s, which is a warning', async () => {
    const { url } = await start('busy');
    await eventually(async () => (await shown('busy'))?.load?.inflight === 4);
    const answer = fetch(`${url}/?busy=5000`);
    const warnings: string[] = [];

    for (let i = 0; i < 22; i += 1) {
      await pause(200);
      expect(await late()).not.toContain('shop/busy');
      warnings.push(...((await shown('busy'))?.warnings ?? []));
    }

    expect(warnings.at(-1)).toMatch(/^its event loop is \d{4} ms late/);
    await (await answer).text();
    await eventually(async () => (await shown('busy'))?.warnings.length === 0);
    const state = (await (await fetch(url)).json()) as { worstLagMs: number; registrations: number };
    expect(state.worstLagMs).toBeGreaterThan(4_000);
    expect(state.registrations).toBe(1);
    expect(started.at(-1)?.output()).toContain('agent.app_busy');
    expect(doubts.filter(({ id }) => id === 'busy')).toEqual([]);
  });

  it('registers again while it is busy, when the catalog has forgotten it', async () => {
    const { url } = await start('forgotten', { TTL: '10s' });
    const answer = fetch(`${url}/?busy=6000`);
    await pause(300);

    await registry.api.delete('/v1/services/shop/instances/forgotten');

    await eventually(async () => (await shown('forgotten')) !== undefined, { timeoutMs: 5_000 });
    await (await answer).text();
  });

  it('is late when the whole process is stopped, and beats at once when it goes on', async () => {
    const { app: stopped } = await start('frozen');
    freeze(stopped.pid);
    await eventually(async () => (await late()).includes('shop/frozen'), { timeoutMs: 3_000 });

    resume(stopped.pid);

    await eventually(async () => !(await late()).includes('shop/frozen'), { timeoutMs: 1_000, intervalMs: 10 });
  });

  it('falls silent when the event loop stands still for longer than its limit', async () => {
    const { url } = await start('hung', { LIMIT: '1500' });
    const answer = fetch(`${url}/?busy=6000`);

    await eventually(() => doubts.some(({ id }) => id === 'hung'), { timeoutMs: 4_000 });
    await eventually(async () => (await late()).includes('shop/hung'), { timeoutMs: 3_000 });
    await (await answer).text();

    await eventually(async () => !(await late()).includes('shop/hung'));
  });

  it('that is killed is doubted at once', async () => {
    const { app: victim } = await start('killed', { TTL: '10s' });
    await eventually(() => victim.output().includes('agent.live'));

    const killedAtMs = performance.now();
    victim.signal('SIGKILL');
    await eventually(() => doubts.some(({ id }) => id === 'killed'), { intervalMs: 2 });

    expect(performance.now() - killedAtMs).toBeLessThan(500);
    expect(doubts.filter(({ id }) => id === 'killed')).toMatchObject([
      { because: 'connection-closed', witness: 'registry-test' },
    ]);
  });

  it('leaves on SIGTERM without a doubt, and nothing keeps its process alive', async () => {
    const { app: leaver } = await start('leaver', { TTL: '10s' });
    leaver.signal('SIGTERM');

    await leaver.ended();

    expect(leaver.output()).toContain('left');
    expect(await shown('leaver')).toBeUndefined();
    expect(doubts.filter(({ id }) => id === 'leaver')).toEqual([]);
  });

  it.each([
    ['cannot start', 'file:///no/such/worker.mjs'],
    ['dies', 'crash'],
  ])('beats from its own thread, and says so, when the worker %s', async (what, worker) => {
    const crash = pathToFileURL(join(directory, 'crash.mjs')).href;
    await writeFile(fileURLToPath(crash), "setTimeout(() => { throw new Error('broken') }, 200);");
    const id = `local-${worker === 'crash' ? 1 : 2}`;
    const { app: owned } = await start(id, { WORKER: worker === 'crash' ? crash : worker });

    expect(owned.output()).toContain('agent.worker_lost');
    await pause(1_200);
    expect(await late()).not.toContain(`shop/${id}`);
    owned.signal('SIGTERM');
    await owned.ended();
    expect(await shown(id)).toBeUndefined();
    expect(what).toBeTruthy();
  });
});
