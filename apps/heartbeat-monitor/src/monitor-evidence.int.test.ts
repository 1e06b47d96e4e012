// How fast, by what, and who is spared: doubts, deadlines, crowds and damping on a real Redis.
import type { Doubt, SwitchyardEvent } from '@switchyard/protocol';
import { eventually, freePort, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { pause, startFleet, startListener, startMonitor, typesOf } from './monitor-fixture.ts';
import type { Fleet, TestMonitor } from './monitor-fixture.ts';

const evidenceOf = (event: SwitchyardEvent | undefined): Record<string, unknown> =>
  (event?.data as { evidence?: Record<string, unknown> } | undefined)?.evidence ?? {};

describe('a monitor that leads', () => {
  let redis: TestRedis;
  let fleet: Fleet;
  let monitor: TestMonitor;
  let listener: Awaited<ReturnType<typeof startListener>>;
  let refusing: string;
  beforeAll(async () => {
    redis = await startRedis();
    fleet = startFleet(redis.port);
    listener = await startListener();
    refusing = `http://127.0.0.1:${await freePort()}`;
    for (let n = 0; n < 12; n += 1) await fleet.add('base', `i${n}`, { url: listener.url });
    monitor = await startMonitor({ id: 'm1', port: redis.port });
    await pause(1_100);
  });
  afterAll(async () => {
    await monitor.stop();
    await fleet.stop();
    await redis.stop();
    listener.server.close();
  });
  const becomes = (member: string, liveness: string, timeoutMs = 5_000): Promise<unknown> =>
    eventually(async () => expect(await fleet.liveness(member)).toBe(liveness), { timeoutMs, intervalMs: 10 });
  const doubt = (id: string, witness: string): Doubt => ({
    service: 'doubted',
    id,
    because: 'connection-closed',
    detail: 'its connection ended',
    witness,
  });

  it('evicts who is doubted and refuses within moments, and leaves alone who answers', async () => {
    await fleet.add('doubted', 'dead', { url: refusing, ttl: '60s' });
    await fleet.add('doubted', 'well', { url: listener.url, ttl: '60s' });
    await eventually(() => expect(monitor.status().leader).toBe(true));
    const fromMs = performance.now();
    // the view may still lack it: whoever doubts says so again
    const timer = setInterval(() => {
      for (const id of ['dead', 'well']) monitor.doubt(doubt(id, 'registry-1'));
    }, 20);
    try {
      await becomes('doubted/dead', 'dead', 2_000);
    } finally {
      clearInterval(timer);
    }
    // 60 s before its deadline
    expect(performance.now() - fromMs).toBeLessThan(1_000);
    const evicted = (await fleet.events('doubted/dead')).at(-1);
    expect(evidenceOf(evicted)).toMatchObject({
      because: 'probe-failed',
      detail: 'its connection ended (seen by registry-1), and its address refuses connections',
      witnesses: [{ because: 'connection-closed', by: 'registry-1' }],
      localHealth: expect.any(Number),
    });
    expect(typesOf(await fleet.events('doubted/well'))).toEqual(['instance.registered']);
  });

  it('knows by heartbeats alone within a TTL and a moment', async () => {
    await fleet.add('beats', 'killed', { url: refusing, ttl: '700ms' });
    await fleet.add('beats', 'frozen', { url: listener.url, ttl: '700ms' });
    for (let n = 0; n < 3; n += 1) await fleet.add('beats', `i${n}`, { url: listener.url, ttl: '700ms' });
    await pause(400);
    fleet.silence('beats/killed', 'beats/frozen');
    const fromMs = performance.now();
    const took = async (member: string, liveness: string) => {
      await becomes(member, liveness);
      return performance.now() - fromMs;
    };

    const tookMs = await Promise.all([took('beats/killed', 'dead'), took('beats/frozen', 'suspect')]);

    // 800 ms on a machine that does nothing else
    for (const ms of tookMs) expect(ms).toBeLessThan(1_500);
    fleet.wake('beats/frozen');
    await becomes('beats/frozen', 'alive');
  });

  it('holds a silent crowd that answers, and says so once for each', async () => {
    const members = Array.from({ length: 12 }, (_, n) => `crowd/i${n}`);
    for (const member of members) await fleet.add('crowd', member.slice(6), { url: listener.url });
    await pause(300);
    fleet.silence(...members);

    await eventually(async () => {
      const held = (await fleet.events()).filter(({ type }) => type === 'instance.held');
      expect(held.map(({ subject }) => subject).sort()).toEqual(members.toSorted());
    });
    await pause(1_500);

    const events = (await fleet.events()).filter(({ subject }) => subject.startsWith('crowd/'));
    expect(typesOf(events)).not.toContain('instance.evicted');
    expect(events.filter(({ type }) => type === 'instance.held')).toHaveLength(12);
    fleet.wake(...members);
    for (const member of members) await becomes(member, 'alive');
  });

  it('ends the damping of an instance when its time is over', async () => {
    await fleet.add('flaps', 'a', { url: listener.url });
    const instance = await fleet.store.readInstance('flaps', 'a');
    if (!instance) throw new Error('it was registered');
    const { revision, ...stored } = instance;
    const damped = { ...stored, flaps: { penalty: 3, atMs: Date.now() - 60_000 }, dampedUntilMs: Date.now() + 500 };
    await fleet.store.commit({
      expect: [{ kind: 'instance', key: 'flaps/a', revision }],
      writes: [{ kind: 'instance', key: 'flaps/a', document: damped }],
      service: 'flaps',
      event: { type: 'instance.updated', subject: 'flaps/a', data: { instance: damped } },
    });

    await eventually(async () => {
      expect(evidenceOf((await fleet.events('flaps/a')).at(-1))).toMatchObject({ because: 'settled' });
    });
    expect(await fleet.store.readInstance('flaps', 'a')).not.toHaveProperty('dampedUntilMs');
  });
});
