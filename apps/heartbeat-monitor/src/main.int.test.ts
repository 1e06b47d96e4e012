// Does the process start without Redis, say on what it waits, take over from a leader that was killed, and end cleanly?
import { fileURLToPath } from 'node:url';
import { eventually, freePort, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess } from '@switchyard/testing';
import { startFleet } from './monitor-fixture.ts';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
/** Docker's patience is 10 s. */
const endsWithinMs = 8_000;

describe('the heartbeat-monitor as a process', () => {
  const started: OwnedProcess[] = [];
  afterEach(async () => {
    await Promise.all(started.splice(0).map((one) => one.end(100)));
  });

  const start = async (id: string, env: NodeJS.ProcessEnv) => {
    const port = await freePort();
    const owned = await startOwned({
      command: process.execPath,
      args: [main],
      env: {
        PATH: process.env['PATH'],
        SWITCHYARD_MONITOR_PORT: String(port),
        SWITCHYARD_INSTANCE_ID: id,
        SWITCHYARD_MONITOR_LEASE: '300ms',
        ...env,
      },
    });
    started.push(owned);
    const get = async (path: string): Promise<{ status: number; body: Record<string, unknown> }> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(5_000) });
      const text = await response.text();
      return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : {} };
    };
    await eventually(async () => (await get('/livez')).status === 200, { timeoutMs: 15_000, what: 'the listener' });
    const status = async () => ((await get('/v1/monitors')).body['monitors'] as Record<string, unknown>[])[0];
    return { owned, get, status };
  };
  const expectCleanEnd = async (owned: OwnedProcess): Promise<void> => {
    const startedMs = performance.now();
    owned.signal('SIGTERM');
    await owned.ended();
    expect(performance.now() - startedMs).toBeLessThan(endsWithinMs);
    // the last lines may come after the end
    await eventually(() => expect(owned.output()).toContain('service.stopped'));
    expect(owned.output()).toContain('"clean":true,"msg":"service.stopped"');
    expect(owned.output()).not.toMatch(/service\.crashed|component\.unclean|Unhandled|ioredis\]/);
  };

  it('stays up without Redis, says that it waits for it, and ends cleanly', async () => {
    const { owned, get, status } = await start('m1', { SWITCHYARD_REDIS_URL: `redis://127.0.0.1:${await freePort()}` });

    const ready = await get('/readyz');

    expect(ready).toMatchObject({ status: 503, body: { why: ['sweeps: waiting for Redis: no sweep yet'] } });
    expect(await status()).toMatchObject({
      id: 'm1',
      leader: false,
      fencingToken: 0,
      lastSweepAgoMs: null,
      localHealth: 0,
      suspects: [],
      checks: { instances: 0, failing: [] },
      doubts: { heard: 0, dropped: 0, refused: 0 },
    });
    await expectCleanEnd(owned);
  });

  it('does not start on a Redis that may throw the catalog away, and says how to mend it', async () => {
    const redis = await startRedis({ args: ['--maxmemory-policy', 'volatile-lru'] });
    const port = String(await freePort());
    try {
      const owned = await startOwned({
        command: process.execPath,
        args: [main],
        env: { PATH: process.env['PATH'], SWITCHYARD_MONITOR_PORT: port, SWITCHYARD_REDIS_URL: redis.url },
      });
      started.push(owned);

      await owned.ended();

      await eventually(() => expect(owned.output()).toContain('service.start_failed'));
      expect(owned.output()).toContain(`127.0.0.1:${redis.port} cannot hold the catalog`);
      expect(owned.output()).toContain('CONFIG SET maxmemory-policy noeviction');
    } finally {
      await redis.stop();
    }
  });

  it('takes over from a leader that was killed, and evicts what died meanwhile', async () => {
    const redis = await startRedis();
    const fleet = startFleet(redis.port);
    try {
      const url = `http://127.0.0.1:${await freePort()}`;
      for (let n = 0; n < 8; n += 1) await fleet.add('shop', `i${n}`, { url });
      const first = await start('first', { SWITCHYARD_REDIS_URL: redis.url });
      await eventually(async () => expect(await first.status()).toMatchObject({ leader: true }));
      const second = await start('second', { SWITCHYARD_REDIS_URL: redis.url });
      await eventually(async () => expect((await second.get('/readyz')).status).toBe(200));
      expect(await second.status()).toMatchObject({ leader: false });
      const { fencingToken: before } = (await first.status()) as { fencingToken: number };

      first.owned.signal('SIGKILL');
      fleet.silence('shop/i0');

      await eventually(async () => expect(await fleet.liveness('shop/i0')).toBe('dead'));
      expect(await second.status()).toMatchObject({ leader: true, fencingToken: before + 1 });
      expect(await fleet.liveness('shop/i1')).toBe('alive');
      await expectCleanEnd(second.owned);
    } finally {
      await fleet.stop();
      await redis.stop();
    }
  });
});
