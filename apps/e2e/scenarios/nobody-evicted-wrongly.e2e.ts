import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually, startCluster, startSentinelGroup } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { ask } from '../src/api.ts';
import { itUnless, onCluster, ownKey, startStackRedis } from '../src/redis-kind.ts';
import type { StackRedis } from '../src/redis-kind.ts';
import { createSmallStack } from '../src/small-stack.ts';
import type { Relay, Running, SmallStack, Witness } from '../src/small-stack.ts';

// Every instance lives through all of it, so every eviction is a wrong one, and so is every answer that leaves one out.
const INSTANCES = 6;
const BEHIND_THE_RELAY = 4;
const TTL_MS = 1_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('instances that live', () => {
  let redis: StackRedis;
  let stack: SmallStack;
  let registry: Running;
  let monitors: Running[];
  let relay: Relay;
  let witness: Witness;
  const backends: Running[] = [];

  beforeAll(async () => {
    redis = await startStackRedis(['--appendonly', 'no']);
    stack = createSmallStack(redis.env);
    registry = await stack.start('registry', {});
    monitors = await Promise.all([1, 2].map(() => stack.start('heartbeat-monitor', {})));
    relay = await stack.relayTo(registry.url);
    for (let n = 0; n < INSTANCES; n += 1) {
      backends.push(
        await stack.start('demo-backend', {
          SWITCHYARD_REGISTRY_URL: n < BEHIND_THE_RELAY ? relay.url : registry.url,
          SWITCHYARD_DEMO_BEATS: 'registry',
          SWITCHYARD_DEMO_SERVICE: 'shop',
          SWITCHYARD_DEMO_TTL: `${TTL_MS}ms`,
        }),
      );
    }
    await everybodyIsAlive();
  });
  afterAll(async () => {
    await stack?.stop();
    await redis?.stop();
  });
  beforeEach(async () => {
    witness = await stack.watch(registry.url, 'shop');
    await pause(200);
  });
  afterEach(async () => {
    await everybodyIsAlive();
    await witness.stop();
    const wrong = witness.events.filter(({ type }) => /evicted|deregistered|reaped/.test(type));
    expect(wrong).toEqual([]);
    expect(witness.fewest()).toBe(INSTANCES);
  });

  async function everybodyIsAlive(): Promise<void> {
    await eventually(
      async () => {
        const { body } = await ask<{ instances: { liveness: string }[] }>(`${registry.url}/v1/services/shop/instances`);
        const alive = body.instances.filter(({ liveness }) => liveness === 'alive');
        expect(alive).toHaveLength(INSTANCES);
      },
      { timeoutMs: 20_000, what: 'a whole fleet' },
    );
  }
  const leader = async (): Promise<Running> => {
    for (const monitor of monitors) {
      const { body } = await ask<{ monitors: { leader: boolean }[] }>(`${monitor.url}/v1/monitors`);
      if (body.monitors[0]?.leader) return monitor;
    }
    throw new Error('nobody leads');
  };

  it('stay while Redis is frozen', async () => {
    redis.freeze();
    await pause(8 * TTL_MS);
    redis.resume();
    await pause(4 * TTL_MS);
  });

  it('stay when Redis is killed and comes back empty, and nobody sees one of them missing', async () => {
    await redis.kill();
    await pause(2 * TTL_MS);
    await redis.restart();
    await pause(4 * TTL_MS);
  });

  const noOldCopy =
    'a node that comes back with old data copies the new data of its replica, which was promoted meanwhile';
  itUnless(onCluster, noOldCopy)('stay when Redis comes back with what it knew a while ago', async () => {
    const node = await redis.owner();
    const early = join(node.dir, 'early.rdb');
    await node.cli('SAVE');
    await copyFile(join(node.dir, 'dump.rdb'), early);
    await ask(`${registry.url}/v1/services/shop/instances/${backends[0]?.name}`, {
      method: 'PATCH',
      body: { weight: 3, reason: 'after the copy' },
    });
    await pause(3 * TTL_MS);
    await redis.kill();
    await copyFile(early, join(node.dir, 'dump.rdb'));
    await redis.restart();
    await pause(4 * TTL_MS);

    const { body } = await ask<{ weight: number }>(`${registry.url}/v1/services/shop/instances/${backends[0]?.name}`);
    expect(body.weight).toBe(3);
  });

  it('stay when everything in Redis is deleted', async () => {
    await (await redis.owner()).cli('FLUSHALL');
    await pause(4 * TTL_MS);
  });

  it('stay while both monitors are frozen, and after', async () => {
    for (const monitor of monitors) monitor.signal('SIGSTOP');
    await pause(8 * TTL_MS);
    for (const monitor of monitors) monitor.signal('SIGCONT');
    await pause(4 * TTL_MS);
  });

  it('stay while the leading monitor is frozen: the other one leads, and the late one is refused', async () => {
    const first = await leader();
    first.signal('SIGSTOP');
    const other = monitors.find((each) => each !== first);
    await eventually(async () => expect((await leaderAmong([other as Running])).name).toBe(other?.name), {
      timeoutMs: 5_000,
    });
    await pause(4 * TTL_MS);
    first.signal('SIGCONT');
    await pause(3 * TTL_MS);
  });

  it('stay when most of them cannot reach the registry, but answer when they are asked', async () => {
    relay.cut();
    await pause(10 * TTL_MS);
    relay.mend();
    await pause(3 * TTL_MS);
  });

  async function leaderAmong(some: readonly Running[]): Promise<Running> {
    for (const monitor of some) {
      const { body } = await ask<{ monitors: { leader: boolean }[] }>(`${monitor.url}/v1/monitors`);
      if (body.monitors[0]?.leader) return monitor;
    }
    throw new Error('nobody leads');
  }
});

