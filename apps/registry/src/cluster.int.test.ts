// Does the registry as a process work on a Redis Cluster, and carry on when the primary of its keys is killed?
import { fileURLToPath } from 'node:url';
import { keys } from '@switchyard/protocol';
import { eventually, freePort, startCluster, startOwned } from '@switchyard/testing';
import type { OwnedProcess, TestCluster } from '@switchyard/testing';

const main = fileURLToPath(new URL('main.ts', import.meta.url));

describe('the registry on a Redis Cluster', () => {
  let cluster: TestCluster;
  let owned: OwnedProcess | undefined;
  beforeAll(async () => {
    cluster = await startCluster();
  }, 40_000);
  afterAll(async () => {
    await owned?.end(3_000);
    await cluster.stop();
  });

  it('registers, lists and streams, and loses nobody when the primary of its keys is killed', async () => {
    const port = await freePort();
    owned = await startOwned({
      command: process.execPath,
      args: [main],
      env: {
        PATH: process.env['PATH'],
        SWITCHYARD_REGISTRY_PORT: String(port),
        SWITCHYARD_REDIS_CLUSTER: cluster.addresses,
      },
    });
    const call = (path: string, init: RequestInit = {}): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${path}`, { ...init, signal: AbortSignal.timeout(5_000) });
    const put = async (id: string): Promise<number> => {
      const body = JSON.stringify({ url: 'http://127.0.0.1:3000', ttl: '60s' });
      const headers = { 'content-type': 'application/json' };
      return (await call(`/v1/services/shop/instances/${id}`, { method: 'PUT', headers, body })).status;
    };
    const listed = async (): Promise<string[]> => {
      const body = (await (await call('/v1/services/shop/instances')).json()) as { instances: { id: string }[] };
      return body.instances.map(({ id }) => id).toSorted();
    };
    await eventually(async () => (await call('/readyz')).ok, { timeoutMs: 15_000 });
    expect([await put('a'), await put('b')]).toEqual([201, 201]);
    await eventually(async () => expect(await listed()).toEqual(['a', 'b']));

    const dying = await cluster.ownerOf(keys.instances);
    const lostMs = performance.now();
    await dying.kill();
    await eventually(
      async () => {
        expect(await listed()).toEqual(expect.arrayContaining(['a', 'b']));
        return (await put('c')) === 201;
      },
      { timeoutMs: 10_000 },
    );

    expect(performance.now() - lostMs).toBeLessThan(5_000);
    await eventually(async () => expect(await listed()).toEqual(['a', 'b', 'c']));
    expect((await call('/readyz')).status).toBe(200);
  }, 60_000);
});
