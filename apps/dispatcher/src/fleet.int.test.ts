// Two dispatchers as processes, on one Redis, in front of one back end: is the answer the same whichever is asked, and is an
// instance told by both when they have let it go?
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { putRoute, type CatalogStore } from '@switchyard/catalog';
import { instanceInputSchema, trafficRouteSchema, type DrainView } from '@switchyard/protocol';
import {
  createCatalogStore,
  createRedis,
  createRedisRegistrar,
  decideAndCommit,
  type RedisConnections,
  type RedisRegistrar,
} from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, startOwned, startRedis, type OwnedProcess, type TestRedis } from '@switchyard/testing';

const main = fileURLToPath(new URL('main.ts', import.meta.url));

interface Dispatcher {
  readonly id: string;
  readonly process: OwnedProcess;
  readonly own: string;
  readonly traffic: string;
}
interface Shown {
  readonly dispatchers: readonly { id: string; self: boolean; ageMs: number; stale: boolean; url: string }[];
  readonly partial: boolean;
  readonly problems: readonly string[];
}

let redis: TestRedis;
let connections: RedisConnections;
let store: CatalogStore;
let stateDir: string;
let origin: Server;
let registrar: RedisRegistrar;
let d1: Dispatcher;
let d2: Dispatcher;
const waiting: ServerResponse[] = [];
/** Keys of the payments that came; each other one dies. */
const paid: string[] = [];

const get = (url: string, headers = {}): Promise<Response> =>
  fetch(url, { signal: AbortSignal.timeout(5_000), headers });
/** A keyed POST to the same address at either dispatcher: fetch would not let its Host be chosen. */
const pay = (dispatcher: Dispatcher, key: string, requestId: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = { host: 'bank.example', 'idempotency-key': key, 'x-request-id': requestId };
    request(`${dispatcher.traffic}/pay`, { method: 'POST', headers, agent: false, timeout: 5_000 }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    })
      .on('error', reject)
      .end('{"amount":1}');
  });
const json = async <T>(url: string, headers = {}): Promise<T> => (await (await get(url, headers)).json()) as T;

async function startDispatcher(id: string): Promise<Dispatcher> {
  const ports = { own: await freePort(), traffic: await freePort(), control: await freePort() };
  const owned = await startOwned({
    command: process.execPath,
    args: [main],
    env: {
      PATH: process.env['PATH'],
      SWITCHYARD_REDIS_URL: redis.url,
      SWITCHYARD_INSTANCE_ID: id,
      SWITCHYARD_STATE_DIR: join(stateDir, id),
      SWITCHYARD_DISPATCHER_PORT: String(ports.own),
      SWITCHYARD_DISPATCHER_TRAFFIC_PORT: String(ports.traffic),
      SWITCHYARD_DISPATCHER_CONTROL_PORT: String(ports.control),
    },
  });
  return { id, process: owned, own: `http://127.0.0.1:${ports.own}`, traffic: `http://127.0.0.1:${ports.traffic}` };
}

