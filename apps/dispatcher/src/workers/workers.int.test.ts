// Two workers under a supervisor, on a real Redis, under load: what do clients and operators notice when workers are renewed,
// killed, frozen or stopped?
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { putRoute } from '@switchyard/catalog';
import { instanceInputSchema, trafficRouteSchema } from '@switchyard/protocol';
import {
  createCatalogStore,
  createRedis,
  createRedisRegistrar,
  decideAndCommit,
  type RedisConnections,
} from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, startOwned, startRedis, type OwnedProcess, type TestRedis } from '@switchyard/testing';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
const clients = 8;

let redis: TestRedis;
let connections: RedisConnections;
let backend: Server;
let stateDir: string;
let ports: { readonly own: number; readonly traffic: number; readonly control: number };
let dispatcher: OwnedProcess;

interface LoadReport {
  readonly answered: number;
  readonly failures: readonly string[];
  /** GETs that were sent once more: their connection was closed before any byte of an answer. */
  readonly repeated: number;
}

/**
 * `clients` that each ask again as soon as they are answered, on kept connections or each time on a fresh one. They repeat a GET
 * once whose connection is closed in the moment of its use (RFC 9112, 9.3.1), as browsers and HTTP libraries do.
 */
function load(keepAlive: boolean): { stop(): Promise<LoadReport> } {
  const agent = new Agent({ keepAlive, maxSockets: clients });
  const failures: string[] = [];
  let [answered, repeated] = [0, 0];
  const ended = new AbortController();
  const one = (isRepeated = false): Promise<void> =>
    new Promise((resolve) => {
      const failed = (reason: string): void => {
        failures.push(reason);
        resolve();
      };
      const asking = request(
        { agent, port: ports.traffic, host: '127.0.0.1', path: '/x', timeout: 10_000 },
        (answer) => {
          answer.on('error', (error) => failed(`body: ${error.message}`));
          answer.on('end', () => {
            if (answer.statusCode !== 200) return failed(`status ${answer.statusCode}`);
            answered += 1;
            resolve();
          });
          answer.resume();
        },
      );
      asking.on('timeout', () => asking.destroy(new Error('no answer in 10 s')));
      asking.on('error', (error) => {
        if (isRepeated || error.message !== 'socket hang up') return failed(error.message);
        repeated += 1;
        resolve(one(true));
      });
      asking.end();
    });
  const loops = Array.from({ length: clients }, async () => {
    while (!ended.signal.aborted) await one();
  });
  return {
    async stop() {
      ended.abort();
      await Promise.all(loops);
      agent.destroy();
      return { answered, failures, repeated };
    },
  };
}

/** On a connection of its own, so that any worker may answer. */
function ask(port: number, path: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const asking = request({ port, path, host: '127.0.0.1', agent: false, timeout: 5_000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on('error', reject);
    });
    asking.on('timeout', () => asking.destroy(new Error('no answer in 5 s')));
    asking.on('error', reject);
    asking.end();
  });
}

const workerPids = (): number[] =>
  readFileSync(`/proc/${dispatcher.pid}/task/${dispatcher.pid}/children`, 'utf8')
    .split(' ')
    .filter((pid) => pid !== '')
    .map(Number);
const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};
const twoAreReady = (): Promise<unknown> =>
  eventually(
    async () => {
      const { text } = await ask(ports.own, '/readyz?verbose');
      expect(text).toContain('"detail":"2 of 2 worker processes are ready"');
    },
    { timeoutMs: 30_000, what: 'two ready workers' },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${dispatcher.output()}`, { cause: error });
  });
const requestsCounted = async (): Promise<number> => {
  const { text } = await ask(ports.own, '/metrics');
  return Number(/^switchyard_dispatcher_requests_total\{listener="traffic"\} (\d+)$/m.exec(text)?.[1]);
};

async function startDispatcher(): Promise<void> {
  ports = { own: await freePort(), traffic: await freePort(), control: await freePort() };
  dispatcher = await startOwned({
    command: process.execPath,
    args: [main],
    env: {
      PATH: process.env['PATH'],
      SWITCHYARD_REDIS_URL: redis.url,
      SWITCHYARD_STATE_DIR: stateDir,
      SWITCHYARD_DISPATCHER_PORT: String(ports.own),
      SWITCHYARD_DISPATCHER_TRAFFIC_PORT: String(ports.traffic),
      SWITCHYARD_DISPATCHER_CONTROL_PORT: String(ports.control),
      SWITCHYARD_DISPATCHER_WORKERS: '2',
      SWITCHYARD_DISPATCHER_WORKER_STALL_MS: '1500',
    },
  });
  await eventually(async () => (await ask(ports.own, '/livez')).status === 200, { timeoutMs: 20_000 });
  await twoAreReady();
}

beforeAll(async () => {
  redis = await startRedis();
  connections = createRedis(
    { kind: 'single', endpoint: { host: redis.host, port: redis.port }, group: 'main' },
    { logger: createLogger('workers-test', { level: 'silent' }), name: 'workers-test' },
  );
  const commands = connections.connect('commands');
  const store = createCatalogStore(commands, 'workers-test');
  stateDir = await mkdtemp(join(tmpdir(), 'switchyard-workers-'));
  await eventually(() => commands.ping());
  const route = trafficRouteSchema.parse({ service: 'shop' });
  await decideAndCommit(store, async () => putRoute(await store.readRoute('default'), 'default', route));
  const nowhere = trafficRouteSchema.parse({ pathPrefix: '/nowhere', service: 'nobody' });
  await decideAndCommit(store, async () => putRoute(await store.readRoute('nowhere'), 'nowhere', nowhere));
  backend = createServer((_req, res) => void setTimeout(() => res.end('hello'), 2));
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`;
  const input = instanceInputSchema.parse({ url, ttl: '10m' });
  await createRedisRegistrar({ store, redis: commands, service: 'shop', id: 'a', input }).register();
  await startDispatcher();
}, 60_000);

