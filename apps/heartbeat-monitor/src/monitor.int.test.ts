import type { CatalogStore } from '@switchyard/catalog';
import { putService } from '@switchyard/catalog';
import { keys, leases, servicePolicySchema } from '@switchyard/protocol';
import type { SwitchyardEvent } from '@switchyard/protocol';
import { decideAndCommit } from '@switchyard/redis';
import { eventually, freePort, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { pause, startFleet, startListener, startMonitor, typesOf } from './monitor-fixture.ts';
import type { Fleet, TestMonitor } from './monitor-fixture.ts';

const evidenceOf = (event: SwitchyardEvent | undefined): Record<string, unknown> =>
  (event?.data as { evidence?: Record<string, unknown> } | undefined)?.evidence ?? {};
const atMs = (event: SwitchyardEvent | undefined): number => Date.parse(event?.time ?? '');

describe('a monitor', () => {
  let redis: TestRedis;
  let fleet: Fleet;
  let monitor: TestMonitor;
  let listener: Awaited<ReturnType<typeof startListener>>;
  beforeAll(async () => {
    redis = await startRedis();
    fleet = startFleet(redis.port);
    listener = await startListener();
    // enough of them that those of a test are no crowd
    for (let n = 0; n < 20; n += 1) await fleet.add('base', `i${n}`, { url: listener.url });
    monitor = await startMonitor({ id: 'm1', port: redis.port });
    expect(monitor.status()).toMatchObject({ leader: true });
    // past the grace of the start
    await pause(1_100);
  });
  afterAll(async () => {
    await monitor.stop();
    await fleet.stop();
    await redis.stop();
    listener.server.close();
  });
  const becomes = (member: string, liveness: string | undefined, timeoutMs = 5_000): Promise<unknown> =>
    eventually(async () => expect(await fleet.liveness(member)).toBe(liveness), { timeoutMs });

  it('evicts who is silent and whose address refuses, with its evidence', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    for (const id of ['a', 'b']) await fleet.add('dead', id, { url });
    fleet.silence('dead/a');
    const silentFromMs = Date.now();

    await becomes('dead/a', 'dead');

    expect(Date.now() - silentFromMs).toBeLessThan(2_000);
    const events = await fleet.events('dead/a');
    expect(typesOf(events)).toEqual(['instance.registered', 'instance.suspected', 'instance.evicted']);
    expect(evidenceOf(events[2])).toMatchObject({
      because: 'probe-failed',
      detail: expect.stringMatching(/^no heartbeat for \d\.\d s, and its address refuses connections$/),
      probes: [{ kind: 'tcp', outcome: 'refused', tookMs: expect.any(Number) }],
      monitor: 'm1',
      fencingToken: monitor.status().fencingToken,
      silentForMs: expect.any(Number),
    });
    expect(await fleet.store.readInstance('dead', 'a')).toMatchObject({
      livenessReason: evidenceOf(events[2])['detail'],
    });
    expect(await fleet.liveness('dead/b')).toBe('alive');
  });

  it('suspects who is silent but answers, and evicts it after a second TTL', async () => {
    for (const id of ['a', 'b', 'c']) await fleet.add('quiet', id, { url: listener.url });
    fleet.silence('quiet/a');

    await becomes('quiet/a', 'suspect');
    await eventually(() => expect(monitor.status().suspects).toEqual([{ member: 'quiet/a', held: null }]));
    await becomes('quiet/a', 'dead');

    const events = await fleet.events('quiet/a');
    expect(typesOf(events)).toEqual(['instance.registered', 'instance.suspected', 'instance.evicted']);
    expect(atMs(events[2]) - atMs(events[1])).toBeGreaterThanOrEqual(350);
    expect(evidenceOf(events[2])).toMatchObject({
      because: 'silence',
      detail: expect.stringMatching(/^no heartbeat for \d\.\d s, although its address answers$/),
    });
  });

  it('revives a suspect that is heard again, by a heartbeat or by a registration', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) await fleet.add('back', id, { url: listener.url });
    fleet.silence('back/a', 'back/b');
    await Promise.all([becomes('back/a', 'suspect'), becomes('back/b', 'suspect')]);

    fleet.wake('back/a');
    await fleet.add('back', 'b', { url: listener.url, version: '2' });

    await Promise.all([becomes('back/a', 'alive'), becomes('back/b', 'alive')]);
    await pause(700);
    for (const [id, because] of [
      ['a', 'heartbeat'],
      ['b', 'registered'],
    ]) {
      const events = await fleet.events(`back/${id}`);
      expect(typesOf(events)).toEqual(['instance.registered', 'instance.suspected', 'instance.revived']);
      expect(evidenceOf(events[2])).toMatchObject({ because });
    }
  });

  it('takes a dead one back that registers again, in its next incarnation', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    for (const id of ['a', 'b']) await fleet.add('again', id, { url });
    fleet.silence('again/a');
    await becomes('again/a', 'dead');

    await fleet.add('again', 'a', { url: listener.url });

    expect(await fleet.store.readInstance('again', 'a')).toMatchObject({ liveness: 'alive', incarnation: 2 });
  });

  it('keeps the record of a dead one for as long as its service says, then removes it with its reason', async () => {
    const policy = servicePolicySchema.parse({ reapAfter: '1s' });
    await decideAndCommit(fleet.store, async () =>
      putService(await fleet.store.readService('reaped'), 'reaped', policy),
    );
    const url = `http://127.0.0.1:${await freePort()}`;
    for (const id of ['a', 'b']) await fleet.add('reaped', id, { url });
    fleet.silence('reaped/a');

    await becomes('reaped/a', 'dead');
    await becomes('reaped/a', undefined);

    const events = await fleet.events('reaped/a');
    expect(typesOf(events).slice(-2)).toEqual(['instance.evicted', 'instance.reaped']);
    expect(atMs(events.at(-1)) - atMs(events.at(-2))).toBeGreaterThanOrEqual(1_000);
    expect(events.at(-1)?.data).toEqual({
      service: 'reaped',
      id: 'a',
      reason: expect.stringMatching(/^dead since .*Z: no heartbeat for .* refuses connections$/),
    });
    expect(await fleet.liveness('dead/a')).toBe('dead');
  });

  it('lets a whole crowd go that is truly dead, more than it probes at once', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const members = Array.from({ length: 150 }, (_, n) => `crowd/i${n}`);
    for (const member of members) await fleet.add('crowd', member.slice(6), { url });
    fleet.silence(...members);

    await eventually(
      async () => {
        const { instances } = await fleet.store.snapshot();
        const dead = instances.filter(({ service, liveness }) => service === 'crowd' && liveness === 'dead');
        expect(dead).toHaveLength(150);
      },
      { timeoutMs: 8_000, intervalMs: 100 },
    );

    const evicted = (await fleet.events()).filter(
      ({ type, subject }) => type === 'instance.evicted' && subject.startsWith('crowd/'),
    );
    // each by its own first probe: none was taken for answered because others came before it
    for (const event of evicted) {
      expect(evidenceOf(event)).toMatchObject({ because: 'probe-failed', probes: [{ outcome: 'refused' }] });
    }
    expect(evicted).toHaveLength(150);
    expect((await fleet.events()).filter(({ subject }) => subject.startsWith('base/')).map(({ type }) => type)).toEqual(
      Array.from({ length: 20 }, () => 'instance.registered'),
    );
  });
});

