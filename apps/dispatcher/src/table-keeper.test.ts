import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMeters } from '@switchyard/proxy';
import { createLogger } from '@switchyard/runtime';
import { eventually, manualClock } from '@switchyard/testing';
import { fakeFeed, instanceOf, policyOf, snapshotOf, type FakeFeed } from './catalog-fixture.ts';
import { createTableFile } from './table-file.ts';
import { checkOf } from './table-health.ts';
import { createTableKeeper, type TableKeeper } from './table-keeper.ts';

const logger = createLogger('dispatcher-test', { level: 'silent' });
const head = { method: 'GET', host: '', path: '/', headers: [] };
let dir: string;
let path: string;
let clock: ReturnType<typeof manualClock>;
const started: TableKeeper[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'switchyard-table-'));
  path = join(dir, 'state', 'table.json');
  clock = manualClock();
});
afterEach(async () => {
  for (const keeper of started.splice(0)) await keeper.stop?.();
  await rm(dir, { recursive: true });
});

async function keeperOn(feed: FakeFeed): Promise<TableKeeper> {
  const file = createTableFile(path);
  const keeper = createTableKeeper({ feed, file, meters: createMeters(), random: () => 0, clock, logger });
  await keeper.start?.(new AbortController().signal);
  started.push(keeper);
  return keeper;
}
const idsIn = (keeper: TableKeeper): string =>
  keeper
    .current()
    ?.services.get('shop')
    ?.picker.candidates.map(({ id }) => id)
    .join('') ?? '';

describe('the table', () => {
  it('follows every change by replacing itself, and leaves what did not change alone', async () => {
    const feed = fakeFeed();
    const keeper = await keeperOn(feed);
    expect(keeper.current()).toBeUndefined();
    feed.reset(snapshotOf([instanceOf('a'), instanceOf('b'), instanceOf('x', { service: 'other' })]));
    const first = keeper.current();
    expect(idsIn(keeper)).toBe('ab');
    feed.event('instance.evicted', { instance: instanceOf('b', { liveness: 'dead' }) });
    const second = keeper.current();
    expect([idsIn(keeper), second === first, second?.revision]).toEqual(['a', false, 11]);
    expect(first?.services.get('shop')?.picker.candidates).toHaveLength(2);
    expect(second?.services.get('other')).toBe(first?.services.get('other'));
    expect(second?.router).toBe(first?.router);
  });

  it('tells of an instance that the catalog gave up when it is not picked any more', async () => {
    const feed = fakeFeed();
    const told: string[] = [];
    const keeper = createTableKeeper({
      feed,
      file: createTableFile(path),
      meters: createMeters(),
      onGone: ({ id, reason }) => told.push(`${id}: ${reason}, left: ${idsIn(keeper)}`),
      random: () => 0,
      clock,
      logger,
    });
    await keeper.start?.(new AbortController().signal);
    started.push(keeper);
    feed.reset(snapshotOf([instanceOf('a'), instanceOf('b'), instanceOf('c')]));
    feed.event('instance.evicted', { instance: instanceOf('b', { liveness: 'dead', livenessReason: 'silent' }) });
    // another epoch that lost them all gives nobody up: they are alive and register again
    feed.reset(snapshotOf([], { epoch: 2 }));
    expect(told).toEqual(['b: it was evicted: silent, left: ac']);
  });

  it('follows routes, and the number of attempts of a service', async () => {
    const feed = fakeFeed();
    const keeper = await keeperOn(feed);
    feed.reset(snapshotOf([instanceOf('a')]));
    feed.event('route.updated', { name: 'api', route: { pathPrefix: '/api', service: 'api', action: 'proxy' } });
    expect(keeper.current()?.router.route({ ...head, path: '/api/x' })).toMatchObject({
      route: 'api',
      rules: { attempts: 3 },
    });
    feed.event('service.updated', { name: 'api', policy: policyOf({ retry: { attempts: 5 } }) });
    expect(keeper.current()?.router.route({ ...head, path: '/api/x' })).toMatchObject({ rules: { attempts: 5 } });
    feed.event('route.deleted', { name: 'api' });
    expect(keeper.current()?.router.route({ ...head, path: '/api/x' })).toMatchObject({ route: 'default' });
  });

  it('is kept without limit while Redis is away, and says how old it is', async () => {
    const feed = fakeFeed();
    const keeper = await keeperOn(feed);
    feed.reset(snapshotOf([instanceOf('a')]));
    feed.age(86_400_000);
    expect([idsIn(keeper), keeper.status().ageMs]).toEqual(['a', 86_400_000]);
    expect(checkOf(keeper.status())).toMatchObject({
      ok: false,
      critical: false,
      detail: expect.stringMatching(/that is 86400 s old \([^;]+\)$/),
    });
    expect(checkOf(keeper.status(), { probing: true, out: 1 }).detail).toMatch(
      /; instances are probed from here, 1 of them left out$/,
    );
  });
});

