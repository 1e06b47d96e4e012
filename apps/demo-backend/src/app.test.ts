import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createApi } from '@switchyard/http';
import { problemSchema } from '@switchyard/protocol';
import { createHealth, createLogger, createMetrics, systemClock } from '@switchyard/runtime';
import request from 'supertest';
import type { Response } from 'supertest';
import { createDemoApp } from './app.ts';

const id = 'demo-1';

function setUp() {
  const logger = createLogger('test', { level: 'silent' });
  const metrics = createMetrics();
  const health = createHealth({ clock: systemClock });
  health.setPhase('RUNNING');
  const platform = createApi({ title: 'demo', version: '1', routes: [], health, metrics, logger });
  const who = { service: 'shop', id, zone: 'a', version: '1.2.3', clock: systemClock };
  return { app: createDemoApp({ ...who, metrics, logger, platform }), health, metrics };
}

function expectProblem(response: Response, status: number, code: string): void {
  expect(response.headers['content-type']).toBe('application/problem+json');
  expect(problemSchema.parse(response.body)).toMatchObject({ status, code });
  expect(response.status).toBe(status);
  expect(response.headers['switchyard-instance']).toBe(id);
  expect(JSON.stringify(response.body)).not.toContain('node:');
}

describe('the demonstration back end', () => {
  const { app, health } = setUp();

  it('greets and says who it is', async () => {
    const response = await request(app).get('/');

    expect(response.status).toBe(200);
    expect(response.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(response.headers['switchyard-instance']).toBe(id);
    expect(response.text).toBe(`Hello, World! I am ${id}\n`);
  });

  it('refuses a request that is meant for another instance before it has any effect, whatever its address', async () => {
    const { app: fresh } = setUp();
    for (const path of ['/', '/whoami', '/echo', '/livez', '/nonsense']) {
      const response = await request(fresh).post(path).set('Switchyard-Instance', 'demo-2').send('body');
      expectProblem(response, 421, 'misdirected');
      expect(response.body.why[0]).toBe('Switchyard-Instance: demo-2');
    }

    const meant = await request(fresh).get('/whoami').set('Switchyard-Instance', id);

    expect(meant.status).toBe(200);
    expect(meant.body.requests).toBe(1);
  });

  it('tells at /whoami what it is and how the request arrived', async () => {
    const first = await request(app).post('/whoami?x=1').set('X-Shop', 'blue').send('body');
    const second = await request(app).get('/whoami');

    expect(first.body).toMatchObject({
      service: 'shop',
      id,
      instance: id,
      pid: process.pid,
      zone: 'a',
      version: '1.2.3',
      method: 'POST',
      path: '/whoami',
      url: '/whoami?x=1',
      headers: { 'x-shop': 'blue' },
    });
    expect(first.body.rawHeaders).toContain('X-Shop');
    expect(second.body.requests).toBe(first.body.requests + 1);
  });

  it('takes as long as it is asked to', async () => {
    const startedMs = performance.now();
    const response = await request(app).get('/slow?ms=60');

    expect(response.text).toBe(`${id} took 60 ms\n`);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(55);
  });

  it.each(['-1', '1.5', 'soon', '60001', '1e3', '', '0x10', '999999999999', '%00', '1&ms=2'])(
    'refuses /slow?ms=%s',
    async (ms) => {
      const response = await request(app).get(`/slow?ms=${ms}`);

      expectProblem(response, 400, 'invalid_input');
      expect(response.body.why[0]).toContain('ms: must be given once, a whole number from 0 to 60000');
    },
  );

  it.each([200, 201, 204, 301, 304, 307, 401, 404, 418, 429, 500, 503, 599])(
    'answers /status/%i with it',
    async (code) => {
      const response = await request(app).post(`/status/${code}`).redirects(0);

      expect(response.status).toBe(code);
      expect(response.headers['switchyard-instance']).toBe(id);
      expect(response.headers['location']).toBe([301, 307].includes(code) ? '/' : undefined);
    },
  );

  it('sends 103 ahead of a 200', async () => {
    const answer = await raw(app, 'GET /status/103 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');

    expect(answer).toMatch(/^HTTP\/1\.1 103 Early Hints\r\n[^]*\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  });

  it.each(['99', '101', '199', '600', '1000', 'teapot', '', '200/x', '%32%30%30', '-200', '2e2'])(
    'refuses /status/%s',
    async (code) => {
      expectProblem(await request(app).get(`/status/${code}`), 400, 'invalid_input');
    },
  );

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'])('echoes the body of %s', async (method) => {
    const body = '{"a":"ä"}';
    const head = `${method} /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-shop\r\n`;
    const answer = await raw(app, `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);

    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer.toLowerCase()).toContain('content-type: application/x-shop\r\n');
    expect(answer.endsWith(`\r\n\r\n${body}`)).toBe(true);
  });

  it('echoes nothing for nothing', async () => {
    const response = await request(app).get('/echo');

    expect(response.status).toBe(200);
    expect(response.headers['content-type']).toBe('application/octet-stream');
    expect(response.body).toHaveLength(0);
  });

  it('streams lines over time', async () => {
    const response = await request(app).get('/stream?chunks=3&everyMs=10');

    expect(response.text).toBe([1, 2, 3].map((n) => `chunk ${n} of 3 from ${id}\n`).join(''));
    expect(response.headers['transfer-encoding']).toBe('chunked');
  });

  it('has no body for HEAD', async () => {
    for (const path of ['/', '/whoami', '/slow?ms=1', '/stream?chunks=2', '/status/500']) {
      const response = await request(app).head(path);
      expect(response.text ?? '').toBe('');
    }
  });

  it.each(['chunks=0', 'chunks=many', 'everyMs=-5', 'chunks=10001', 'everyMs=10001', 'chunks=10000&everyMs=10000'])(
    'refuses /stream?%s',
    async (query) => {
      expectProblem(await request(app).get(`/stream?${query}`), 400, 'invalid_input');
    },
  );

  it('refuses methods that have no meaning, naming those that have', async () => {
    for (const path of ['/', '/stream']) {
      const response = await request(app).delete(path);
      expectProblem(response, 405, 'method_not_allowed');
      expect(response.headers['allow']).toBe('GET, HEAD');
    }
  });

  it.each(['/nowhere', '/whoami/', '/ECHO', '/..%2f', '//', '/__proto__', '/constructor', '/slow%3Fms=1', '/%', '/*'])(
    'knows nothing at %s',
    async (path) => {
      const response = await request(app).get(path);

      expect([400, 404]).toContain(response.status);
      expectProblem(response, response.status, response.status === 404 ? 'not_found' : 'malformed_request');
    },
  );

  it('takes the request id it is given, unless that is nonsense', async () => {
    const given = await request(app).get('/slow?ms=x').set('X-Request-Id', 'r-1');
    const nonsense = await request(app).get('/slow?ms=x').set('X-Request-Id', 'a b<script>');

    expect(given.body.requestId).toBe('r-1');
    expect(nonsense.body.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is alive, ready, and not ready while it drains', async () => {
    expect((await request(app).get('/livez')).status).toBe(200);
    expect((await request(app).get('/readyz')).status).toBe(200);
    health.setPhase('DRAINING');

    expectProblem(await request(app).get('/readyz'), 503, 'not_ready');
    expect((await request(app).get('/livez')).status).toBe(200);
    expect((await request(app).get('/')).status).toBe(200);
    health.setPhase('RUNNING');
  });

  it('counts its requests by address, never by path', async () => {
    const { app: fresh } = setUp();
    await request(fresh).get('/status/201');
    await request(fresh).get('/status/404');
    await request(fresh).get('/nowhere');

    const { text } = await request(fresh).get('/metrics');

    expect(text).toContain('switchyard_demo_requests_total{endpoint="/status/:code"} 2');
    expect(text.match(/^switchyard_demo_requests_total\{/gm)).toHaveLength(1);
  });

  it('stops working for a client that went away', async () => {
    const { app: fresh, metrics } = setUp();
    await raw(fresh, 'GET /slow?ms=60000 HTTP/1.1\r\nhost: x\r\n\r\n', 30);
    await raw(fresh, 'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc', 30);
    await raw(fresh, 'GET /stream?everyMs=10000 HTTP/1.1\r\nhost: x\r\n\r\n', 30);

    expect(await metrics.text()).toContain('demo_requests_total{endpoint="/stream"} 1');
  });

  it('sends no faster than its reader takes', async () => {
    const { app: fresh } = setUp();
    const written = { bytes: 0 };
    await raw(
      (req, res) => {
        const write = res.write.bind(res) as (chunk: string) => boolean;
        res.write = ((chunk: string) => {
          written.bytes += chunk.length;
          return write(chunk);
        }) as typeof res.write;
        fresh(req, res);
      },
      'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 80000000\r\n\r\n',
      300,
      'x'.repeat(80_000_000),
    );

    // What fits into the sockets' buffers on both sides, far from all of it.
    expect(written.bytes).toBeLessThan(40_000_000);
  });
});

/**
 * Sends bytes as they are. Without `giveUpMs` it reads until the other side closes; with it, it never reads, and hangs up so
 * long after the request has arrived.
 */
async function raw(
  app: Parameters<typeof createServer>[1],
  head: string,
  giveUpMs?: number,
  body = '',
): Promise<string> {
  const server: Server = createServer(app);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const arrived = once(server, 'request');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const closed = once(socket, 'close');
  let answer = '';
  if (giveUpMs === undefined) socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  else socket.pause();
  socket.on('error', () => undefined);
  socket.write(head);
  if (body) socket.write(body);
  if (giveUpMs !== undefined) {
    await arrived;
    await systemClock.sleep(giveUpMs);
    socket.destroy();
  }
  await closed;
  // Fails by the test's own deadline when a request of a vanished client is still under way.
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  return answer;
}
