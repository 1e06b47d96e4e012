import { createMeters } from '@switchyard/proxy';
import { createLogger } from '@switchyard/runtime';
import { manualClock } from '@switchyard/testing';
import { fakeFeed, instanceOf, policyOf, snapshotOf } from './catalog-fixture.ts';
import { createEjections } from './ejections.ts';
import { panicOf, panicsIn } from './panic.ts';
import { createTableKeeper, type TableKeeper } from './table-keeper.ts';
import { pickFrom } from './traffic-policy.ts';

const started: TableKeeper[] = [];
afterEach(async () => {
  for (const keeper of started.splice(0)) await keeper.stop?.();
});

async function world() {
  const lines: string[] = [];
  const logger = createLogger('dispatcher-test', { level: 'info', destination: { write: (line) => lines.push(line) } });
  const clock = manualClock();
  const feed = fakeFeed();
  const ejections = createEjections({ clock, logger });
  const file = { read: () => Promise.resolve(undefined), write: () => Promise.resolve() };
  const keeper = createTableKeeper({ feed, file, meters: createMeters(), ejections, random: () => 0, clock, logger });
  await keeper.start?.(new AbortController().signal);
  started.push(keeper);
  feed.reset(snapshotOf(['a', 'b', 'c', 'd'].map((id) => instanceOf(id))));
  const entry = () => keeper.current()?.services.get('shop');
  const eject = (id: string, instances: number): void => {
    const target = pickFrom(
      keeper.current(),
      'shop',
      ['a', 'b', 'c', 'd'].filter((other) => other !== id),
    );
    if (target) ejections.observe({ target, outcome: 'connect', reason: 'it refused the connection' }, instances);
  };
  const told = (): string[] =>
    lines
      .splice(0)
      .map((line) => JSON.parse(line) as { msg: string; cause?: string })
      .filter(({ msg }) => msg.startsWith('service.panic'))
      .map(({ msg, cause }) => (cause === undefined ? msg : `${msg}: ${cause}`));
  return {
    feed,
    keeper,
    eject,
    told,
    cause: () => {
      const now = entry();
      return now && panicOf(now);
    },
    picked: () => (entry()?.picker.candidates ?? []).map(({ id }) => id).join(''),
  };
}

describe('panic', () => {
  it('begins when ejections would leave fewer than half, ends with the reason, and is told once each time', async () => {
    const { feed, keeper, eject, cause, picked, told } = await world();
    eject('a', 4);
    eject('b', 4);
    expect([picked(), cause(), told()]).toEqual(['cd', undefined, []]);
    feed.event('instance.deregistered', { service: 'shop', id: 'd' });
    expect([picked(), cause(), told()]).toEqual([
      'abc',
      'too many would be left out',
      ['service.panic: too many would be left out'],
    ]);
    expect(panicsIn(keeper.current())).toEqual([{ service: 'shop', cause: 'too many would be left out' }]);
    feed.event('instance.updated', { instance: instanceOf('c', { zone: 'z' }) });
    expect(told()).toEqual([]);
    feed.event('instance.registered', { instance: instanceOf('e') });
    expect([picked(), cause(), told()]).toEqual(['ce', undefined, ['service.panic_over']]);
    expect(panicsIn(keeper.current())).toEqual([]);
  });

  it('is also when suspects take the traffic, and not when there is nobody', async () => {
    const { feed, cause, told } = await world();
    for (const id of ['a', 'b', 'c', 'd']) {
      feed.event('instance.suspected', { instance: instanceOf(id, { liveness: 'suspect' }) });
    }
    expect([cause(), told()]).toEqual(['suspects take the traffic', ['service.panic: suspects take the traffic']]);
    for (const id of ['a', 'b', 'c', 'd'])
      feed.event('instance.evicted', { instance: instanceOf(id, { liveness: 'dead' }) });
    expect([cause(), told()]).toEqual([undefined, ['service.panic_over']]);
  });

  it('ends with the service', async () => {
    const { feed, told } = await world();
    feed.reset(snapshotOf([instanceOf('a', { liveness: 'suspect' })]));
    feed.event('instance.deregistered', { service: 'shop', id: 'a' });
    expect(told()).toEqual(['service.panic: suspects take the traffic', 'service.panic_over']);
  });

  it('heeds what the service allows: one that wants nobody left out has everybody', async () => {
    const { feed, eject, picked, cause } = await world();
    eject('a', 4);
    feed.event('service.updated', { name: 'shop', policy: policyOf({ outlier: { enabled: false } }) });
    expect([picked(), cause()]).toEqual(['abcd', undefined]);
    eject('b', 4);
    expect(picked()).toBe('abcd');
    feed.event('service.updated', { name: 'shop', policy: policyOf({ outlier: { maxEjectedPercent: 75 } }) });
    eject('b', 4);
    eject('c', 4);
    eject('d', 4);
    expect([picked(), cause()]).toEqual(['d', undefined]);
  });
});
