// The whole dispatcher as a process, on a real Redis, in front of real back ends: seen from outside only.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { patchInstance, putRoute, type CatalogStore } from '@switchyard/catalog';
import { instanceInputSchema, problemSchema, trafficRouteSchema } from '@switchyard/protocol';
import {
  createCatalogStore,
  createRedis,
  createRedisRegistrar,
  decideAndCommit,
  type Redis,
  type RedisConnections,
} from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, startOwned, startRedis, type OwnedProcess, type TestRedis } from '@switchyard/testing';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
const ids = ['a', 'b', 'c'] as const;

let redis: TestRedis;
let connections: RedisConnections;
let commands: Redis;
let store: CatalogStore;
let stateDir: string;
let ports: { readonly own: number; readonly traffic: number; readonly control: number };
const backends: Server[] = [];
const processes: OwnedProcess[] = [];

const traffic = (path: string): string => `http://127.0.0.1:${ports.traffic}${path}`;
const control = (path: string): string => `http://127.0.0.1:${ports.control}${path}`;
const get = (url: string): Promise<Response> => fetch(url, { signal: AbortSignal.timeout(5_000), redirect: 'manual' });
const seen = async (count: number): Promise<string> => {
  let letters = '';
  for (let turn = 0; turn < count; turn += 1) {
    const answer = await get(traffic('/whoami'));
    expect(answer.status).toBe(200);
    letters += answer.headers.get('switchyard-instance') ?? '-';
  }
  return letters;
};

async function startDispatcher(): Promise<OwnedProcess> {
  const owned = await startOwned({
    command: process.execPath,
    args: [main],
    env: {
      PATH: process.env['PATH'],
      SWITCHYARD_REDIS_URL: redis.url,
      SWITCHYARD_STATE_DIR: stateDir,
      SWITCHYARD_DISPATCHER_PORT: String(ports.own),
      SWITCHYARD_DISPATCHER_TRAFFIC_PORT: String(ports.traffic),
      SWITCHYARD_DISPATCHER_CONTROL_PORT: String(ports.control),
    },
  });
  processes.push(owned);
  await eventually(async () => (await get(control('/livez'))).ok, { timeoutMs: 20_000, what: owned.output() });
  return owned;
}

