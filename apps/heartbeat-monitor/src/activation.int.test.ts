// A leader that keeps one instance active, on a real Redis, with instances whose processes are killed and frozen.
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { activationOf, putService } from '@switchyard/catalog';
import { instanceInputSchema, servicePolicySchema } from '@switchyard/protocol';
import type { Instance, SwitchyardEvent } from '@switchyard/protocol';
import {
  createCatalogFeed,
  createCatalogStore,
  createEpochKeeper,
  createRedisRegistrar,
  decideAndCommit,
} from '@switchyard/redis';
import { createLogger, systemClock as clock } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { createActivationHooks } from './activation-hooks.ts';
import { createActivation } from './activation.ts';
import { connectTo, startListener, startMonitor } from './monitor-fixture.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
let redis: TestRedis;
const endings: (() => unknown)[] = [];

beforeEach(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
  await redis.stop();
});

/** A monitor with its activation, as main.ts puts them together. */
async function leader(id: string, allowExec: readonly string[] = []) {
  const monitor = await startMonitor({ id, port: redis.port });
  endings.push(() => monitor.stop());
  const connections = connectTo(redis.port, `${id}-activation`);
  endings.push(() => connections.stop());
  const commands = connections.connect('commands');
  const store = createCatalogStore(commands, id);
  const feed = createCatalogFeed({ store, subscriber: connections.connect('subscriber'), clock, logger });
  const keeper = createEpochKeeper({ store, redis: commands, feed, clock, logger });
  const hooks = createActivationHooks({ allowExec, clock, logger });
  const activation = createActivation({ id, monitor, store, feed, hooks, clock, logger });
  const parts = [feed, keeper, activation];
  for (const part of parts) await part.start?.(new AbortController().signal);
  const stop = async (): Promise<void> => {
    for (const part of parts.toReversed()) await part.stop?.();
    await monitor.stop();
    await connections.stop();
  };
  endings.push(stop);
  return { monitor, stop };
}

/** The service, from outside. */
async function shop(policy: object = {}) {
  const connections = connectTo(redis.port, 'shop');
  endings.push(() => connections.stop());
  const commands = connections.connect('commands');
  const store = createCatalogStore(commands, 'shop');
  const mode = servicePolicySchema.parse({ mode: 'active-standby', reapAfter: '60s', ...policy });
  const beating = new Map<string, ReturnType<typeof createRedisRegistrar>>();
  const timer = setInterval(() => {
    for (const registrar of beating.values()) void registrar.beat().catch(() => undefined);
  }, 100);
  endings.push(() => clearInterval(timer));
  const put = async (): Promise<void> => {
    const written = await decideAndCommit(store, async () => putService(await store.readService('shop'), 'shop', mode));
    expect(written.ok).toBe(true);
  };
  await eventually(put);
  const get = (id: string): Promise<Instance | undefined> => store.readInstance('shop', id);
  const events = async (): Promise<SwitchyardEvent[]> => (await store.history(undefined, 1_000)).events.toReversed();
  return {
    store,
    commands,
    get,
    events,
    async register(id: string, more: object = {}) {
      const input = instanceInputSchema.parse({ url: 'http://127.0.0.1:1', ttl: '500ms', ...more });
      const registrar = createRedisRegistrar({ store, redis: commands, service: 'shop', id, input });
      expect(await registrar.register()).toMatchObject({ ok: true });
      beating.set(id, registrar);
      return registrar;
    },
    die: (id: string) => beating.delete(id),
    activation: async () => activationOf(await store.readService('shop')),
    active: (id: string) =>
      eventually(async () => expect(await get(id)).toMatchObject({ role: 'active' }), { what: `${id} being active` }),
    happened: (type: SwitchyardEvent['type'], times = 1) =>
      eventually(
        async () => {
          const found = (await events()).filter((event) => event.type === type);
          expect(found.length).toBeGreaterThanOrEqual(times);
          return found;
        },
        { what: type },
      ),
  };
}