describe('two monitors', () => {
  let redis: TestRedis;
  let fleet: Fleet;
  const monitors: TestMonitor[] = [];
  beforeEach(async () => {
    redis = await startRedis();
    fleet = startFleet(redis.port);
    const url = `http://127.0.0.1:${await freePort()}`;
    for (let n = 0; n < 8; n += 1) await fleet.add('shop', `i${n}`, { url });
  });
  afterEach(async () => {
    await Promise.all(monitors.splice(0).map((one) => one.stop()));
    await fleet.stop();
    await redis.stop();
  });
  const start = async (id: string, more: object = {}): Promise<TestMonitor> => {
    const monitor = await startMonitor({ id, port: redis.port, ...more });
    monitors.push(monitor);
    return monitor;
  };
  const evictions = async (): Promise<[string, unknown][]> =>
    (await fleet.events())
      .filter(({ type }) => type === 'instance.evicted')
      .map((event) => [event.subject, evidenceOf(event)['monitor']]);

  it('act as one: the leader evicts, the other takes over when it is killed, and at once when it stops', async () => {
    const first = await start('first');
    const second = await start('second');
    expect([first.status().leader, second.status().leader]).toEqual([true, false]);
    fleet.silence('shop/i0');
    await eventually(async () => expect(await evictions()).toEqual([['shop/i0', 'first']]));

    const killedMs = Date.now();
    await first.crash();
    fleet.silence('shop/i1');
    await eventually(async () =>
      expect(await evictions()).toEqual([
        ['shop/i0', 'first'],
        ['shop/i1', 'second'],
      ]),
    );
    // the lease (400 ms) or the TTL (500 ms), whichever is later, then a probe: no grace, the second one has watched
    expect(Date.now() - killedMs).toBeLessThan(2_000);
    expect(first.status().leader).toBe(false);
    expect(second.status().fencingToken).toBeGreaterThan(first.status().fencingToken);

    const third = await start('third', { leaseMs: 60_000 });
    expect(third.status().leader).toBe(false);
    await second.stop();
    await eventually(() => expect(third.status().leader).toBe(true), { timeoutMs: 300 });
  });

  it('never both act: what a leader decided before it stalled is refused when another one leads', async () => {
    let letGo: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const asked: string[] = [];
    const outcomes: string[] = [];
    const through = (store: CatalogStore): CatalogStore => ({
      ...store,
      async commit(commit, fence) {
        asked.push(commit.event.type);
        await gate;
        const outcome = await store.commit(commit, fence);
        outcomes.push(outcome.type);
        return outcome;
      },
    });
    const stalled = await start('stalled', { through });
    fleet.silence('shop/i0', 'shop/i1');
    // decided, and on its way (still in the grace of its start: a refused connection is proof enough)
    await eventually(() => expect(asked).toEqual(['instance.evicted', 'instance.evicted']));
    fleet.wake('shop/i0', 'shop/i1');
    const { fencingToken } = stalled.status();
    const takeOver = "redis.call('SET', KEYS[1], 'other', 'PX', 5000) return redis.call('INCR', KEYS[2])";
    const [lease, fence] = [keys.lease(leases.monitor), keys.fence(leases.monitor)];
    expect(await redis.cli('EVAL', takeOver, 2, lease, fence)).toBe(fencingToken + 1);

    letGo();

    await eventually(() => expect(outcomes).toEqual(['fenced', 'fenced']));
    expect(await fleet.liveness('shop/i0')).toBe('alive');
    expect(typesOf(await fleet.events('shop/i0'))).toEqual(['instance.registered']);
  });
});