afterAll(async () => {
  await dispatcher.end(9_500);
  await connections.stop();
  backend.closeAllConnections();
  backend.close();
  await redis.stop();
  await rm(stateDir, { recursive: true, force: true });
});

describe('two workers under a supervisor', () => {
  it('are renewed one by one without a failed request, and no counter goes backwards', async () => {
    const before = workerPids();
    expect(before).toHaveLength(2);
    const loads = [load(true), load(false)];
    await eventually(async () => (await requestsCounted()) > 100, { timeoutMs: 10_000 });
    const refused = JSON.parse((await ask(ports.traffic, '/nowhere')).text) as { requestId: string };
    const counted = [await requestsCounted()];

    dispatcher.signal('SIGHUP');
    await eventually(
      async () => {
        counted.push(await requestsCounted());
        return before.every((pid) => !isThere(pid));
      },
      { timeoutMs: 60_000, intervalMs: 100 },
    );

    await twoAreReady();
    const [kept, fresh] = await Promise.all(loads.map((one) => one.stop()));
    expect([kept?.failures, fresh?.failures]).toEqual([[], []]);
    expect([kept?.repeated, fresh?.repeated]).toEqual([0, 0]);
    expect(kept?.answered).toBeGreaterThan(100);
    expect(fresh?.answered).toBeGreaterThan(100);
    expect(counted).toEqual(counted.toSorted((one, other) => one - other));
    expect(await requestsCounted()).toBe((kept?.answered ?? 0) + (fresh?.answered ?? 0) + 1);
    const why = await ask(ports.control, `/v1/requests/${refused.requestId}/why`);
    expect([why.status, why.text]).toEqual([200, expect.stringContaining('"route":"nowhere"')]);
  }, 90_000);

  it('go on when one is killed: its own connections break, the next one works, and it is back', async () => {
    const [victim = 0] = workerPids();
    const kept = load(true);
    await eventually(async () => (await requestsCounted()) > 0);

    process.kill(victim, 'SIGKILL');
    await eventually(() => !isThere(victim));

    for (let turn = 0; turn < 20; turn += 1) expect((await ask(ports.traffic, '/x')).status).toBe(200);
    await twoAreReady();
    const { failures, answered } = await kept.stop();
    expect(failures.length).toBeLessThanOrEqual(clients);
    expect(answered).toBeGreaterThan(100);
    expect(workerPids()).not.toContain(victim);
  }, 60_000);

  it('go on when one freezes, and it is replaced', async () => {
    const [victim = 0] = workerPids();
    process.kill(victim, 'SIGSTOP');

    for (let turn = 0; turn < 20; turn += 1) expect((await ask(ports.traffic, '/x')).status).toBe(200);
    await eventually(() => !isThere(victim), { timeoutMs: 10_000 });

    await eventually(() => expect(dispatcher.output()).toMatch(/"why":"it gave no sign of life for \d+ ms"/));
    await twoAreReady();
  }, 60_000);

  it('finish what is under way and leave no process behind when their supervisor is told to stop', async () => {
    const pids = workerPids();
    const under = ask(ports.traffic, '/x');
    await new Promise((resolve) => setTimeout(resolve, 20));
    dispatcher.signal('SIGTERM');

    expect((await under).status).toBe(200);
    await dispatcher.ended();

    expect(pids.filter(isThere)).toEqual([]);
    await eventually(() => expect(dispatcher.output()).toMatch(/"clean":true[^\n]*service\.stopped/));
    await startDispatcher();
  }, 60_000);

  it('do not outlive a supervisor that is killed', async () => {
    const pids = workerPids();
    expect(pids).toHaveLength(2);
    dispatcher.signal('SIGKILL');
    await dispatcher.ended();

    await eventually(() => !pids.some(isThere), { timeoutMs: 12_000, what: 'the end of the workers' });
    await startDispatcher();
  }, 60_000);
});