const msOf = (event: SwitchyardEvent | undefined): number => Date.parse(event?.time ?? '');

it('activates one, and another within 100 ms of the eviction of a dead one, which comes back as a standby', async () => {
  await leader('m1');
  const service = await shop();
  const a = await service.register('a', { role: 'active' });
  await service.active('a');
  await service.register('b');
  const before = (await service.get('a'))?.fencingToken ?? 0;
  service.die('a');
  await service.active('b');

  const events = await service.events();
  const evicted = events.find(({ type }) => type === 'instance.evicted');
  const activated = events.findLast(({ type }) => type === 'service.activated');
  expect(msOf(activated) - msOf(evicted)).toBeLessThanOrEqual(100);
  expect(activated?.data).toMatchObject({
    service: 'shop',
    id: 'b',
    previous: { id: 'a', fencingToken: before },
    reason: expect.stringMatching(/^a was evicted/) as unknown,
    evidence: { monitor: 'm1', because: 'probe-failed' },
  });
  const { fencingToken: token = 0 } = (await service.get('b')) ?? {};
  expect(token).toBeGreaterThan(before);
  expect(activated?.data).toMatchObject({ fencingToken: token });
  expect(await service.activation()).toMatchObject({ id: 'b', fencingToken: token });

  await a.register();
  expect(await service.get('a')).toMatchObject({ role: 'standby', liveness: 'alive' });
  expect((await service.get('a'))?.fencingToken).toBeUndefined();
});

it('hands over when the active one drains, and at once when it deregisters', async () => {
  await leader('m1');
  const service = await shop();
  const a = await service.register('a', { role: 'active' });
  await service.active('a');
  const b = await service.register('b');
  await a.drain('the instance stops');
  await service.active('b');
  expect(await service.get('a')).toMatchObject({ role: 'standby', intent: 'draining' });
  await service.register('c');
  await b.deregister('asked');
  await service.active('c');
  expect(await service.get('a')).toMatchObject({ role: 'standby' });
});

it('keeps the active one, and its token, through a wipe of Redis', async () => {
  const { listenerUrl } = await listening();
  await leader('m1');
  const service = await shop();
  for (const id of ['a', 'b'])
    await service.register(id, { url: listenerUrl, role: id === 'a' ? 'active' : 'standby' });
  await service.active('a');
  const before = await service.activation();
  await service.commands.flushall();
  await eventually(async () => expect(await service.activation()).toEqual(before));
  await clock.sleep(600);
  expect(await service.get('a')).toMatchObject({ role: 'active', fencingToken: before?.fencingToken });
  expect(await service.get('b')).toMatchObject({ role: 'standby' });
  expect((await service.events()).map(({ type }) => type)).not.toContain('service.activated');
});

it('ends with one active instance and a higher token when Redis is wiped in the middle of a take-over', async () => {
  await leader('m1');
  await leader('m2');
  const service = await shop();
  await service.register('a', { role: 'active' });
  await service.active('a');
  await service.register('b');
  const before = (await service.activation())?.fencingToken ?? 0;
  service.die('a');
  await service.happened('instance.evicted');
  await service.commands.flushall();
  await service.active('b');
  await clock.sleep(500);

  const { instances } = await service.store.snapshot();
  expect(instances.filter(({ role }) => role === 'active').map(({ id }) => id)).toEqual(['b']);
  expect((await service.get('b'))?.fencingToken).toBeGreaterThan(before);
  expect(await service.activation()).toMatchObject({ id: 'b', fencingToken: (await service.get('b'))?.fencingToken });
});

