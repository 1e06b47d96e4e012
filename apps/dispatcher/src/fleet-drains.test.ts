import { createMeters } from '@switchyard/proxy';
import { createCatalogView } from '@switchyard/catalog';
import { createLogger, systemClock } from '@switchyard/runtime';
import type { DispatcherDrains } from '@switchyard/protocol';
import { eventually } from '@switchyard/testing';
import { fakeFeed, instanceOf, snapshotOf } from './catalog-fixture.ts';
import { createFleetDrains } from './fleet-drains.ts';
import { createFleetPublisher } from './fleet-publisher.ts';
import { dispatcherState } from './fleet-state.ts';
import { tableOf, type RoutingTable } from './routing-table.ts';

const logger = createLogger('test', { level: 'silent' });

function setUp() {
  const meters = createMeters();
  const tableWith = (...instances: Parameters<typeof snapshotOf>[0]): RoutingTable =>
    tableOf({
      view: createCatalogView(snapshotOf(instances)),
      source: 'redis',
      context: { meters, random: () => 0, nowMs: () => 0 },
    });
  return { meters, tableWith };
}

describe('whom a dispatcher does not pick any more', () => {
  it('is who drains, is in maintenance or evicted, with what is still under way there', () => {
    const { meters, tableWith } = setUp();
    const drains = createFleetDrains(meters);
    const one = instanceOf('b', { intent: 'draining', revision: 5 });
    const two = instanceOf('c', { intent: 'maintenance', revision: 6 });
    meters.of('shop', 'b').inFlight = 2;
    meters.of('shop', 'b').tunnels = 1;

    expect(drains.now()).toEqual({ epoch: 0, revision: 0, drains: [], omitted: 0 });
    drains.changed(tableWith(instanceOf('a'), one, two, instanceOf('d', { liveness: 'dead', revision: 7 })));

    expect(drains.now()).toEqual({
      epoch: 1,
      revision: 10,
      drains: [
        { service: 'shop', id: 'b', revision: 5, inFlight: 2, tunnels: 1, direct: false },
        { service: 'shop', id: 'c', revision: 6, inFlight: 0, tunnels: 0, direct: false },
        { service: 'shop', id: 'd', revision: 7, inFlight: 0, tunnels: 0, direct: false },
      ],
      omitted: 0,
    });
    expect(drains.changed(tableWith(instanceOf('a')), 'shop')).toBe(true);
    expect(drains.changed(tableWith(instanceOf('a')), 'shop')).toBe(false);
  });

  it('is also who has gone from the catalog while requests are under way there', () => {
    const { meters, tableWith } = setUp();
    const drains = createFleetDrains(meters);
    meters.of('shop', 'gone').inFlight = 1;
    meters.of('bank', 'closed').tunnels = 1;
    drains.changed(tableWith(instanceOf('a')));

    expect(drains.now().drains).toEqual([
      { service: 'shop', id: 'gone', revision: 0, inFlight: 1, tunnels: 0, direct: false },
      { service: 'bank', id: 'closed', revision: 0, inFlight: 0, tunnels: 1, direct: false },
    ]);
  });

  it('may still get clients that were redirected, or told a moment ago to go there', () => {
    const { meters } = setUp();
    const instances = ['shop', 'bank', 'desk'].map((service) =>
      instanceOf('a', { service, intent: 'draining', revision: 5 }),
    );
    const routes = { straight: { service: 'bank', action: 'redirect' }, default: { service: 'shop' } };
    const view = createCatalogView(snapshotOf(instances, { routes }));
    const drains = createFleetDrains(meters, (service) => service === 'desk');
    drains.changed(tableOf({ view, source: 'redis', context: { meters, random: () => 0, nowMs: () => 0 } }));

    const direct = drains.now().drains.map((one) => [one.service, one.direct]);

    expect(new Map(direct as [string, boolean][])).toEqual(
      new Map([
        ['shop', false],
        ['bank', true],
        ['desk', true],
      ]),
    );
  });

  it('is told of at most 256, the latest ones', () => {
    const { meters, tableWith } = setUp();
    const drains = createFleetDrains(meters);
    const many = Array.from({ length: 300 }, (_, n) => instanceOf(`i${n}`, { intent: 'draining', revision: n + 1 }));
    drains.changed(tableWith(...many));

    const { drains: listed, omitted } = drains.now();

    expect([listed.length, omitted]).toEqual([256, 44]);
    expect(Math.min(...listed.map(({ revision }) => revision))).toBe(45);
  });
});

describe('a dispatcher that tells about itself', () => {
  const start = async (publish: (told: object) => Promise<boolean>) => {
    const { meters, tableWith } = setUp();
    const told: { state?: object; drains: DispatcherDrains }[] = [];
    let withdrawn = 0;
    let table = tableWith(instanceOf('a'));
    const feed = fakeFeed();
    feed.reset(snapshotOf([instanceOf('a')]));
    const keeper = { current: () => table, status: () => ({ table, ageMs: 0, keptInstances: 0 }) };
    const ejections = { countOf: () => 0 };
    const parts = { id: 'd1', version: '1', url: 'http://127.0.0.1:1', keeper, meters, ejections, planes: [] };
    const publisher = createFleetPublisher({
      id: 'd1',
      board: {
        publish: (_id, what) => {
          told.push(what as never);
          return publish(what);
        },
        withdraw: () => {
          withdrawn += 1;
          return Promise.resolve();
        },
      },
      state: () => dispatcherState(parts),
      keeper,
      feed,
      meters,
      clock: systemClock,
      logger,
    });
    await publisher.start?.(new AbortController().signal);
    await eventually(() => told.length > 0);
    const drain = (revision: number): void => {
      table = tableWith(instanceOf('a', { intent: 'draining', revision }));
      feed.event('instance.updated', { instance: instanceOf('a', { intent: 'draining' }) });
    };
    return { publisher, told, meters, drain, withdrawn: () => withdrawn };
  };

  it('says at once that it has let an instance go, and at once when the last request there is over', async () => {
    const { publisher, told, meters, drain, withdrawn } = await start(() => Promise.resolve(true));
    const meter = meters.of('shop', 'a');
    meter.inFlight = 2;
    const startedMs = performance.now();

    drain(11);
    await eventually(() => told.at(-1)?.drains.drains[0]?.inFlight === 2, { intervalMs: 2 });
    expect(told.at(-1)?.drains).toMatchObject({ drains: [{ id: 'a', revision: 11 }] });
    expect(performance.now() - startedMs).toBeLessThan(500);
    const atMs = performance.now();
    meter.inFlight = 0;
    await eventually(() => told.at(-1)?.drains.drains[0]?.inFlight === 0, { intervalMs: 2 });
    expect(performance.now() - atMs).toBeLessThan(500);

    await publisher.stop?.();
    expect(withdrawn()).toBe(1);
    // changes go without the state, which comes once a second
    expect(told.filter(({ state }) => state !== undefined).length).toBeLessThan(told.length);
  });

  it('says again what Redis did not take', async () => {
    let away = false;
    const { publisher, told, drain } = await start(() =>
      away ? Promise.reject(new Error('connect ECONNREFUSED')) : Promise.resolve(true),
    );
    away = true;
    drain(12);
    const before = told.length;
    await eventually(() => told.length > before);
    away = false;

    await eventually(() => told.at(-1)?.drains.drains[0]?.revision === 12 && told.length > before + 1);
    await publisher.stop?.();
  });
});
