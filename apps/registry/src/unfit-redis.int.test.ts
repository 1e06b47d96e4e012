// Does the process refuse a Redis that would betray it, and say which, why, and how to mend it?
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { eventually, freePort, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess, TestRedis } from '@switchyard/testing';

const main = fileURLToPath(new URL('main.ts', import.meta.url));

/** A server that says it is this version, and OK to everything else. */
async function startFakeRedis(version: string): Promise<{ server: Server; port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      // each command is an array: one answer for each "*<count>"
      for (const command of bytes
        .toString()
        .split(/^\*\d+\r\n/m)
        .slice(1)) {
        const info = `# Server\r\nredis_version:${version}\r\nmaxmemory_policy:noeviction\r\nrole:master\r\ncluster_enabled:0\r\n`;
        socket.write(/^\$4\r\ninfo/i.test(command) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    server,
    port,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe('a process whose Redis is unfit', () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });
  const redisOf = async (options: Parameters<typeof startRedis>[0]): Promise<TestRedis> => {
    const redis = await startRedis(options);
    ends.push(() => redis.stop());
    return redis;
  };
  const start = async (env: NodeJS.ProcessEnv): Promise<OwnedProcess & { port: number }> => {
    const port = await freePort();
    const owned = await startOwned({
      command: process.execPath,
      args: [main],
      env: {
        PATH: process.env['PATH'],
        SWITCHYARD_REGISTRY_PORT: String(port),
        ...env,
      },
    });
    ends.push(() => owned.end(100));
    return { ...owned, port };
  };
  const expectRefusal = async (owned: OwnedProcess, words: readonly string[]): Promise<void> => {
    await eventually(() => expect(owned.exitCode()).toBe(1), { timeoutMs: 25_000 });
    for (const word of [...words, 'service.start_failed']) expect(owned.output()).toContain(word);
    expect(owned.output()).not.toContain('"stack"');
  };

  it('does not start when keys may be evicted', async () => {
    const redis = await redisOf({ args: ['--maxmemory-policy', 'allkeys-lru'] });

    await expectRefusal(await start({ SWITCHYARD_REDIS_URL: redis.url }), [
      `127.0.0.1:${redis.port} cannot hold the catalog: its maxmemory-policy is allkeys-lru`,
      'may throw the catalog, its events and leases away when memory is short',
      `redis-cli -h 127.0.0.1 -p ${redis.port} CONFIG SET maxmemory-policy noeviction`,
    ]);
  });

  it('does not start on a replica that stays one, and names its primary', async () => {
    const primary = await redisOf({});
    const replica = await redisOf({ replicaOf: primary });

    const startedMs = performance.now();
    await expectRefusal(await start({ SWITCHYARD_REDIS_URL: replica.url }), [
      `127.0.0.1:${replica.port} cannot hold the catalog: it is a replica of 127.0.0.1:${primary.port}`,
      `SWITCHYARD_REDIS_URL=redis://127.0.0.1:${primary.port}`,
    ]);
    expect(performance.now() - startedMs).toBeGreaterThan(10_000);
  });

  it('starts on a replica that becomes a primary in time', async () => {
    const primary = await redisOf({});
    const replica = await redisOf({ replicaOf: primary });
    const owned = await start({ SWITCHYARD_REDIS_URL: replica.url });
    await eventually(async () => String(await replica.cli('CLIENT', 'LIST')).includes(':commands'));

    await replica.cli('REPLICAOF', 'NO', 'ONE');

    await eventually(() => expect(owned.output()).toContain('service.started'), { timeoutMs: 15_000 });
  });

  it('does not start on Redis 6.2', async () => {
    const fake = await startFakeRedis('6.2.14');
    ends.push(() => fake.close());

    await expectRefusal(await start({ SWITCHYARD_REDIS_URL: `redis://127.0.0.1:${fake.port}` }), [
      'it is Redis 6.2.14',
      'use Redis 7.0 or later, or Valkey',
    ]);
  });

  it('does not start on one node of a cluster, and names the setting for it', async () => {
    const node = await redisOf({ args: ['--cluster-enabled', 'yes'] });

    await expectRefusal(await start({ SWITCHYARD_REDIS_URL: node.url }), [
      'it is a node of a Redis Cluster',
      `SWITCHYARD_REDIS_CLUSTER=127.0.0.1:${node.port}`,
    ]);
  });

  it('does not start as a user that may only read', async () => {
    const redis = await redisOf({});
    await redis.cli('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '&*', '+@read', '+info', '+ping', '+@scripting');
    const url = `redis://reader:secret@127.0.0.1:${redis.port}`;

    await expectRefusal(await start({ SWITCHYARD_REDIS_URL: url }), [
      'its user \\"reader\\" may not run scripts that write',
      'ACL SETUSER reader',
    ]);
  });

  it('does not start with a database number', async () => {
    await expectRefusal(await start({ SWITCHYARD_REDIS_URL: 'redis://127.0.0.1:1/2' }), ['names database 2']);
  });

  it('goes on when its Redis becomes unfit later, and says so by its health until it is mended', async () => {
    const port = await freePort();
    const owned = await start({ SWITCHYARD_REDIS_URL: `redis://127.0.0.1:${port}` });
    const ready = async (): Promise<{ status: number; why: string[] }> => {
      const response = await fetch(`http://127.0.0.1:${owned.port}/readyz?verbose`, {
        signal: AbortSignal.timeout(2_000),
      });
      const body = (await response.json()) as { why?: string[] };
      return { status: response.status, why: body.why ?? [] };
    };
    await eventually(async () => (await ready()).status === 503, { timeoutMs: 15_000 });

    const redis = await redisOf({ port, args: ['--maxmemory-policy', 'allkeys-lfu'] });
    const { why } = await eventually(
      async () => {
        const now = await ready();
        return now.why.some((line) => line.startsWith('redis: ')) && now;
      },
      { timeoutMs: 10_000 },
    );
    expect(why.join()).toContain('its maxmemory-policy is allkeys-lfu');
    expect(owned.running()).toBe(true);
    await eventually(() => expect(owned.output()).toMatch(/"level":"?(?:50|error)"?.*redis\.unfit/));

    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await eventually(async () => (await ready()).status === 200, { timeoutMs: 10_000 });
  });
});