it('leaves it to one of two monitors, and a dead leader to the other', async () => {
  const first = await leader('m1');
  await leader('m2');
  const service = await shop();
  await service.register('a', { role: 'active' });
  await service.active('a');
  await service.register('b');
  await first.stop();
  service.die('a');
  await service.active('b');
  const activated = (await service.events()).filter(({ type }) => type === 'service.activated');
  expect(activated.map(({ data }) => (data as { id: string }).id)).toEqual(['a', 'b']);
  expect(activated.at(-1)?.data).toMatchObject({ evidence: { monitor: 'm2' } });
});

describe('onActivate', () => {
  it('posts who took over, again while it is not taken, and asks for an instance when none is left', async () => {
    const heard: { body: Record<string, unknown>; key: unknown; auth: unknown }[] = [];
    const webhook = createServer((request, response) => {
      void textOf(request).then((text) => {
        const { 'idempotency-key': key, authorization: auth } = request.headers;
        heard.push({ body: JSON.parse(text) as Record<string, unknown>, key, auth });
        response.writeHead(heard.length === 1 ? 503 : 204).end();
      });
    });
    await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve));
    endings.push(() => webhook.close());
    const url = `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/hook`;
    await leader('m1');
    const service = await shop({ onActivate: { webhook: { url, headers: { authorization: 'Bearer x' } } } });
    await service.register('a');
    await service.active('a');
    await eventually(() => expect(heard).toHaveLength(2));
    const token = (await service.get('a'))?.fencingToken;
    const first = {
      service: 'shop',
      instance: { id: 'a', url: 'http://127.0.0.1:1' },
      fencingToken: token,
      previous: null,
    };
    expect(heard.map(({ body }) => body)).toEqual([expect.objectContaining(first), expect.objectContaining(first)]);
    expect(heard[0]?.key).toBe(heard[1]?.key);
    expect(heard[0]?.auth).toBe('Bearer x');

    service.die('a');
    const [vacated] = await service.happened('service.vacated');
    expect(vacated?.data).toMatchObject({ onActivate: { kind: 'webhook', state: 'started' } });
    await eventually(() => expect(heard).toHaveLength(3));
    expect(heard[2]?.body).toMatchObject({
      instance: null,
      fencingToken: null,
      previous: { id: 'a', fencingToken: token },
    });
    // what was started registers, and is the active one
    await service.register('b');
    await service.active('b');
  });

  it('runs a program that the settings allow, with the news in its environment and on its input', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'switchyard-hook-'));
    endings.push(() => rm(folder, { recursive: true }));
    const [program, out] = [join(folder, 'promote'), join(folder, 'out')];
    await writeFile(
      program,
      `#!/bin/sh\nread -r line\nprintf '%s|%s|%s|%s' "$1" "$SWITCHYARD_INSTANCE" "$SWITCHYARD_REDIS_URL" "$line" > ${out}.new\nmv ${out}.new ${out}\n`,
    );
    await chmod(program, 0o755);
    await leader('m1', [program]);
    const service = await shop({ onActivate: { exec: { command: [program, '$(id); x'] } } });
    await service.register('a');
    const text = await eventually(() => readFile(out, 'utf8'));
    const [argument, instance, secret, line] = text.split('|');
    expect([argument, instance, secret]).toEqual(['$(id); x', 'a', '']);
    expect(JSON.parse(line ?? '')).toMatchObject({ service: 'shop', instance: { id: 'a' } });
  });

  it('refuses a program that the settings do not allow, and says so in the event', async () => {
    await leader('m1');
    const service = await shop({ onActivate: { exec: { command: ['/bin/touch', '/tmp/never'] } } });
    await service.register('a');
    const [activated] = await service.happened('service.activated');
    expect(activated?.data).toMatchObject({
      onActivate: {
        kind: 'exec',
        state: 'refused',
        detail: 'SWITCHYARD_MONITOR_ALLOW_EXEC of this monitor does not name /bin/touch',
      },
    });
  });
});

async function listening(): Promise<{ listenerUrl: string }> {
  const { server, url } = await startListener();
  endings.push(() => server.close());
  return { listenerUrl: url };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
