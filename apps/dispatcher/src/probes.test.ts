import type { ProbeEnd } from '@switchyard/http';
import type { Instance } from '@switchyard/protocol';
import { createMeters } from '@switchyard/proxy';
import { createLogger } from '@switchyard/runtime';
import { manualClock, type ManualClock } from '@switchyard/testing';
import { fakeFeed, instanceOf, snapshotOf, type FakeFeed } from './catalog-fixture.ts';
import { createProbes, type Probes, type ProbesOptions } from './probes.ts';
import { createTableKeeper, type TableKeeper } from './table-keeper.ts';

const stoppers: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stoppers.splice(0).toReversed()) await stop();
});

interface World {
  readonly clock: ManualClock;
  readonly feed: FakeFeed;
  readonly keeper: TableKeeper;
  readonly probes: Probes;
  /** Ids of those that do not answer. */
  readonly broken: Set<string>;
  readonly asked: { readonly id: string; readonly atMs: number }[];
  readonly told: string[];
  /** By so much the dispatcher stood still so far. */
  readonly lag: { ms: number };
  readonly picked: () => string;
  readonly why: (id: string) => string | undefined;
}

const check = { type: 'http', path: '/livez', interval: '1s', timeout: '100ms' } as const;
const four = (): Instance[] => ['a', 'b', 'c', 'd'].map((id) => instanceOf(id, { check }));

async function worldOf(instances: readonly Instance[], more: Partial<ProbesOptions> = {}): Promise<World> {
  const told: string[] = [];
  const write = (line: string): unknown => told.push((JSON.parse(line) as { msg: string }).msg);
  const logger = createLogger('dispatcher-test', { level: 'info', destination: { write } });
  const clock = manualClock();
  const feed = fakeFeed();
  const broken = new Set<string>();
  const asked: { readonly id: string; readonly atMs: number }[] = [];
  const ask = (instance: Instance): Promise<Omit<ProbeEnd, 'heard'>> => {
    asked.push({ id: instance.id, atMs: clock.monotonicMs() });
    return Promise.resolve(
      broken.has(instance.id)
        ? { kind: 'http', outcome: 'refused', tookMs: 1, detail: 'its address refuses connections' }
        : { kind: 'http', outcome: 'answered', tookMs: 1, detail: 'its check answered 200' },
    );
  };
  const common = { afterMs: 2_000, intervalMs: 1_000, timeoutMs: 500, random: () => 0.5, logger };
  const lag = { ms: 0 };
  const lagging = { ...clock, monotonicMs: () => clock.monotonicMs() + lag.ms };
  const probes = createProbes({ feed, probe: ask, ...common, clock: lagging, ...more });
  const file = { read: () => Promise.resolve(undefined), write: () => Promise.resolve() };
  const keeper = createTableKeeper({ feed, file, meters: createMeters(), probes, random: () => 0, clock, logger });
  for (const component of [keeper, probes]) {
    await component.start?.(new AbortController().signal);
    stoppers.push(() => component.stop?.());
  }
  feed.reset(snapshotOf(instances));
  const entry = () => keeper.current()?.services.get('shop');
  return {
    clock,
    feed,
    keeper,
    probes,
    broken,
    asked,
    told,
    lag,
    picked: () => (entry()?.picker.candidates ?? []).map(({ id }) => id).join(''),
    why: (id) => entry()?.whyNot.find((one) => one.id === id)?.reason,
  };
}
/** Time passes, and Redis says nothing meanwhile. */
async function silence({ clock, feed }: World, ms: number, alreadyMs = 0): Promise<void> {
  for (let passedMs = 50; passedMs <= ms; passedMs += 50) {
    feed.age(alreadyMs + passedMs);
    await clock.advance(50);
  }
}
async function talk({ clock, feed }: World, ms: number): Promise<void> {
  feed.age(0);
  for (let passedMs = 0; passedMs < ms; passedMs += 50) await clock.advance(50);
}

