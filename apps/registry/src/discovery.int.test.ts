// Does every node balance by itself, through the death of instances, of the registry and of Redis? With the discovery client of
// the agent, a real registry, and instances that are processes.
import { createDiscovery } from '@switchyard/agent';
import type { Discovery } from '@switchyard/agent';
import { createLogger } from '@switchyard/runtime';
import { eventually, freePort, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess, TestRedis } from '@switchyard/testing';
import { startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const answering = `
  const [id, port] = process.argv.slice(1);
  require('node:http').createServer((req, res) => res.end(id)).listen(Number(port), '127.0.0.1');
`;

describe('a discovery client', () => {
  const logger = createLogger('test', { level: 'silent' });
  let redis: TestRedis;
  let registry: TestRegistry;
  let discovery: Discovery;
  let instances: Map<string, OwnedProcess>;
  let generation = 0;

  const begin = async (): Promise<void> => {
    generation += 1;
    const id = `shop-${generation}`;
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    instances.set(id, await startOwned({ command: process.execPath, args: ['-e', answering, id, String(port)] }));
    await eventually(async () => expect((await fetch(url)).status).toBe(200));
    await registry.api.put(`/v1/services/shop/instances/${id}`).send({ url, ttl: '1h' }).expect(201);
  };
  const pickable = (): Set<string | undefined> =>
    new Set(Array.from({ length: 20 }, () => discovery.service('shop').pick()?.id));

  beforeEach(async () => {
    instances = new Map();
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    for (let count = 0; count < 3; count += 1) await begin();
    discovery = createDiscovery({ registryUrls: [registry.url], logger });
    await discovery.service('shop').ready();
  });
  afterEach(async () => {
    await discovery.stop();
    for (const instance of instances.values()) await instance.end();
    await registry.stop();
    await redis.stop();
  });

  it('fails no GET while instances are killed and others come', async () => {
    const answeredBy = new Set<string>();
    const failed: unknown[] = [];
    let requests = 0;
    const over = new AbortController();
    const load = async (): Promise<void> => {
      while (!over.signal.aborted) {
        requests += 1;
        try {
          const response = await discovery.fetch('http://shop/');
          answeredBy.add(await response.text());
          if (response.status !== 200) failed.push(response.status);
        } catch (error) {
          failed.push(error);
        }
      }
    };
    const loads = Array.from({ length: 4 }, load);

    for (let turn = 0; turn < 3; turn += 1) {
      const [id, victim] = [...instances][0] as [string, OwnedProcess];
      await eventually(() => expect(answeredBy.has(id)).toBe(true));
      instances.delete(id);
      victim.signal('SIGKILL');
      await victim.ended();
      await begin();
      // as a heartbeat-monitor would, but much later than it
      await registry.api.delete(`/v1/services/shop/instances/${id}`).expect(204);
    }
    await eventually(() => expect([...instances.keys()].every((id) => answeredBy.has(id))).toBe(true));
    over.abort();
    await Promise.all(loads);

    expect(failed).toEqual([]);
    expect(requests).toBeGreaterThan(100);
  });

  it('learns within a moment who came and who left', async () => {
    await begin();
    const all = [...instances.keys()];
    await eventually(() => expect(pickable()).toEqual(new Set(all)), { timeoutMs: 1_000 });
    const path = `/v1/services/shop/instances/${all[0]}`;
    await registry.api.patch(path).send({ intent: 'draining' }).expect(200);
    await eventually(() => expect(pickable()).toEqual(new Set(all.slice(1))), { timeoutMs: 1_000 });
  });

  it('picks by the policy that the service was given', async () => {
    await registry.api.put('/v1/services/shop').send({ policy: 'round-robin' }).expect(201);
    const first = [...instances.keys()][0] as string;
    await registry.api.patch(`/v1/services/shop/instances/${first}`).send({ weight: 5 }).expect(200);
    await eventually(() => {
      const counts = Array.from({ length: 30 }, () => discovery.service('shop').pick()?.id);
      expect(counts.filter((id) => id === first)).toHaveLength(10);
    });
  });

  it('works on without Redis and without registry, and says that it is stale', async () => {
    const before = pickable();
    expect(before.size).toBe(3);

    await redis.kill();
    await registry.stop();

    await eventually(() => expect(discovery.service('shop').status().stale).toBe(true));
    expect(pickable()).toEqual(before);
    for (let turn = 0; turn < 10; turn += 1) {
      const response = await discovery.fetch('http://shop/');
      expect([response.status, await response.text()]).toEqual([200, discovery.instanceOf(response)?.id]);
    }
  });
});
