import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import { activatedFrame, goneFrame, instanceFrame, snapshotFrame, startStream } from './discovery-fixture.ts';
import type { TestStream } from './discovery-fixture.ts';
import { createDiscovery } from './discovery.ts';
import type { Discovery, DiscoveryOptions } from './discovery.ts';

const logger = createLogger('test', { level: 'silent' });
const ends: (() => Promise<void>)[] = [];
const stream = async (greeting?: string): Promise<TestStream> => {
  const started = await startStream(greeting);
  ends.push(() => started.stop());
  return started;
};
const client = (registries: readonly TestStream[], more: DiscoveryOptions = {}): Discovery => {
  const registryUrls = registries.map(({ url }) => url);
  const discovery = createDiscovery({ registryUrls, logger, random: () => 0, ...more });
  ends.push(() => discovery.stop());
  return discovery;
};
const idsOf = (discovery: Discovery): string[] =>
  discovery
    .service('shop')
    .instances()
    .map(({ id }) => id)
    .sort();
const picks = (discovery: Discovery, count: number): Set<string | undefined> =>
  new Set(Array.from({ length: count }, () => discovery.service('shop').pick()?.id));

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe('a discovery client', () => {
  it('needs a registry to ask', () => {
    expect(() => createDiscovery({ registryUrls: [] })).toThrow('SWITCHYARD_REGISTRY_URL');
  });

  it('picks from the snapshot in turn, and only those that may take traffic', async () => {
    const registry = await stream(
      snapshotFrame([{ id: 'a' }, { id: 'b' }, { id: 'c', eligible: false, reason: 'draining', intent: 'draining' }]),
    );
    const discovery = client([registry]);
    const shop = discovery.discover('shop');
    expect(shop.pick()).toBeUndefined();
    await shop.ready();
    expect(picks(discovery, 4)).toEqual(new Set(['a', 'b']));
    expect(shop.pick({ exclude: ['a'] })?.id).toBe('b');
    expect(shop.instances().find(({ id }) => id === 'c')?.reason).toBe('draining');
    expect(shop.status()).toMatchObject({ stale: false, epoch: 1, revision: 10, problem: null });
  });

  it('keeps a key with its instance', async () => {
    const discovery = client([await stream(snapshotFrame([{ id: 'a' }, { id: 'b' }, { id: 'c' }]))]);
    const shop = discovery.service('shop');
    await shop.ready();
    const first = shop.pick({ key: 'basket-7' })?.id;
    for (let turn = 0; turn < 5; turn += 1) expect(shop.pick({ key: 'basket-7' })?.id).toBe(first);
  });

  it('follows the events: who comes is picked, who dies or leaves is not', async () => {
    const registry = await stream(snapshotFrame([{ id: 'a' }]));
    const discovery = client([registry]);
    await discovery.service('shop').ready();
    registry.say(instanceFrame('instance.registered', 11, { id: 'b' }));
    await eventually(() => expect(picks(discovery, 4)).toEqual(new Set(['a', 'b'])));
    registry.say(instanceFrame('instance.evicted', 12, { id: 'a', liveness: 'dead' }));
    await eventually(() => expect(picks(discovery, 4)).toEqual(new Set(['b'])));
    registry.say(goneFrame(13, 'b'));
    await eventually(() => expect(idsOf(discovery)).toEqual(['a']));
    expect(picks(discovery, 1)).toEqual(new Set([undefined]));
  });

  it('follows an activation, which changes two instances at once', async () => {
    const standby = { role: 'standby', eligible: false, reason: 'on standby' };
    const registry = await stream(
      snapshotFrame([
        { id: 'a', role: 'active' },
        { id: 'b', ...standby },
      ]),
    );
    const discovery = client([registry]);
    await discovery.service('shop').ready();
    expect(picks(discovery, 4)).toEqual(new Set(['a']));
    registry.say(
      activatedFrame(11, [
        { id: 'a', role: 'standby' },
        { id: 'b', role: 'active' },
      ]),
    );
    await eventually(() => expect(picks(discovery, 4)).toEqual(new Set(['b'])));
  });

  it('picks a suspect when nobody else is left', async () => {
    const suspect = { liveness: 'suspect', eligible: false, reason: 'suspected' };
    const discovery = client([await stream(snapshotFrame([{ id: 'a', ...suspect }]))]);
    await discovery.service('shop').ready();
    expect(discovery.service('shop').pick()?.id).toBe('a');
  });

  it('works from the last table when its only registry has gone, and says that it is stale', async () => {
    const registry = await stream(snapshotFrame([{ id: 'a' }, { id: 'b' }]));
    const discovery = client([registry]);
    await discovery.service('shop').ready();
    await registry.stop();
    await eventually(() => expect(discovery.service('shop').status().stale).toBe(true));
    expect(picks(discovery, 4)).toEqual(new Set(['a', 'b']));
    expect(discovery.service('shop').status()).toMatchObject({ revision: 10, problem: expect.any(String) });
  });

  it('goes on at the next registry from the last event that it has seen', async () => {
    const [one, other] = [await stream(snapshotFrame([{ id: 'a' }])), await stream()];
    const discovery = client([one, other]);
    await discovery.service('shop').ready();
    one.say(instanceFrame('instance.registered', 11, { id: 'b' }));
    one.say('id: 1.14\n\n');
    await eventually(() => expect(idsOf(discovery)).toEqual(['a', 'b']));
    await one.stop();
    await eventually(() => expect(other.asked).toEqual([{ services: 'shop', lastId: '1.14' }]));
    await eventually(() => expect(discovery.service('shop').status().stale).toBe(false));
    other.say(instanceFrame('instance.registered', 15, { id: 'c' }));
    await eventually(() => expect(idsOf(discovery)).toEqual(['a', 'b', 'c']));
  });

  it('takes the snapshot after a reset, and asks for one when it did not come', async () => {
    const registry = await stream(snapshotFrame([{ id: 'a' }]));
    const discovery = client([registry]);
    await discovery.service('shop').ready();
    registry.greeting = snapshotFrame([{ id: 'b' }], { epoch: 2, revision: 3 });
    registry.say('id: 2.3\nevent: reset\ndata: {"epoch":2,"revision":3,"reason":"test"}\n\n');
    registry.cut();
    await eventually(() => expect(idsOf(discovery)).toEqual(['b']));
    expect(registry.asked.at(-1)?.lastId).toBeUndefined();
  });

  it('believes no registry that knows an earlier epoch', async () => {
    const one = await stream(snapshotFrame([{ id: 'a' }], { epoch: 2, revision: 5 }));
    const behind = await stream(snapshotFrame([{ id: 'long-dead' }], { epoch: 1, revision: 20 }));
    const discovery = client([one, behind]);
    await discovery.service('shop').ready();
    // other services are wanted, so a snapshot is asked for
    await one.stop();
    discovery.service('cart');
    await eventually(() => expect(behind.asked.length).toBeGreaterThan(1));
    expect(idsOf(discovery)).toEqual(['a']);
    expect(discovery.service('shop').status()).toMatchObject({ stale: true, epoch: 2, revision: 5 });
  });

  it('passes over what it knows already when a snapshot is a little old', async () => {
    const one = await stream(snapshotFrame([{ id: 'a' }], { revision: 20 }));
    const other = await stream(snapshotFrame([{ id: 'dead' }], { revision: 18 }));
    const discovery = client([one, other]);
    await discovery.service('shop').ready();
    await one.stop();
    discovery.service('cart');
    await eventually(() => expect(discovery.service('cart').status().revision).toBe(18));
    other.say(instanceFrame('instance.evicted', 19, { id: 'a', liveness: 'dead' }));
    other.say(instanceFrame('instance.registered', 21, { id: 'b' }));
    await eventually(() => expect(idsOf(discovery)).toEqual(['a', 'b']));
    expect(picks(discovery, 4)).toEqual(new Set(['a', 'b']));
  });

  it('leaves a connection on which nothing comes any more', async () => {
    const [silent, other] = [await stream(snapshotFrame([{ id: 'a' }])), await stream()];
    const discovery = client([silent, other], { keepAliveMs: 30 });
    await discovery.service('shop').ready();
    await eventually(() => expect(other.asked.length).toBe(1));
  });

  it('has one connection for all services, and ready for one that nobody has registered', async () => {
    const registry = await stream(snapshotFrame([{ id: 'a' }]));
    const discovery = client([registry]);
    const [shop, cart] = [discovery.service('shop'), discovery.service('cart')];
    await Promise.all([shop.ready(), cart.ready()]);
    expect(registry.asked).toEqual([{ services: 'shop,cart', lastId: undefined }]);
    expect(cart.pick()).toBeUndefined();
  });

  it('says what it waits for when no registry answers', async () => {
    const registry = await stream();
    await registry.stop();
    const discovery = client([registry]);
    await expect(discovery.service('shop').ready(100)).rejects.toMatchObject({
      refusal: { code: 'not_ready', why: [expect.stringContaining('ECONNREFUSED')] },
    });
  });

  it('survives nonsense on the stream', async () => {
    const registry = await stream(snapshotFrame([{ id: 'a' }]));
    const discovery = client([registry]);
    await discovery.service('shop').ready();
    registry.say('id: 1.11\nevent: instance.registered\ndata: {"epoch":1,"revision":11,"data":{"instance":7}}\n\n');
    await eventually(() => expect(registry.asked.length).toBe(2));
    expect(idsOf(discovery)).toEqual(['a']);
    await eventually(() => expect(discovery.service('shop').status().stale).toBe(false));
  });

  it('starts from its file when no registry answers', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'switchyard-discovery-'));
    ends.push(() => rm(folder, { recursive: true }));
    const cacheFile = join(folder, 'deep', 'table.json');
    const registry = await stream(snapshotFrame([{ id: 'a' }, { id: 'b' }]));
    const before = client([registry], { cacheFile });
    await before.service('shop').ready();
    await before.stop();
    await registry.stop();

    const after = client([registry], { cacheFile });
    await after.service('shop').ready();
    expect(picks(after, 4)).toEqual(new Set(['a', 'b']));
    expect(after.service('shop').status()).toMatchObject({ stale: true, revision: 10, ageMs: expect.any(Number) });
  });
});
