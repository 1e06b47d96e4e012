import { createMeters } from '@switchyard/proxy';
import { createLogger } from '@switchyard/runtime';
import { manualClock, type ManualClock } from '@switchyard/testing';
import { fakeFeed, instanceOf, policyOf, snapshotOf, type FakeFeed } from './catalog-fixture.ts';
import { createEjections } from './ejections.ts';
import { createTableKeeper, type TableKeeper } from './table-keeper.ts';
import { pickFrom } from './traffic-policy.ts';

const logger = createLogger('dispatcher-test', { level: 'silent' });
const policy = { slowStart: '10s' };
const started: TableKeeper[] = [];
afterEach(async () => {
  for (const keeper of started.splice(0)) await keeper.stop?.();
});

interface World {
  readonly clock: ManualClock;
  readonly feed: FakeFeed;
  readonly keeper: TableKeeper;
  /** Of so many picks, the part that this instance gets. */
  readonly share: (id: string, picks?: number) => number;
  readonly order: (picks: number) => string;
  readonly weights: () => Readonly<Record<string, number>>;
}

/** a and b have been there since before the dispatcher came. */
async function worldWith(more: object = policy): Promise<World> {
  const clock = manualClock();
  const feed = fakeFeed();
  const file = { read: () => Promise.resolve(undefined), write: () => Promise.resolve() };
  const ejections = createEjections({ clock, logger });
  const keeper = createTableKeeper({ feed, file, meters: createMeters(), ejections, random: () => 0, clock, logger });
  await keeper.start?.(new AbortController().signal);
  started.push(keeper);
  feed.reset(snapshotOf([instanceOf('a'), instanceOf('b')]));
  feed.event('service.updated', { name: 'shop', policy: policyOf(more) });
  const order = (picks: number): string =>
    Array.from({ length: picks }, () => pickFrom(keeper.current(), 'shop', [])?.id ?? '-').join('');
  const candidates = () => keeper.current()?.services.get('shop')?.picker.candidates ?? [];
  return {
    clock,
    feed,
    keeper,
    order,
    share: (id, picks = 4_200) => (order(picks).split(id).length - 1) / picks,
    weights: () => Object.fromEntries(candidates().map(({ id, weight }) => [id, weight])),
  };
}