describe('a Redis that forgot what it knew', () => {
  it('does not cost an instance its traffic while it registers again, and no longer than that', async () => {
    const feed = fakeFeed();
    const keeper = await keeperOn(feed);
    feed.reset(snapshotOf([instanceOf('a'), instanceOf('b')]));
    feed.reset(snapshotOf([], { epoch: 2, revision: 1, routes: {} }));
    expect([idsIn(keeper), keeper.status().keptInstances]).toEqual(['ab', 2]);
    expect(keeper.current()?.router.route(head)).toMatchObject({ route: 'default' });
    feed.event('instance.registered', { instance: instanceOf('a') });
    expect([idsIn(keeper), keeper.status().keptInstances]).toEqual(['ab', 1]);
    await clock.advance(9_000);
    expect(idsIn(keeper)).toBe('ab');
    await eventually(async () => {
      await clock.advance(1_000);
      expect([idsIn(keeper), keeper.status().keptInstances]).toEqual(['a', 0]);
    });
  });

  it('does not bring back who registered again and then left', async () => {
    const feed = fakeFeed();
    const keeper = await keeperOn(feed);
    feed.reset(snapshotOf([instanceOf('a'), instanceOf('b')]));
    feed.reset(snapshotOf([], { epoch: 2, revision: 1 }));
    feed.event('instance.registered', { instance: instanceOf('a') });
    feed.event('instance.deregistered', { service: 'shop', id: 'a' });
    expect(idsIn(keeper)).toBe('b');
  });

  it('is not mistaken for one that was read late: in the same epoch, gone is gone', async () => {
    const feed = fakeFeed();
    const keeper = await keeperOn(feed);
    feed.reset(snapshotOf([instanceOf('a'), instanceOf('b')]));
    feed.reset(snapshotOf([instanceOf('a')], { revision: 99 }));
    expect(idsIn(keeper)).toBe('a');
  });
});

describe('the saved table', () => {
  it('starts a dispatcher whose Redis is away, until Redis says otherwise', async () => {
    const feed = fakeFeed();
    await keeperOn(feed);
    feed.reset(snapshotOf([instanceOf('a'), instanceOf('b')]));
    await clock.advance(1_500);
    await eventually(() => readFile(path, 'utf8'));
    expect(await readdir(join(dir, 'state'))).toEqual(['table.json']);

    await clock.advance(60_000);
    const later = fakeFeed();
    const second = await keeperOn(later);
    expect([idsIn(second), second.current()?.source]).toEqual(['ab', 'disk']);
    expect(second.status().ageMs).toBeGreaterThanOrEqual(58_000);
    expect(checkOf(second.status())).toMatchObject({
      ok: false,
      critical: false,
      detail: expect.stringContaining('the saved table'),
    });
    later.reset(snapshotOf([instanceOf('a')], { revision: 12 }));
    expect([idsIn(second), second.current()?.source]).toEqual(['a', 'redis']);
  });

  it('has the instances that are kept while Redis has forgotten them', async () => {
    const feed = fakeFeed();
    await keeperOn(feed);
    feed.reset(snapshotOf([instanceOf('a')]));
    feed.reset(snapshotOf([], { epoch: 2, revision: 1, routes: {} }));
    await clock.advance(1_500);
    await eventually(async () => (await readFile(path, 'utf8')).includes('"epoch":2'));
    const second = await keeperOn(fakeFeed());
    expect(idsIn(second)).toBe('a');
    expect(second.current()?.router.route(head)).toMatchObject({ route: 'default' });
  });

  it.each(['', 'nonsense', '{"format":1}', '{"format":2,"instances":[]}'])(
    'that cannot be used (%j) stops nobody',
    async (text) => {
      await createTableFile(path).write(snapshotOf([]), 0);
      await writeFile(path, text);
      const feed = fakeFeed();
      const keeper = await keeperOn(feed);
      expect(keeper.current()).toBeUndefined();
      expect(checkOf(keeper.status())).toMatchObject({ ok: false, critical: true });
    },
  );
});
