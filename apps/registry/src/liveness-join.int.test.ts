import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ObservedInstance } from '@switchyard/protocol';
import { eventually, freePort, startOwned, startRedis } from '@switchyard/testing';
import type { OwnedProcess, TestRedis } from '@switchyard/testing';
import { startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const agentUrl = new URL('../../../libs/agent/src/index.ts', import.meta.url).href;
const expressUrl = pathToFileURL(
  createRequire(new URL('../../../libs/http/src/index.ts', import.meta.url)).resolve('express'),
).href;
const head = `import { joinService } from '${agentUrl}';\nconst port = Number(process.env.PORT);\n`;
const slowly = `setTimeout(() => res.end('served'), Number(new URL(req.url, 'http://x').searchParams.get('ms') ?? 5))`;

/** Apps as people write them; each joins in one line. */
const apps: Readonly<Record<string, string>> = {
  'node:http': `import { createServer } from 'node:http';
    const server = createServer((req, res) => req.url === '/readyz' ? joined.readyz(req, res) : ${slowly});
    const joined = joinService(server, { service: 'shop', ttl: '1s' });
    server.listen(port, '127.0.0.1');`,
  express: `import express from '${expressUrl}';
    const app = express();
    app.get('/readyz', (req, res) => joined.readyz(req, res));
    app.use((req, res) => ${slowly});
    const joined = joinService(app.listen(port, '127.0.0.1'), { service: 'shop', ttl: '1s' });`,
  'a framework that has its server within': `import { createServer } from 'node:http';
    const server = createServer((req, res) => req.url === '/readyz' ? joined.readyz(req, res) : ${slowly});
    const app = { server, listen: () => server.listen(port, '127.0.0.1'), close: async () => console.log('closed as it wants') };
    const joined = joinService(app, { service: 'shop', ttl: '1s' });
    app.listen();`,
  'node:net': `import { createServer } from 'node:net';
    const server = createServer((socket) => socket.on('data', (word) => setTimeout(() => socket.end(word), 4_000)));
    joinService(server, { service: 'shop', ttl: '1s' });
    server.listen(port, '127.0.0.1');`,
  roles: `import { createServer } from 'node:http';
    const tell = (what) => (held) => console.log(what, JSON.stringify(held ?? null));
    joinService(createServer().listen(port, '127.0.0.1'), {
      service: 'shop', role: 'standby', onActivate: tell('activated'), onDeactivate: tell('deactivated'),
    });`,
  'wrong options': `import { createServer } from 'node:http';
    joinService(createServer(), { service: 'shop', weight: -1 });`,
};

describe('an app that joins in one line', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  let directory: string;
  const started: OwnedProcess[] = [];

  const launch = async (app: string, id: string, env: NodeJS.ProcessEnv = {}) => {
    const port = await freePort();
    const file = join(directory, `${id}.mjs`);
    await writeFile(file, head + (apps[app] ?? ''));
    const owned = await startOwned({
      command: process.execPath,
      args: [file],
      env: {
        PATH: process.env['PATH'],
        PORT: String(port),
        SWITCHYARD_INSTANCE_ID: id,
        // the first one is not there
        SWITCHYARD_REGISTRY_URL: `http://127.0.0.1:${await freePort()},${registry.url}`,
        ...env,
      },
    });
    started.push(owned);
    return { app: owned, port, url: `http://127.0.0.1:${port}` };
  };
  const shown = async (id: string): Promise<ObservedInstance | undefined> => {
    const { status, body } = await registry.api.get(`/v1/services/shop/instances/${id}`);
    return status === 200 ? (body as ObservedInstance) : undefined;
  };
  const joins = (id: string) =>
    eventually(async () => (await shown(id)) ?? false, { timeoutMs: 20_000, what: `${id} joins` });

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-join-'));
    redis = await startRedis();
    registry = await startRegistry(redis.port);
  });
  afterAll(async () => {
    await Promise.all(started.map((one) => one.end(100)));
    await registry.stop();
    await redis.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it.each(['node:http', 'express', 'a framework that has its server within'])(
    'is an instance with its address and its load, and loses no request when it is told to stop: %s',
    async (kind) => {
      const id = kind.replaceAll(/\W/g, '');
      const { app, port, url } = await launch(kind, id);
      expect(await joins(id)).toMatchObject({ url, check: { type: 'tcp' }, liveness: 'alive' });
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      await eventually(async () => (await shown(id))?.load?.utilization !== undefined);

      const client = new Agent({ keepAlive: true, maxSockets: 8 });
      const outcomes: string[] = [];
      const seen = { draining: false };
      const ask = (path: string): Promise<string> =>
        new Promise((resolve) => {
          get({ port, host: '127.0.0.1', path, agent: client }, (res) => {
            let text = '';
            res.on('data', (chunk: Buffer) => (text += chunk.toString()));
            res.on('end', () => resolve(`${res.statusCode} ${path === '/readyz' ? '' : text}`));
          }).on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        });
      // a balancer that looks at /readyz: it sends until it is told not to
      const send = async (): Promise<void> => {
        while (!seen.draining) outcomes.push(await ask('/?ms=20'));
      };
      const senders = Array.from({ length: 6 }, send);
      const long = ask('/?ms=2500');
      await new Promise((resolve) => {
        setTimeout(resolve, 300);
      });
      app.signal('SIGTERM');
      await eventually(async () => {
        seen.draining = (await ask('/readyz')) === '503 ';
        return seen.draining;
      });
      await Promise.all(senders);

      expect(await long).toBe('200 served');
      await app.ended();
      client.destroy();
      expect(outcomes.length).toBeGreaterThan(6);
      expect(outcomes.filter((outcome) => outcome !== '200 served')).toEqual([]);
      expect(await shown(id)).toBeUndefined();
      expect(app.output()).toContain('join.leaving');
      if (kind.startsWith('a framework')) expect(app.output()).toContain('closed as it wants');
    },
  );

  it('without HTTP is an instance too, and finishes its connections', async () => {
    const { app, port } = await launch('node:net', 'net');
    await joins('net');
    const answered = new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('word'));
      socket.on('data', (word) => resolve(word.toString()));
      socket.on('error', reject);
    });
    await eventually(async () => (await shown('net'))?.load?.inflight === 1);

    app.signal('SIGINT');

    expect(await answered).toBe('word');
    await app.ended();
    expect(await shown('net')).toBeUndefined();
  });

  it('serves while Redis is away, and joins when it comes', async () => {
    redis.freeze();
    const { url } = await launch('node:http', 'early');
    await eventually(async () => (await fetch(`${url}/readyz`)).ok, { timeoutMs: 20_000 });
    expect(await shown('early')).toBeUndefined();

    redis.resume();

    await joins('early');
  });

  it('is told when it becomes the active one, and when it is not any more', async () => {
    const { app, url } = await launch('roles', 'role');
    const { role, weight, meta, ttl, check } = await joins('role');
    expect(role).toBe('standby');
    await eventually(() => app.output().includes('agent.live'), { timeoutMs: 10_000 });
    const as = (next: string) =>
      registry.api
        .put('/v1/services/shop/instances/role')
        .send({ url, weight, meta, ttl, check, role: next })
        .expect(200);

    await as('active');
    await eventually(() => app.output().includes('activated'), { timeoutMs: 5_000 });
    await as('standby');

    await eventually(() => app.output().includes('deactivated'), { timeoutMs: 5_000 });
  });

  it('is told at once what is wrong with its options', async () => {
    const { app } = await launch('wrong options', 'wrong');

    await app.ended();

    expect(app.output()).toContain('weight');
  });
});