/** A primary with a replica that takes over when it dies. */
async function startFailingGroup(): Promise<{
  readonly env: Record<string, string>;
  primary(): Promise<TestRedis>;
  replicaOf(primary: TestRedis): Promise<TestRedis>;
  stop(): Promise<void>;
}> {
  const found = (node: TestRedis | undefined): TestRedis => {
    if (node === undefined) throw new Error('there is no replica');
    return node;
  };
  if (!onCluster) {
    const group = await startSentinelGroup({ replicas: 1, downAfterMs: 1_000 });
    return {
      env: { SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses },
      primary: () => group.primary(),
      replicaOf: async ({ port }) => found(group.nodes.find((node) => node.port !== port)),
      stop: () => group.stop(),
    };
  }
  const cluster = await startCluster({ nodeTimeoutMs: 1_000 });
  return {
    env: { SWITCHYARD_REDIS_CLUSTER: cluster.addresses },
    primary: () => cluster.ownerOf(ownKey),
    async replicaOf({ port }) {
      const ports = await Promise.all(cluster.nodes.map((node) => node.info('replication', 'master_port')));
      return found(cluster.nodes.find((_, at) => ports[at] === String(port)));
    },
    stop: () => cluster.stop(),
  };
}

describe('instances whose Redis fails over and loses its last second', () => {
  it('stay, with what was written in that second, and no revision comes twice', async () => {
    const group = await startFailingGroup();
    const stack = createSmallStack(group.env);
    try {
      const registry = await stack.start('registry', {});
      await Promise.all([1, 2].map(() => stack.start('heartbeat-monitor', {})));
      const starts = Array.from({ length: 3 }, () =>
        stack.start('demo-backend', {
          SWITCHYARD_REGISTRY_URL: registry.url,
          SWITCHYARD_DEMO_BEATS: 'registry',
          SWITCHYARD_DEMO_SERVICE: 'shop',
          SWITCHYARD_DEMO_TTL: `${TTL_MS}ms`,
        }),
      );
      const [changed] = await Promise.all(starts);
      const path = `${registry.url}/v1/services/shop/instances`;
      const alive = async (): Promise<void> => {
        const { body } = await ask<{ instances: { liveness: string }[] }>(path);
        expect(body.instances.filter(({ liveness }) => liveness === 'alive')).toHaveLength(3);
      };
      await eventually(alive, { timeoutMs: 10_000 });
      const witness = await stack.watch(registry.url, 'shop');
      const primary = await group.primary();
      // the replica is sent away and not let in again; who writes notices nothing
      const replica = await group.replicaOf(primary);
      for (const [name, value] of [
        ['masteruser', 'nobody'],
        ['masterauth', 'wrong'],
      ] as const) {
        await replica.cli('CONFIG', 'SET', name, value);
      }
      await primary.cli('CLIENT', 'KILL', 'TYPE', 'replica');
      const patched = await ask<{ revision: number }>(`${path}/${changed?.name}`, {
        method: 'PATCH',
        body: { weight: 4, reason: 'in the second that is lost' },
      });
      expect(patched.status).toBe(200);
      await pause(500);

      await primary.kill();

      await eventually(async () => (await group.primary()).port !== primary.port, { timeoutMs: 20_000 });
      await eventually(
        async () => {
          const { status } = await ask(`${path}/${changed?.name}`, { method: 'PATCH', body: { weight: 5 } });
          expect(status).toBe(200);
        },
        { timeoutMs: 15_000 },
      );
      await pause(4 * TTL_MS);
      const { body } = await ask<{ weight: number; revision: number }>(`${path}/${changed?.name}`);
      expect(body.weight).toBe(5);
      expect(body.revision).toBeGreaterThan(patched.body.revision + 2 ** 19);
      const { body: past } = await ask<{ events: { type: string; data: { writtenBack?: number } }[] }>(
        `${registry.url}/v1/events?topics=catalog&limit=100`,
      );
      expect(past.events[0]).toMatchObject({ type: 'catalog.reset', data: { writtenBack: 1 } });
      await eventually(alive, { timeoutMs: 10_000 });
      await witness.stop();
      expect(witness.events.filter(({ type }) => /evicted|deregistered|reaped/.test(type))).toEqual([]);
      expect(witness.fewest()).toBe(3);
    } finally {
      await stack.stop();
      await group.stop();
    }
  });
});

