// What does each service do while its Redis is gone altogether, and afterwards? One row of docs/failure-modes.md for each.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freePort, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { ask } from '../src/api.ts';
import { steadyLoad } from '../src/load.ts';
import { createSmallStack } from '../src/small-stack.ts';
import type { Running, SmallStack, Witness } from '../src/small-stack.ts';

const AWAY_MS = 15_000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('while Redis is gone', () => {
  let redis: TestRedis;
  let stack: SmallStack;
  let home: string;
  let registry: Running;
  let monitor: Running;
  let manager: Running;
  let worker: Running;
  let demos: Running[];
  let traffic: string;
  let witness: Witness;
  let load: ReturnType<typeof steadyLoad>;
  let goneAtMs = 0;

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'switchyard-e2e-without-redis-'));
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    stack = createSmallStack({ SWITCHYARD_REDIS_URL: redis.url });
    registry = await stack.start('registry', {});
    monitor = await stack.start('heartbeat-monitor', {});
    const [trafficPort, controlPort] = [await freePort(), await freePort()];
    await stack.start('dispatcher', {
      SWITCHYARD_DISPATCHER_TRAFFIC_PORT: String(trafficPort),
      SWITCHYARD_DISPATCHER_CONTROL_PORT: String(controlPort),
      SWITCHYARD_STATE_DIR: join(home, 'dispatcher'),
    });
    traffic = `http://127.0.0.1:${trafficPort}`;
    manager = await stack.start('replication-manager', {
      SWITCHYARD_STATE_DIR: join(home, 'manager'),
      SWITCHYARD_REPLICATION_NODE_NAMES: `r1=127.0.0.1:${redis.port}`,
    });
    worker = await stack.start('backup-worker', {
      SWITCHYARD_BACKUP_REPOSITORY: join(home, 'backups'),
      SWITCHYARD_STATE_DIR: join(home, 'worker'),
    });
    demos = await Promise.all(
      [1, 2, 3].map(() => stack.start('demo-backend', { SWITCHYARD_REGISTRY_URL: registry.url })),
    );
    await eventually(async () => expect(await alive()).toBe(demos.length), { timeoutMs: 20_000 });
    await eventually(async () => expect((await ask(`${traffic}/whoami`)).status).toBe(200), { timeoutMs: 10_000 });
    witness = await stack.watch(registry.url, 'demo-backend');
    load = steadyLoad(`${traffic}/whoami`, 100);
    await pause(1_000);
    await redis.kill();
    goneAtMs = performance.now();
    await pause(3_000);
  });
  afterAll(async () => {
    await stack?.stop();
    await redis?.stop();
    await rm(home, { recursive: true, force: true });
  });

  const instances = async (): Promise<{ status: number; headers: Headers; list: { liveness: string }[] }> => {
    const { status, headers, body } = await ask<{ instances?: { liveness: string }[] }>(
      `${registry.url}/v1/services/demo-backend/instances`,
    );
    return { status, headers, list: body.instances ?? [] };
  };
  const alive = async (): Promise<number> =>
    (await instances()).list.filter(({ liveness }) => liveness === 'alive').length;

  it('the registry answers from memory, says how old that is, and refuses what it could not keep', async () => {
    const { status, headers, list } = await instances();
    expect(status).toBe(200);
    expect(list).toHaveLength(demos.length);
    expect(Number(headers.get('switchyard-stale-ms'))).toBeGreaterThan(1_000);
    const put = await ask(`${registry.url}/v1/services/shop/instances/a`, {
      method: 'PUT',
      body: { url: 'http://127.0.0.1:9' },
    });
    expect([put.status, put.body['code']]).toEqual([503, 'redis_unavailable']);
    const lease = await ask(`${registry.url}/v1/leases/job`, { method: 'PUT', body: { holder: 'me', ttl: '5s' } });
    expect([lease.status, lease.body['code']]).toEqual([503, 'redis_unavailable']);
    expect((await ask(`${registry.url}/livez`)).status).toBe(200);
  });

  it('the monitor judges nobody, and says on what it waits', async () => {
    expect((await ask(`${monitor.url}/livez`)).status).toBe(200);
    await eventually(
      async () => {
        const { text } = await ask(`${monitor.url}/readyz?verbose`);
        expect(text).toContain('there is no connection to Redis');
        expect(text).toMatch(/Redis has not answered a sweep for \d+ s: nobody is evicted/);
      },
      { timeoutMs: 15_000, what: 'a monitor that says what it waits for' },
    );
  });

  it('the instances serve, and their agents go on trying', async () => {
    for (const demo of demos) expect((await ask(`${demo.url}/whoami`)).status).toBe(200);
  });

  it('the replication-manager names what is wrong, has its history, and gives no address of a primary', async () => {
    const group = await ask<{ state: string; problems: { code: string; next: string }[] }>(
      `${manager.url}/v1/redis/groups/main`,
    );
    expect([group.status, group.body.state]).toEqual([200, 'down']);
    expect(group.body.problems.find(({ code }) => code === 'no_primary')?.next).toBeTruthy();
    expect((await ask(`${manager.url}/v1/redis/groups/main/history`)).status).toBe(200);
    const primary = await ask(`${manager.url}/v1/redis/groups/main/primary`);
    expect([primary.status, primary.body['code']]).toEqual([503, 'no_primary']);
  });

  it('the backup-worker lists what is in its repository', async () => {
    expect((await ask(`${worker.url}/livez`)).status).toBe(200);
    expect((await ask(`${worker.url}/v1/backups`)).status).toBe(200);
  });

  it('the dispatcher fails no request; afterwards everybody works again, and nobody was missed', async () => {
    await pause(Math.max(0, AWAY_MS - (performance.now() - goneAtMs)));
    await redis.restart();
    await eventually(
      async () => {
        const { headers } = await instances();
        expect(headers.get('switchyard-stale-ms')).toBeNull();
        expect(await alive()).toBe(demos.length);
        const put = await ask(`${registry.url}/v1/services/shop/instances/a`, {
          method: 'PUT',
          body: { url: 'http://127.0.0.1:9', ttl: '60s', check: { type: 'none' } },
        });
        expect(put.status).toBeLessThan(300);
        expect((await ask(`${manager.url}/v1/redis/groups/main/primary`)).status).toBe(200);
      },
      { timeoutMs: 20_000, what: 'a stack that works again' },
    );
    await pause(4_000);
    const report = await load.stop();
    await witness.stop();

    expect(report.failures).toEqual([]);
    expect(report.sent).toBeGreaterThan(1_000);
    expect(witness.events.filter(({ type }) => /evicted|deregistered|reaped/.test(type))).toEqual([]);
    expect(witness.fewest()).toBe(demos.length);
  });
});