beforeAll(async () => {
  redis = await startRedis();
  connections = createRedis(
    { kind: 'single', endpoint: { host: redis.host, port: redis.port }, group: 'main' },
    { logger: createLogger('fleet-test', { level: 'silent' }), name: 'fleet-test' },
  );
  const commands = connections.connect('commands');
  store = createCatalogStore(commands, 'fleet-test');
  stateDir = await mkdtemp(join(tmpdir(), 'switchyard-fleet-'));
  await eventually(() => commands.ping());
  await decideAndCommit(store, () =>
    Promise.resolve(putRoute(undefined, 'default', trafficRouteSchema.parse({ service: 'shop' }))),
  );
  origin = createServer((req, res) => {
    if (req.url === '/wait') waiting.push(res);
    else if (req.url === '/pay' && paid.push(req.headers['idempotency-key'] as string) % 2 === 1) req.socket.destroy();
    else res.end('here');
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
  const input = instanceInputSchema.parse({ url });
  registrar = createRedisRegistrar({ store, redis: commands, service: 'shop', id: 'a', input });
  expect((await registrar.register()).ok).toBe(true);
  [d1, d2] = await Promise.all([startDispatcher('d1'), startDispatcher('d2')]);
  for (const one of [d1, d2]) {
    await eventually(async () => (await get(one.traffic)).ok, { timeoutMs: 20_000, what: one.process.output() });
  }
}, 40_000);

afterAll(async () => {
  await Promise.all([d1, d2].map((one) => one.process.end(3_000)));
  await connections.stop();
  origin.closeAllConnections();
  origin.close();
  await redis.stop();
  await rm(stateDir, { recursive: true, force: true });
});

const drained = async (): Promise<DrainView> => {
  const view = await registrar.drained();
  if (!view.ok) throw new Error(view.error.detail);
  return view.value;
};

describe('two dispatchers', () => {
  it('show each other, whichever is asked: itself as it is, the other as of a second ago', async () => {
    for (const [one, other] of [
      [d1, d2],
      [d2, d1],
    ] as const) {
      const shown = await eventually(async () => {
        const all = await json<Shown>(`${one.own}/v1/dispatchers`);
        return all.dispatchers.length === 2 && all;
      });
      expect(shown).toMatchObject({
        dispatchers: [
          { id: one.id, self: true, ageMs: 0, stale: false },
          { id: other.id, self: false, stale: false, url: other.own, instances: expect.any(Array) },
        ],
        partial: false,
        problems: [],
      });
      expect(shown.dispatchers[1]?.ageMs).toBeLessThan(3_000);
      expect(await json(`${one.own}/v1/dispatchers/${other.id}`)).toMatchObject({ id: other.id, self: false });
    }
    expect((await get(`${d1.own}/v1/dispatchers/nobody`)).status).toBe(404);
  });

  it('know of each other what went wrong, and ask in one direction only', async () => {
    await decideAndCommit(store, () =>
      Promise.resolve(
        putRoute(undefined, 'nowhere', trafficRouteSchema.parse({ pathPrefix: '/n', service: 'nobody' })),
      ),
    );
    await eventually(async () => (await get(`${d2.traffic}/n`, { 'x-request-id': 'why-me' })).status === 503);

    const why = await json(`${d1.own}/v1/requests/why-me/why`);
    expect(why).toMatchObject({ requestId: 'why-me', dispatcher: 'd2', status: 503, code: 'no_instance' });
    const { requests } = await json<{ requests: { requestId: string; dispatcher: string }[] }>(
      `${d1.own}/v1/requests?limit=100`,
    );
    expect(requests).toContainEqual(expect.objectContaining({ requestId: 'why-me', dispatcher: 'd2' }));
    const asked = await get(`${d1.own}/v1/requests/why-me/why`, { 'switchyard-asked-by': 'd2' });
    expect(asked.status).toBe(404);
    const unknown = await json<{ why: string[] }>(`${d1.own}/v1/requests/never/why`);
    expect(unknown.why.join('\n')).toContain('1 others');
  });

  it('repeat a keyed POST that may have been carried out once, whichever of them it comes to', async () => {
    const { url } = (await store.readInstance('shop', 'a')) ?? {};
    const commands = connections.connect('commands');
    await eventually(() => commands.ping());
    for (const id of ['x', 'y']) {
      const input = instanceInputSchema.parse({ url });
      await createRedisRegistrar({ store, redis: commands, service: 'bank', id, input }).register();
    }
    const route = trafficRouteSchema.parse({ pathPrefix: '/pay', service: 'bank' });
    await decideAndCommit(store, () => Promise.resolve(putRoute(undefined, 'pay', route)));
    for (const { own } of [d1, d2]) {
      await eventually(async () => {
        const test = await json(`${own}/v1/routes:test?method=POST&url=http://bank.example/pay`);
        expect(test).toMatchObject({ service: 'bank', candidates: [{ picked: true }, {}] });
      });
    }

    expect(await pay(d1, 'key-1', 'first')).toBe(200);
    expect(paid).toEqual(['key-1', 'key-1']);
    expect(await pay(d2, 'key-1', 'second')).toBe(502);
    expect(paid).toHaveLength(3);

    const why = await json<{ why: string[] }>(`${d1.own}/v1/requests/second/why`);
    expect(why.why.join('\n')).toContain('was granted to request first at d1');
  });

  it('both say at once that they have let an instance go, and when their last request there is over', async () => {
    const slow = get(`${d1.traffic}/wait`);
    await eventually(() => waiting.length === 1);
    const startedMs = performance.now();

    await registrar.drain('the instance stops');

    const half = await eventually(
      async () => {
        const view = await drained();
        return view.dispatchers.length === 2 && view.dispatchers.every((one) => one.acknowledged) && view;
      },
      { intervalMs: 5 },
    );
    expect(performance.now() - startedMs).toBeLessThan(700);
    expect(half).toMatchObject({ done: false, inFlight: 1, tunnels: 0 });
    expect((await get(d2.traffic)).status).toBe(503);
    const endedMs = performance.now();
    waiting.pop()?.end('done');
    expect(await (await slow).text()).toBe('done');
    await eventually(async () => (await drained()).done, { intervalMs: 5 });
    expect(performance.now() - endedMs).toBeLessThan(700);
  });

  it('go on when one is killed: it is not waited for, shown as stale, and asked in vain', async () => {
    d2.process.signal('SIGKILL');
    await d2.process.ended();
    await eventually(async () => (await drained()).dispatchers.some(({ id, live }) => id === 'd2' && !live), {
      timeoutMs: 8_000,
    });
    expect(await drained()).toMatchObject({ done: true, problems: [expect.stringMatching(/^d2 was not heard/)] });
    const unknown = await json<{ why: string[] }>(`${d1.own}/v1/requests/why-me/why`);
    expect(unknown.why.join('\n')).toMatch(/d2 was asked at .* and gave no answer: /);
    await eventually(
      async () => {
        const { dispatchers } = await json<Shown>(`${d1.own}/v1/dispatchers`);
        expect(dispatchers[1]).toMatchObject({ id: 'd2', stale: true });
      },
      { timeoutMs: 8_000 },
    );
  }, 20_000);

  it('answer for themselves when Redis is gone, and say that others are not known', async () => {
    await redis.kill();

    const shown = await json<Shown>(`${d1.own}/v1/dispatchers`);

    expect(shown).toMatchObject({ dispatchers: [{ id: 'd1', self: true }], partial: true });
    expect(shown.problems).toEqual([expect.stringContaining('other dispatchers are not known')]);
    expect((await get(`${d1.own}/v1/dispatchers/d2`)).status).toBe(503);
    expect(await json(`${d1.own}/v1/requests`)).toMatchObject({ partial: true });
  });
});
