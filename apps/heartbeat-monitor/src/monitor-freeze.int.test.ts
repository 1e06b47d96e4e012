import { eventually, freePort, startRedis } from '@switchyard/testing';
import { pause, startFleet, startListener, startMonitor, typesOf } from './monitor-fixture.ts';

describe('monitors of a Redis that was frozen', () => {
  it('evict nobody who lived on, and go on watching afterwards', async () => {
    const redis = await startRedis();
    const fleet = startFleet(redis.port);
    const listener = await startListener();
    for (let n = 0; n < 10; n += 1) await fleet.add('shop', `i${n}`, { url: listener.url, ttl: '1s' });
    const refusing = `http://127.0.0.1:${await freePort()}`;
    await fleet.add('shop', 'doomed', { url: refusing, ttl: '1s' });
    const monitors = await Promise.all(['one', 'two'].map((id) => startMonitor({ id, port: redis.port })));
    try {
      await pause(500);

      redis.freeze();
      await pause(4_000);
      redis.resume();

      await eventually(() => {
        for (const monitor of monitors) expect(monitor.status().lastSweepAgoMs).toBeLessThan(500);
      });
      // longer than the grace of two TTLs
      await pause(2_200);
      expect(
        typesOf(await fleet.events()).filter((type) => !['catalog.reset', 'instance.registered'].includes(type)),
      ).toEqual([]);
      expect(monitors.filter((monitor) => monitor.status().leader)).toHaveLength(1);
      fleet.silence('shop/doomed');
      await eventually(async () => expect(await fleet.liveness('shop/doomed')).toBe('dead'));
    } finally {
      await Promise.all(monitors.map((monitor) => monitor.stop()));
      await fleet.stop();
      await redis.stop();
      listener.server.close();
    }
  });
});