async function register(id: string, more: object = {}): Promise<void> {
  const server = createServer((req, res) => {
    if (req.url === '/slow') setTimeout(() => res.end(`slow ${id}`), 400);
    else res.end(`${id} ${req.url}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  backends.push(server);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const input = instanceInputSchema.parse({ url, ...more });
  const registered = await createRedisRegistrar({ store, redis: commands, service: 'shop', id, input }).register();
  expect(registered.ok).toBe(true);
}

async function putTrafficRoute(name: string, route: object): Promise<void> {
  const document = trafficRouteSchema.parse(route);
  const written = await decideAndCommit(store, async () => putRoute(await store.readRoute(name), name, document));
  expect(written.ok).toBe(true);
}

beforeAll(async () => {
  redis = await startRedis();
  connections = createRedis(
    { kind: 'single', endpoint: { host: redis.host, port: redis.port }, group: 'main' },
    { logger: createLogger('dispatcher-test', { level: 'silent' }), name: 'dispatcher-test' },
  );
  commands = connections.connect('commands');
  store = createCatalogStore(commands, 'dispatcher-test');
  stateDir = await mkdtemp(join(tmpdir(), 'switchyard-dispatcher-'));
  ports = { own: await freePort(), traffic: await freePort(), control: await freePort() };
  await eventually(() => commands.ping());
  await putTrafficRoute('default', { service: 'shop' });
  for (const id of ids) await register(id);
  await startDispatcher();
}, 40_000);

afterAll(async () => {
  await Promise.all(processes.map((one) => one.end(3_000)));
  await connections.stop();
  for (const server of backends) {
    server.closeAllConnections();
    server.close();
  }
  await redis.stop();
  await rm(stateDir, { recursive: true, force: true });
});

describe('a dispatcher', () => {
  it('sends traffic to every instance in turn', async () => {
    await eventually(async () => (await get(traffic('/whoami'))).ok, { timeoutMs: 10_000 });
    expect([...new Set((await seen(9)).split(''))].sort()).toEqual([...ids]);
  });

  it('takes a new weight at once: 5:1:1 is exactly that in every seven', async () => {
    const patched = await decideAndCommit(store, async () =>
      patchInstance(await store.readInstance('shop', 'a'), { service: 'shop', id: 'a' }, { weight: 5 }),
    );
    expect(patched.ok).toBe(true);
    await eventually(async () => (await seen(7)).split('a').length === 6);
    const letters = await seen(14);
    for (let start = 0; start + 7 <= letters.length; start += 1) {
      const window = letters.slice(start, start + 7);
      expect(window.split('').sort().join('')).toBe('aaaaabc');
    }
  });

  it('shows itself, its pages, its API and its metrics at the control listener', async () => {
    const state = (await (await get(control('/v1/dispatchers'))).json()) as { dispatchers: { instances: object[] }[] };
    expect(state.dispatchers[0]?.instances).toEqual(
      expect.arrayContaining([expect.objectContaining({ service: 'shop', id: 'a', picked: true, why: null })]),
    );
    expect(await (await get(control('/'))).text()).toContain('<code>a</code>');
    const api = (await (await get(control('/v1/openapi.json'))).json()) as {
      paths: object;
      'x-switchyard-missing': string[];
    };
    expect(Object.keys(api.paths)).toContain('/v1/routes:test');
    expect(api['x-switchyard-missing']).toContain('registry');
    expect(await (await get(control('/docs'))).text()).toContain('/v1/dispatchers');
    expect(await (await get(control('/metrics'))).text()).toMatch(
      /switchyard_dispatcher_instance_requests_total\{service="shop",instance="a"\} \d+/,
    );
    await eventually(async () => {
      const ready = await (await get(control('/readyz?verbose'))).json();
      expect(ready).toMatchObject({ ready: true, checks: { table: { ok: true } } });
    });
  });

  it('says where a request would go and whom a client should ask', async () => {
    expect(await (await get(control('/v1/routes:test?method=POST&url=http://x/y'))).json()).toMatchObject({
      route: 'default',
      service: 'shop',
      candidates: [{ id: 'a', picked: true }, { id: 'b' }, { id: 'c' }],
    });
    const keyed = await Promise.all(
      [1, 2, 3].map(
        async () =>
          (await (await get(control('/v1/services/shop/pick?key=bob'))).json()) as { instance: { id: string } },
      ),
    );
    expect(new Set(keyed.map(({ instance }) => instance.id)).size).toBe(1);
    expect(await (await get(control('/v1/services/shop/pick?policy=round-robin'))).json()).toMatchObject({
      policy: 'round-robin',
      expiresInMs: 1_000,
    });
  });

  it.each([
    ['/v1/services', 503, 'no_instance'],
    ['/v1/services/none/pick', 404, 'not_found'],
    ['/v1/services/shop/pick?policy=magic', 400, 'invalid_input'],
    ['/v1/services/shop/pick?nonsense=1', 400, 'invalid_input'],
    ['/v1/routes:test', 400, 'invalid_input'],
    ['/v1/routes:test?url=nonsense', 400, 'invalid_input'],
    ['/v1/requests?limit=-1', 400, 'invalid_input'],
    ['/v1/requests/unknown/why', 404, 'not_found'],
    ['/nonsense', 404, 'not_found'],
    ['/%00', 404, 'not_found'],
    ['/v1/requests/%ff/why', 400, 'malformed_request'],
  ])('answers nonsense with a problem: %s', async (path, status, code) => {
    const answer = await get(control(path));
    expect(answer.headers.get('content-type')).toMatch(/application\/problem\+json/);
    const problem = problemSchema.parse(await answer.json());
    expect([answer.status, problem.status, problem.code]).toEqual([status, status, code]);
    expect(JSON.stringify(problem)).not.toMatch(/node_modules|\.ts:\d/);
  });

  it('redirects where a route says so, and explains a request that found nobody', async () => {
    await putTrafficRoute('redirected', { pathPrefix: '/r', service: 'shop', action: 'redirect', redirectStatus: 302 });
    await putTrafficRoute('nowhere', { pathPrefix: '/n', service: 'nobody' });
    const redirect = await eventually(async () => {
      const answer = await get(traffic('/r/x?y=1'));
      return answer.status === 302 && answer;
    });
    expect(redirect.headers.get('location')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/r\/x\?y=1$/);
    const refused = await eventually(async () => {
      const answer = await fetch(traffic('/n'), { headers: { 'x-request-id': 'why-me' } });
      return answer.status === 503 && answer;
    });
    expect(await refused.json()).toMatchObject({
      code: 'no_instance',
      requestId: 'why-me',
      why: ['no instance of nobody is registered'],
    });
    expect(await (await get(control('/v1/requests/why-me/why'))).json()).toMatchObject({
      end: 'refused',
      status: 503,
      route: 'nowhere',
    });
  });

  it('goes on when Redis is emptied, and when it is gone, and says so', async () => {
    await redis.cli('FLUSHALL');
    await eventually(async () => {
      const { dispatchers } = (await (await get(control('/v1/dispatchers'))).json()) as {
        dispatchers: { table: { keptInstances: number } }[];
      };
      return (dispatchers[0]?.table.keptInstances ?? 0) >= 3;
    });
    expect([...new Set((await seen(14)).split(''))].sort()).toEqual([...ids]);
    await putTrafficRoute('default', { service: 'shop' });
    for (const id of ids) await register(id);
    await eventually(async () =>
      (await get(control('/v1/dispatchers'))).text().then((text) => !text.includes('"keptInstances":3')),
    );

    await redis.kill();
    expect([...new Set((await seen(14)).split(''))].sort()).toEqual([...ids]);
    await eventually(
      async () => {
        const ready = (await (await get(control('/readyz?verbose'))).json()) as {
          ready: boolean;
          checks: { table: { ok: boolean; detail: string } };
        };
        expect(ready).toMatchObject({
          ready: true,
          checks: { table: { ok: false, detail: expect.stringContaining('Redis does not answer') } },
        });
      },
      { timeoutMs: 8_000 },
    );
  }, 30_000);

  it('finishes what is under way on SIGTERM, and starts again without Redis', async () => {
    const [running] = processes;
    const slow = get(traffic('/slow'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    running?.signal('SIGTERM');
    expect(await (await slow).text()).toMatch(/^slow /);
    await running?.ended();
    await startDispatcher();
    expect([...new Set((await seen(9)).split(''))].sort()).toEqual([...ids]);
    expect(await (await get(control('/v1/dispatchers'))).json()).toMatchObject({
      dispatchers: [{ table: { source: 'disk' } }],
    });
  }, 40_000);
});
