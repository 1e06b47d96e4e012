import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { RequestListener, ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { createHealth, createLogger, createMetrics, systemClock } from '@switchyard/runtime';
import { createApi } from './api.ts';
import type { HttpServer } from './server.ts';
import { httpServer } from './server.ts';
import { openSse } from './sse.ts';
import type { Upgrade } from './upgrade.ts';

const running: HttpServer[] = [];
const serve = async (
  app: RequestListener,
  upgrades: readonly Upgrade[] = [],
): Promise<{ server: HttpServer; port: number; url: string }> => {
  const server = httpServer({ name: 'own', host: '127.0.0.1', port: 0, app, drainMs: 200, upgrades });
  await server.start();
  running.push(server);
  const { port } = server.address();
  return { server, port, url: `http://127.0.0.1:${String(port)}` };
};

afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

/** Sends bytes as they are and returns everything until the other side closes. */
const sendRaw = (port: number, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });

describe('a listener', () => {
  it('says which port is taken and what to do', async () => {
    const { port } = await serve((_req, res) => res.end());

    const second = httpServer({ name: 'second', host: '127.0.0.1', port, app: (_req, res) => res.end() });

    await expect(second.start()).rejects.toThrow(
      `second: port ${String(port)} on 127.0.0.1 is in use: end the process that holds it, or set another port`,
    );
  });

  it('says that it is full for each connection that it closes at once', async () => {
    let full = 0;
    const server = httpServer({
      name: 'own',
      host: '127.0.0.1',
      port: 0,
      app: (_req, res) => void res.write('held'),
      maxConnections: 1,
      onFull: () => (full += 1),
    });
    await server.start();
    running.push(server);
    const { port } = server.address();
    const held = await fetch(`http://127.0.0.1:${String(port)}`);

    await expect(sendRaw(port, '')).resolves.toBe('');

    expect(full).toBe(1);
    await held.body?.cancel();
  });

  it('has no address before it listens', () => {
    const server = httpServer({ name: 'own', host: '127.0.0.1', port: 0, app: () => undefined });

    expect(() => server.address()).toThrow('own does not listen');
  });

  it('finishes the request in flight while it accepts no further one', async () => {
    const arrived = Promise.withResolvers<ServerResponse>();
    const { server, url } = await serve((_req, res) => arrived.resolve(res));
    const first = fetch(url);
    const inFlight = await arrived.promise;

    const drained = server.drain();
    await expect(fetch(url)).rejects.toThrow('fetch failed');
    inFlight.end('done');
    const response = await first;

    expect(await response.text()).toBe('done');
    expect(response.headers.get('connection')).toBe('close');
    await drained;
  });

  it('cuts off what is in flight when it must stop', async () => {
    const arrived = Promise.withResolvers<ServerResponse>();
    const { server, url } = await serve((_req, res) => arrived.resolve(res));
    const first = fetch(url).then(
      () => 'answered',
      () => 'cut off',
    );
    await arrived.promise;

    await server.stop();

    expect(await first).toBe('cut off');
  });

  it('does not wait for idle connections or for event streams', async () => {
    const { server, url } = await serve((req, res) => {
      if (req.url === '/stream') openSse(req, res);
      else res.end('ok');
    });
    await (await fetch(url)).text();
    const stream = await fetch(`${url}/stream`);

    await server.drain();

    expect(await stream.text()).toBe('retry: 1000\n\n');
  });

  it('answers bytes that are no HTTP with a problem document', async () => {
    const { port } = await serve((_req, res) => res.end());

    const nonsense = await sendRaw(port, '\x00\x01 nonsense\r\n\r\n');
    const longHead = await sendRaw(port, `GET / HTTP/1.1\r\nHost: x\r\nx-long: ${'a'.repeat(20_000)}\r\n\r\n`);

    expect(nonsense).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(nonsense).toContain('"code":"malformed_request"');
    expect(longHead).toMatch(/^HTTP\/1\.1 431 /);
    expect(longHead).toContain('"code":"header_too_large"');
  });

  it('answers a target that is no URL with a problem document', async () => {
    const api = createApi({
      title: 'x',
      version: '1',
      routes: [],
      health: createHealth({ clock: systemClock }),
      metrics: createMetrics(),
      logger: createLogger('x', { level: 'silent' }),
    });
    const { port } = await serve(api);

    const answers = await Promise.all(
      ['http://a:b:c/', '//', '*', '/%', '/..%2f..%2fetc/passwd', '/livez/../v1'].map((target) =>
        sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
      ),
    );

    const absolute = await sendRaw(
      port,
      'GET http://any.host/livez?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );

    expect(absolute).toMatch(/^HTTP\/1\.1 200 /);
    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 (400|404) /);
      expect(answer).toContain('application/problem+json');
    }
  });
});

describe('a protocol of its own', () => {
  const asking = (path: string, protocol: string, more = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n${more}`;
  /** Says each word back in brackets, and "bye" when the listener drains. */
  const echo = (ends = true): Upgrade => {
    const sockets = new Set<Socket>();
    return {
      path: '/echo',
      protocol: 'brackets',
      accept: (socket, early) => {
        sockets.add(socket);
        const say = (word: Buffer): void => void socket.write(`[${word.toString()}]`);
        if (early.length > 0) say(early);
        socket.on('data', say);
      },
      drain: () => {
        for (const socket of sockets) if (ends) socket.end('bye');
      },
    };
  };

  it('is spoken from the first byte on, those that came too early included, until the listener drains', async () => {
    const { server, port } = await serve((_req, res) => res.end(), [echo()]);
    const said = sendRaw(port, asking('/echo?x', 'Brackets', 'early'));
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });

    await server.drain();

    expect(await said).toBe(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: brackets\r\n\r\n[early]bye',
    );
  });

  it('is not spoken elsewhere: the request gets its ordinary answer', async () => {
    const { port } = await serve((_req, res) => void res.writeHead(404, { connection: 'close' }).end(), [echo()]);

    expect(await sendRaw(port, asking('/other', 'brackets'))).toMatch(/^HTTP\/1\.1 404 /);
    expect(await sendRaw(port, asking('/echo', 'websocket'))).toMatch(/^HTTP\/1\.1 404 /);
    expect(await sendRaw(port, asking('/echo', 'brackets').replace('GET', 'POST'))).toMatch(/^HTTP\/1\.1 404 /);
  });

  it('does not keep a listener that must stop', async () => {
    const { server, port } = await serve((_req, res) => res.end(), [echo(false)]);
    const said = sendRaw(port, asking('/echo', 'brackets', 'x'));
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });

    await server.stop();

    expect(await said).toMatch(/\[x\]$/);
  });
});
