import { createServer as createHttpServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Instance } from '@switchyard/protocol';
import { freePort } from '@switchyard/testing';
import { probe } from './probe.ts';

const instanceAt = (port: number, check?: Instance['check'], id = 'a'): Instance => ({
  service: 'shop',
  id,
  url: `http://127.0.0.1:${port}`,
  weight: 1,
  declaredWeight: 1,
  meta: {},
  ttlMs: 500,
  ...(check === undefined ? {} : { check }),
  role: 'member',
  intent: 'in-service',
  liveness: 'suspect',
  sinceMs: 0,
  incarnation: 1,
  revision: 1,
});
const http = { type: 'http', path: '/livez' } as const;
const tcp = { type: 'tcp' } as const;
const timeoutMs = 300;

describe('a probe', () => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const listen = async (server: Server): Promise<number> => {
    servers.push(server);
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return (server.address() as AddressInfo).port;
  };
  const answering = (answer: RequestListener): Promise<number> => listen(createHttpServer(answer));
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(
      servers.splice(0).map(
        (server) =>
          new Promise((resolve) => {
            server.close(resolve);
          }),
      ),
    );
  });

  it.each([http, tcp, undefined])('of a port that nobody listens on is refused at once: %j', async (check) => {
    const result = await probe(instanceAt(await freePort(), check), 5_000);

    expect(result).toMatchObject({ outcome: 'refused', kind: check?.type ?? 'tcp' });
    expect(result.tookMs).toBeLessThan(1_000);
    expect(result.detail).toBe('its address refuses connections');
  });

  it('of somebody who accepts and never answers ends at its deadline, over HTTP', async () => {
    // as the kernel does for a process that was stopped
    const port = await listen(createServer(() => undefined));

    const result = await probe(instanceAt(port, http), timeoutMs);

    expect(result).toMatchObject({ outcome: 'timeout', kind: 'http' });
    expect(result.tookMs).toBeGreaterThanOrEqual(timeoutMs - 20);
    expect(result.tookMs).toBeLessThan(timeoutMs + 1_000);
    expect(result.detail).toContain('300 ms');
    expect(result.heard).toBe(false);
    expect(await probe(instanceAt(port, tcp), timeoutMs)).toMatchObject({ outcome: 'answered', heard: false });
  });

  it('has the deadline that the registration asks for', async () => {
    const port = await listen(createServer(() => undefined));

    const result = await probe(instanceAt(port, { ...http, timeout: '50ms' }), 5_000);

    expect(result).toMatchObject({ outcome: 'timeout' });
    expect(result.tookMs).toBeLessThan(2_000);
  });

  it('of somebody whose answer never ends its head ends at its deadline, too', async () => {
    const port = await listen(
      createServer((socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        const drip = setInterval(() => socket.write('x: y\r\n'), 20);
        socket.on('close', () => clearInterval(drip));
      }),
    );

    expect(await probe(instanceAt(port, http), timeoutMs)).toMatchObject({ outcome: 'timeout' });
  });

  it.each([
    [200, 'answered'],
    [204, 'answered'],
    [302, 'answered'],
    [400, 'failed'],
    [404, 'failed'],
    [500, 'failed'],
    [503, 'failed'],
  ])('takes the status %i for %s', async (status, outcome) => {
    const port = await answering((_req, res) => res.writeHead(status).end());

    const result = await probe(instanceAt(port, http), 5_000);

    expect(result).toMatchObject({ outcome, detail: `its check answered ${status}`, heard: true });
  });

  it('knows the instance by its name, whatever the status', async () => {
    const port = await answering((req, res) =>
      res.writeHead(req.url === '/broken' ? 500 : 200, { 'switchyard-instance': 'b' }).end('hello'),
    );

    expect(await probe(instanceAt(port, http, 'b'), 5_000)).toMatchObject({ outcome: 'answered' });
    expect(await probe(instanceAt(port, http, 'a'), 5_000)).toEqual(
      expect.objectContaining({ outcome: 'other', detail: 'its address answers as b' }),
    );
    expect(await probe(instanceAt(port, { type: 'http', path: '/broken' }, 'a'), 5_000)).toMatchObject({
      outcome: 'other',
    });
  });

  it('does not wait for the end of a body', async () => {
    const port = await answering((_req, res) => res.writeHead(200).write('and so on'));

    const result = await probe(instanceAt(port, http), 5_000);

    expect(result).toMatchObject({ outcome: 'answered' });
    expect(result.tookMs).toBeLessThan(2_000);
  });

  it('asks for the path of the check, and for nothing else', async () => {
    const asked: (string | undefined)[] = [];
    const port = await answering((req, res) => {
      asked.push(`${req.headers.host} ${req.url}`);
      res.end();
    });

    for (const path of ['/livez', '//other.example/x', '/a b?c=d#e', '/\\other.example']) {
      await probe(instanceAt(port, { type: 'http', path }), 5_000);
    }
    await probe(instanceAt(port, { type: 'http' }), 5_000);

    const host = `127.0.0.1:${port}`;
    expect(asked).toEqual([
      `${host} /livez`,
      `${host} //other.example/x`,
      `${host} /a%20b?c=d`,
      `${host} //other.example`,
      `${host} /`,
    ]);
  });

  it.each([
    ['closes at once', (socket: Socket) => socket.destroy()],
    ['resets', (socket: Socket) => socket.resetAndDestroy()],
    ['speaks something else', (socket: Socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')],
  ])('of somebody who %s has failed', async (_what, onConnection) => {
    const port = await listen(createServer(onConnection));

    expect(await probe(instanceAt(port, http), 5_000)).toMatchObject({ outcome: 'failed' });
  });

  it('of a name that leads nowhere, or of no address at all, has failed and does not throw', async () => {
    const nowhere = { ...instanceAt(1, http), url: 'http://switchyard.invalid:80' };
    const broken = { ...instanceAt(1, http), url: 'http://[:]:80' };

    expect(['failed', 'timeout']).toContain((await probe(nowhere, 2_000)).outcome);
    expect(await probe(broken, 2_000)).toMatchObject({ outcome: 'failed', detail: 'its address is none' });
  });
});