describe('slow start', () => {
  it('gives a newcomer a share that grows in a straight line, within 5 %, and then its whole one', async () => {
    const { clock, feed, share, weights } = await worldWith();
    feed.event('instance.registered', { instance: instanceOf('c') });
    for (let elapsedMs = 0; elapsedMs < 10_000; elapsedMs += 130) {
      const line = Math.max(0.1, elapsedMs / 10_000);
      const fair = line / (2 + line);
      // the weight that explains the share: two others have 1 each
      const seen = share('c');
      expect(Math.abs((2 * seen) / (1 - seen) - line)).toBeLessThanOrEqual(0.05);
      expect(Math.abs(seen - fair)).toBeLessThanOrEqual(0.05);
      await clock.advance(130);
    }
    await clock.advance(200);
    expect(weights()).toEqual({ a: 1, b: 1, c: 1 });
  });

  it('looks again only while somebody is warming up', async () => {
    const { clock, feed, keeper } = await worldWith();
    await clock.advance(0);
    const resting = clock.sleepers();
    feed.event('instance.registered', { instance: instanceOf('c') });
    expect(clock.sleepers()).toBe(resting + 1);
    let tables = 0;
    let last = keeper.current();
    for (let elapsedMs = 0; elapsedMs < 20_000; elapsedMs += 10) {
      await clock.advance(10);
      if (keeper.current() !== last) tables += 1;
      last = keeper.current();
    }
    expect([tables, clock.sleepers()]).toEqual([20, resting]);
  });

  it('leaves the others in their turns when a weight takes its next step', async () => {
    const { clock, feed, order } = await worldWith();
    feed.event('instance.registered', { instance: instanceOf('c') });
    let turns = '';
    for (let step = 0; step < 120; step += 1) {
      turns += order(7);
      await clock.advance(100);
    }
    expect(turns.replaceAll('c', '')).not.toMatch(/aaa|bbb/);
    expect(Math.abs(turns.split('a').length - turns.split('b').length)).toBeLessThanOrEqual(20);
  });

  it.each([
    ['was suspected and is alive again', 'instance.suspected', { liveness: 'suspect' as const }],
    ['was in maintenance', 'instance.updated', { intent: 'maintenance' as const }],
    ['was evicted', 'instance.evicted', { liveness: 'dead' as const }],
  ] as const)('begins anew for one that %s', async (_title, type, out) => {
    const { feed, weights } = await worldWith();
    feed.event(type, { instance: instanceOf('b', out) });
    feed.event('instance.revived', { instance: instanceOf('b') });
    expect(weights()).toEqual({ a: 1, b: 0.1 });
  });

  it('begins anew for another process under the same id', async () => {
    const { clock, feed, weights } = await worldWith();
    feed.event('instance.registered', { instance: instanceOf('b', { incarnation: 2 }) });
    expect(weights()).toEqual({ a: 1, b: 0.1 });
    await clock.advance(5_000);
    feed.event('instance.updated', { instance: instanceOf('b', { incarnation: 2, zone: 'z' }) });
    expect(weights()).toEqual({ a: 1, b: 0.5 });
  });

  it('begins anew for one that comes back from an ejection', async () => {
    const clock = manualClock();
    const feed = fakeFeed();
    const ejections = createEjections({ clock, logger });
    const file = { read: () => Promise.resolve(undefined), write: () => Promise.resolve() };
    const keeper = createTableKeeper({ feed, file, meters: createMeters(), ejections, random: () => 0, clock, logger });
    await keeper.start?.(new AbortController().signal);
    started.push(keeper);
    feed.reset(snapshotOf([instanceOf('a'), instanceOf('b')]));
    feed.event('service.updated', { name: 'shop', policy: policyOf(policy) });
    const target = pickFrom(keeper.current(), 'shop', ['a']);
    if (target === undefined) throw new Error('b was not picked');
    ejections.observe({ target, outcome: 'connect', reason: 'it refused the connection' }, 2);
    await clock.advance(1_000);
    ejections.look();
    const { picker } = keeper.current()?.services.get('shop') ?? {};
    expect(picker?.candidates.map(({ id, weight }) => [id, weight])).toEqual([
      ['a', 1],
      ['b', 0.1],
    ]);
  });

  it('is not for those who were there when the dispatcher came', async () => {
    const { weights } = await worldWith();
    expect(weights()).toEqual({ a: 1, b: 1 });
  });

  it('is not for what came between the saved table and the first one of Redis', async () => {
    const clock = manualClock();
    const feed = fakeFeed();
    const services = { shop: { document: policyOf(policy), revision: 1 } };
    const saved = { snapshot: { ...snapshotOf([instanceOf('a')]), services }, savedUnixMs: 0 };
    const file = { read: () => Promise.resolve(saved), write: () => Promise.resolve() };
    const keeper = createTableKeeper({ feed, file, meters: createMeters(), random: () => 0, clock, logger });
    await keeper.start?.(new AbortController().signal);
    started.push(keeper);
    feed.reset({ ...snapshotOf([instanceOf('a'), instanceOf('b')], { revision: 12 }), services });
    feed.event('instance.registered', { instance: instanceOf('c') });
    const candidates = keeper.current()?.services.get('shop')?.picker.candidates ?? [];
    expect(candidates.map(({ id, weight }) => `${id} ${weight}`)).toEqual(['a 1', 'b 1', 'c 0.1']);
  });

  it('cancels out while everybody is warming up', async () => {
    const { clock, feed, share, weights } = await worldWith();
    for (const id of ['x', 'y', 'z']) {
      feed.event('instance.registered', { instance: instanceOf(id) });
      await clock.advance(1_000);
    }
    expect(weights()['z']).toBe(0.1);
    for (const id of ['a', 'b']) feed.event('instance.deregistered', { service: 'shop', id });
    expect(weights()).toEqual({ x: 1, y: 1, z: 1 });
    for (const id of ['x', 'y', 'z']) expect(Math.abs(share(id) - 1 / 3)).toBeLessThan(0.01);
    await clock.advance(20_000);
    expect(weights()).toEqual({ x: 1, y: 1, z: 1 });
  });

  it('never stands in the way when suspects have to take the traffic', async () => {
    const { feed, keeper, weights } = await worldWith();
    for (const id of ['a', 'b']) {
      feed.event('instance.suspected', { instance: instanceOf(id, { liveness: 'suspect' }) });
    }
    expect([weights(), keeper.current()?.services.get('shop')?.lastResort]).toEqual([{ a: 1, b: 1 }, true]);
  });

  it.each([
    ['round-robin', { a: 1, b: 1, c: 1 }],
    ['weighted-round-robin', { a: 1, b: 1, c: 4 }],
    ['least-request', { a: 1, b: 1, c: 4 }],
    ['random', { a: 1, b: 1, c: 4 }],
  ] as const)('works with %s, whose policy it has again in the end', async (name, whole) => {
    const { clock, feed, keeper, weights } = await worldWith({ ...policy, policy: name });
    feed.event('instance.registered', { instance: instanceOf('c', { weight: 4 }) });
    expect(weights()).toEqual({ a: 1, b: 1, c: whole.c / 10 });
    await clock.advance(11_000);
    expect(weights()).toEqual({ a: 1, b: 1, c: 4 });
    expect(keeper.current()?.services.get('shop')?.picker.policy).toBe(name);
  });

  it('begins with the share that the policy says, and ends with the policy', async () => {
    const { feed, weights } = await worldWith({ ...policy, slowStartMinPercent: 40 });
    feed.event('instance.registered', { instance: instanceOf('c', { weight: 10 }) });
    expect(weights()).toEqual({ a: 1, b: 1, c: 4 });
    feed.event('service.updated', { name: 'shop', policy: policyOf({}) });
    expect(weights()).toEqual({ a: 1, b: 1, c: 10 });
  });
});