describe('instances that die', () => {
  it('are gone within 3 s, when most of a service dies at once', async () => {
    const redis = await startStackRedis();
    const stack = createSmallStack(redis.env);
    try {
      const registry = await stack.start('registry', {});
      await Promise.all([1, 2].map(() => stack.start('heartbeat-monitor', {})));
      const backends: Running[] = [];
      for (let n = 0; n < 5; n += 1) {
        backends.push(
          await stack.start('demo-backend', {
            SWITCHYARD_REGISTRY_URL: registry.url,
            SWITCHYARD_DEMO_BEATS: 'registry',
            SWITCHYARD_DEMO_SERVICE: 'shop',
          }),
        );
      }
      const living = async (): Promise<string[]> => {
        const { body } = await ask<{ instances: { id: string; liveness: string }[] }>(
          `${registry.url}/v1/services/shop/instances`,
        );
        return body.instances.filter(({ liveness }) => liveness !== 'dead').map(({ id }) => id);
      };
      await eventually(async () => expect(await living()).toHaveLength(5), { timeoutMs: 10_000 });

      for (const each of backends.slice(0, 3)) each.signal('SIGKILL');

      const rest = backends.slice(3).map(({ name }) => name);
      await eventually(async () => expect((await living()).toSorted()).toEqual(rest.toSorted()), { timeoutMs: 3_000 });
      const { body } = await ask<{ summary: string[] }>(
        `${registry.url}/v1/services/shop/instances/${backends[0]?.name}/why`,
      );
      expect(body.summary.join('\n')).toMatch(/evicted.*refuses connections/);
    } finally {
      await stack.stop();
      await redis.stop();
    }
  });
});