describe('probes from the dispatcher', () => {
  it('are not sent while Redis answers, nor for a short silence', async () => {
    const world = await worldOf(four());
    world.broken.add('a');
    await talk(world, 5_000);
    await silence(world, 2_000);
    await talk(world, 5_000);
    expect([world.asked, world.picked()]).toEqual([[], 'abcd']);
  });

  it('take out one that fails three in a row, within three intervals, and bring it back after two answers', async () => {
    const world = await worldOf(four());
    world.broken.add('b');
    await silence(world, 2_100);
    await silence(world, 3_000, 2_100);
    expect([world.picked(), world.why('b')]).toEqual([
      'acd',
      'left out by probes from here: 3 probes in a row failed, the last one: its address refuses connections',
    ]);
    expect(world.probes.status()).toMatchObject({ probing: true, out: 1, ends: { refused: 3 } });
    world.broken.clear();
    await silence(world, 1_000, 5_100);
    expect(world.picked()).toBe('acd');
    await silence(world, 1_000, 6_100);
    expect([world.picked(), world.why('b')]).toEqual(['abcd', undefined]);
    expect(world.told.filter((name) => /prob/.test(name))).toEqual([
      'probes.began',
      'instance.probed_out',
      'instance.probed_in',
    ]);
  });

  it('ask each instance once in each interval of its own, a little sooner at random', async () => {
    const often = instanceOf('a', { check: { type: 'tcp', interval: '200ms' } });
    const never = instanceOf('b', { check: { type: 'none' } });
    const usual = instanceOf('c');
    const world = await worldOf([often, never, usual, instanceOf('d', { intent: 'draining' })]);
    await silence(world, 12_000);
    const count = (id: string): number => world.asked.filter((one) => one.id === id).length;
    expect(count('a')).toBeGreaterThanOrEqual(48);
    expect(count('a')).toBeLessThanOrEqual(56);
    expect(count('c')).toBeGreaterThanOrEqual(9);
    expect(count('c')).toBeLessThanOrEqual(12);
    expect([count('b'), count('d')]).toEqual([0, 0]);
  });

  it('count as the check of an instance asks', async () => {
    const hasty = instanceOf('b', { check: { ...check, fall: 1, rise: 1 } });
    const world = await worldOf([instanceOf('a', { check }), hasty, instanceOf('c'), instanceOf('d')]);
    for (const id of ['a', 'b']) world.broken.add(id);
    await silence(world, 3_400);
    expect([world.why('a'), world.why('b')]).toEqual([
      undefined,
      'left out by probes from here: its probe failed: its address refuses connections',
    ]);
    world.broken.delete('b');
    await silence(world, 1_000, 3_400);
    expect(world.why('b')).toBeUndefined();
  });

  it('never leave fewer than half: then everybody is used again', async () => {
    const world = await worldOf(four());
    for (const id of ['a', 'b']) world.broken.add(id);
    await silence(world, 6_000);
    expect(world.picked()).toBe('cd');
    world.broken.add('c');
    await silence(world, 4_000, 6_000);
    expect([world.picked(), world.keeper.current()?.services.get('shop')?.panic]).toEqual(['abcd', true]);
  });

  it('stand for a while after Redis is back, so that nobody is used whom the catalog could not judge yet', async () => {
    const world = await worldOf(four());
    for (const id of ['a', 'b']) world.broken.add(id);
    await silence(world, 6_000);
    expect(world.picked()).toBe('cd');
    world.broken.delete('a');
    // a answers again, b is evicted by a monitor
    await talk(world, 2_100);
    expect(world.picked()).toBe('acd');
    expect(new Set(world.asked.slice(-2).map(({ id }) => id))).toEqual(new Set(['a', 'b']));
    world.feed.event('instance.evicted', { instance: instanceOf('b', { check, liveness: 'dead' }) });
    await talk(world, 100);
    expect([world.why('b'), world.probes.status()]).toMatchObject(['evicted', { probing: false, out: 0 }]);
    const askedSoFar = world.asked.length;
    await talk(world, 5_000);
    expect(world.asked).toHaveLength(askedSoFar);
  });

  it('are believed no longer than the catalog needs to judge by itself', async () => {
    const world = await worldOf(four());
    world.broken.add('a');
    await silence(world, 6_000);
    // four times its ttl of 3 s
    await talk(world, 11_900);
    expect(world.picked()).toBe('bcd');
    await talk(world, 300);
    expect(world.picked()).toBe('abcd');
  });

  it('stand for one that Redis has forgotten, until it registers again and answers', async () => {
    const world = await worldOf(four());
    world.broken.add('a');
    await silence(world, 6_000);
    world.feed.reset(snapshotOf([], { epoch: 2, revision: 1 }));
    await talk(world, 1_000);
    expect(world.picked()).toBe('bcd');
  });

  it('say nothing against anybody when it was the dispatcher that stood still meanwhile', async () => {
    let asked = 0;
    const world: World = await worldOf(four(), {
      probe: async () => {
        asked += 1;
        world.lag.ms += 600;
        await world.clock.sleep(60);
        return { kind: 'tcp', outcome: 'timeout', tookMs: 60, detail: 'its address gave no answer in 60 ms' };
      },
    });
    await silence(world, 10_000);
    expect([asked > 20, world.picked(), world.probes.status().out]).toEqual([true, 'abcd', 0]);
  });

  it('are bounded: so many at once, those that wait longest first', async () => {
    let atOnce = 0;
    let most = 0;
    const ids = new Set<string>();
    const instances = Array.from({ length: 200 }, (_, index) => instanceOf(`i${index}`));
    const world: World = await worldOf(instances, {
      mostAtOnce: 8,
      probe: async ({ id }) => {
        atOnce += 1;
        most = Math.max(most, atOnce);
        ids.add(id);
        await world.clock.sleep(40);
        atOnce -= 1;
        return { kind: 'tcp', outcome: 'answered', tookMs: 40, detail: 'its port accepts connections' };
      },
    });
    await silence(world, 6_000);
    expect([most, ids.size]).toEqual([8, 200]);
  });

  it('begin at once neither after a start without Redis nor with a pause of the dispatcher', async () => {
    const world = await worldOf(four());
    world.feed.age(60_000);
    await world.clock.advance(1_900);
    expect(world.probes.status().probing).toBe(false);
    await world.clock.advance(200);
    expect(world.probes.status().probing).toBe(true);
  });
});
