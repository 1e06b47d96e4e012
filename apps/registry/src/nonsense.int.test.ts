// Does every nonsense get a problem document that names the field, and never a 500?
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import * as fc from 'fast-check';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const instance = '/v1/services/shop/instances/a';
const good = { url: 'http://10.0.0.5:3000' };
const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;

describe('nonsense', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  beforeAll(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    await registry.api.put(instance).send(good).expect(201);
  });
  afterAll(async () => {
    await registry.stop();
    await redis.stop();
  });
  const send = (method: 'put' | 'patch' | 'post', path: string, body: string) =>
    registry.api[method](path).set('content-type', 'application/json').send(body);

  it.each([
    [{ ...good, wieght: 2 }, 'wieght'],
    [{}, 'url'],
    [{ host: 'a' }, 'url'],
    [{ ...good, host: 'a', port: 1 }, 'url'],
    [{ host: ':', port: 80 }, 'host'],
    [{ host: 'a b', port: 80 }, 'host'],
    [{ host: 'a', port: 0 }, 'port'],
    [{ host: 'a', port: '80' }, 'port'],
    [{ url: 'ftp://a' }, 'url'],
    [{ url: 'http://a/path' }, 'url'],
    [{ url: `http://${'a'.repeat(300)}` }, 'url'],
    [{ url: 7 }, 'url'],
    [{ ...good, weight: -1 }, 'weight'],
    [{ ...good, weight: 1e308 }, 'weight'],
    [{ ...good, weight: null }, 'weight'],
    [{ ...good, ttl: '1ms' }, 'ttl'],
    [{ ...good, ttl: '999999999d' }, 'ttl'],
    [{ ...good, ttl: 3000 }, 'ttl'],
    [{ ...good, zone: 'z'.repeat(65) }, 'zone'],
    [{ ...good, version: {} }, 'version'],
    [{ ...good, meta: { a: 1 } }, 'meta.a'],
    [{ ...good, meta: [] }, 'meta'],
    [{ ...good, meta: { ['k'.repeat(65)]: 'v' } }, 'meta'],
    [{ ...good, meta: { a: 'v'.repeat(513) } }, 'meta.a'],
    [{ ...good, meta: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, ''])) }, 'meta'],
    [{ ...good, check: { type: 'shell' } }, 'check.type'],
    [{ ...good, check: { type: 'http', path: 'livez' } }, 'check.path'],
    [{ ...good, check: { type: 'tcp', timeout: '1h' } }, 'check.timeout'],
    [{ ...good, role: 'boss' }, 'role'],
    [[good], 'the document'],
    ['http://a', 'the document'],
    [7, 'the document'],
    [null, 'the document'],
  ])('in a registration is named: %j', async (body, field) => {
    const problem = problemIn(await send('put', instance, JSON.stringify(body)));

    expect(problem).toMatchObject({ status: 400, code: 'invalid_input' });
    expect(problem.why.join('\n')).toContain(field);
  });

  it.each([
    ['patch', instance, { weight: '1' }, 'weight'],
    ['patch', instance, { intent: 'sleep' }, 'intent'],
    ['patch', instance, {}, 'weight'],
    ['patch', instance, { reason: 'x' }, 'weight'],
    ['patch', instance, { weight: 1, liveness: 'dead' }, 'liveness'],
    ['patch', instance, { intent: 'draining', reason: 'r'.repeat(257) }, 'reason'],
    ['post', `${instance}/heartbeat`, { load: { inflight: -1 } }, 'load.inflight'],
    ['post', `${instance}/heartbeat`, { load: 7 }, 'load'],
    ['post', `${instance}/heartbeat`, { loud: {} }, 'loud'],
    ['post', `${instance}/heartbeat`, [], 'the document'],
    ['put', '/v1/services/shop', { policy: 'best' }, 'policy'],
    ['put', '/v1/services/shop', { retry: { attempts: 99 } }, 'retry.attempts'],
    ['put', '/v1/services/shop', { reapAfter: '1ms' }, 'reapAfter'],
    ['put', '/v1/services/shop', { polcy: 'random' }, 'polcy'],
    ['put', '/v1/routes/api', {}, 'service'],
    ['put', '/v1/routes/api', { service: 'shop', split: [{ service: 'a', weight: 1 }] }, 'service'],
    ['put', '/v1/routes/api', { service: 'Shop!' }, 'service'],
    ['put', '/v1/routes/api', { service: 'shop', host: 'a b' }, 'host'],
    ['put', '/v1/routes/api', { service: 'shop', pathPrefix: 'api' }, 'pathPrefix'],
    ['put', '/v1/routes/api', { service: 'shop', methods: ['get'] }, 'methods.0'],
    ['put', '/v1/routes/api', { service: 'shop', methods: [] }, 'methods'],
    ['put', '/v1/routes/api', { service: 'shop', redirectStatus: 200 }, 'redirectStatus'],
    ['put', '/v1/routes/api', { service: 'shop', stripPrefix: true }, 'stripPrefix'],
    ['put', '/v1/routes/api', { service: 'shop', headers: { 'a b': 'x' } }, 'headers'],
    ['put', '/v1/routes/api', { service: 'shop', timeouts: { response: 'soon' } }, 'timeouts.response'],
    ['put', '/v1/routes/api', { split: [] }, 'split'],
    ['put', '/v1/routes/api', { split: [{ service: 'a', weight: -1 }] }, 'split.0.weight'],
  ] as const)('in a body is named: %s %s %j', async (method, path, body, field) => {
    const problem = problemIn(await send(method, path, JSON.stringify(body)));

    expect(problem).toMatchObject({ status: 400, code: 'invalid_input' });
    expect(problem.why.join('\n')).toContain(field);
  });

  it.each([
    ['/v1/events?limit=0', 'limit'],
    ['/v1/events?limit=1001', 'limit'],
    ['/v1/events?limit=ten', 'limit'],
    ['/v1/events?limit=1&limit=2', 'limit'],
    ['/v1/events?limit=1e999', 'limit'],
    ['/v1/events?before=-1', 'before'],
    ['/v1/events?before=1.5', 'before'],
    ['/v1/events?before=99999999999999999999', 'before'],
    ['/v1/events?before=(1', 'before'],
    ['/v1/events?topics=weather', 'topics'],
    ['/v1/events?topics=', 'topics'],
    [`/v1/events?topics=${'instance,'.repeat(50)}`, 'topics'],
    ['/v1/events?topic=instance', 'topic'],
    ['/v1/stream?topics=weather', 'topics'],
    ['/v1/stream?since=3', 'since'],
    ['/v1/services/shop/instances?liveness=zombie', 'liveness'],
    ['/v1/services/shop/instances?liveness=alive&liveness=dead', 'liveness'],
    ['/v1/services/shop/instances?live=1', 'live'],
  ])('in a query is named: %s', async (path, field) => {
    const problem = problemIn(await registry.api.get(path));

    expect(problem).toMatchObject({ status: 400, code: 'invalid_input' });
    expect(problem.why.join('\n')).toContain(field);
  });

  it.each([
    ['/v1/services/Shop', 'service'],
    ['/v1/services/-', 'service'],
    [`/v1/services/${'s'.repeat(64)}/instances/a`, 'service'],
    ['/v1/services/shop/instances/a%2Fb', 'id'],
    ['/v1/services/shop/instances/a%00b', 'id'],
    ['/v1/services/shop/instances/%F0%9F%98%80', 'id'],
    ['/v1/services/shop/instances/..%2F..%2Fetc', 'id'],
    ['/v1/services/shop/instances/__proto__', 'id'],
    [`/v1/services/shop/instances/${'i'.repeat(129)}`, 'id'],
    ['/v1/routes/%7Bswitchyard%7D', 'name'],
    ['/v1/routes/__proto__', 'name'],
  ])('in a name is named: %s', async (path, field) => {
    const problem = problemIn(await registry.api.get(path));

    expect(problem).toMatchObject({ status: 400, code: 'invalid_input' });
    expect(problem.why.join('\n')).toContain(field);
  });

  it('that any Unicode text is as a name is refused or known, never failed over', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 140 }), async (text) => {
        const name = encodeURIComponent(text.isWellFormed() ? text : text.toWellFormed());
        for (const path of [`/v1/services/${name}`, `/v1/services/shop/instances/${name}`, `/v1/routes/${name}`]) {
          const response = await registry.api.get(path);
          if (response.status !== 200) expect([400, 404]).toContain(problemIn(response).status);
        }
      }),
      { numRuns: 60 },
    );
    expect(registry.logged).not.toContain('http.request_failed');
  });

  it.each(['constructor', 'toString', 'hasOwnProperty', 'valueOf'])(
    'is not made of a name that JavaScript knows: %s',
    async (name) => {
      const lower = name.toLowerCase();
      expect(problemIn(await registry.api.get(`/v1/routes/${name}`)).status).toBe(404);
      expect(problemIn(await registry.api.get(`/v1/services/${lower}/instances/${name}`)).status).toBe(404);
      await registry.api.put(`/v1/routes/${name}`).send({ service: lower }).expect(201);
      await registry.api.put(`/v1/services/${lower}/instances/${name}`).send(good).expect(201);
      expect((await registry.api.get(`/v1/routes/${name}`)).body).toMatchObject({ name, service: lower });
      expect((await registry.api.get(`/v1/services/${lower}/instances/${name}`)).body).toMatchObject({ id: name });
      await registry.api.delete(`/v1/routes/${name}`).expect(204);
      await registry.api.delete(`/v1/services/${lower}/instances/${name}`).expect(204);
    },
  );

  it('in metadata comes back as it was sent, whatever it says', async () => {
    const meta = {
      empty: '',
      'emoji 😀': '😀'.repeat(100),
      quotes: `"'\\\u0000\u001f\u2028<script>`,
      surrogate: '\ud800',
      lua: '%d %s [[ ]] @epoch@ @revision@',
      redis: '\r\n*1\r\n$8\r\nFLUSHALL\r\n',
      constructor: 'x',
    };
    const path = '/v1/services/shop/instances/meta';

    const made = await send('put', path, JSON.stringify({ ...good, meta }));

    expect(made.status).toBe(201);
    expect((await registry.api.get(path)).body.meta).toEqual(meta);
    expect((await send('put', path, JSON.stringify({ ...good, meta }))).body.revision).toBe(made.body.revision);
    const proto = await send('put', path, '{"url":"http://10.0.0.5:3000","meta":{"__proto__":"x","a":"1"}}');
    expect(proto.status).toBeLessThan(500);
  });

  it.each([
    ['{"url":', 400, 'malformed_json'],
    ['', 400, 'invalid_input'],
    ['\ufeff', 400, 'invalid_input'],
    [deep(100_000), 400, 'invalid_input'],
    [`{"url":"${'a'.repeat(300_000)}"}`, 413, 'too_large'],
  ])('that is no body for it: %#', async (body, status, code) => {
    expect(problemIn(await send('put', instance, body))).toMatchObject({ status, code });
  });

  it('of another media type is refused without a look', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml']) {
      const problem = problemIn(await registry.api.put(instance).set('content-type', type).send('url=a'));
      expect(problem).toMatchObject({ status: 415, code: 'unsupported_media_type' });
    }
  });

  it.each([
    ['delete', '/v1/services', 405],
    ['post', '/v1/services/shop', 405],
    ['delete', '/v1/services/shop', 405],
    ['put', '/v1/events', 405],
    ['get', `${instance}/heartbeat`, 405],
    ['patch', '/v1/routes/default', 405],
    ['get', '/v1', 404],
    ['get', '/v2/services', 404],
    ['get', '/v1/services/shop/instances/a/b', 404],
    ['get', '/V1/services', 404],
  ] as const)('of the wrong method or path: %s %s', async (method, path, status) => {
    const response = await registry.api[method](path);

    expect(problemIn(response).status).toBe(status);
    if (status === 405) expect(response.headers['allow']).toMatch(/[A-Z]/);
  });

  it('on the wire gets an answer, too', async () => {
    const { hostname, port } = new URL(registry.url);
    const raw = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        let answer = '';
        const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(text));
        socket.on('data', (data) => (answer += data.toString()));
        socket.on('close', () => resolve(answer));
        socket.on('error', reject);
        socket.setTimeout(3_000, () => socket.destroy(new Error(`no answer to ${text.slice(0, 40)}`)));
      });

    expect(await raw('GET /v1/services/%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1.1 400/,
    );
    expect(await raw('\u0000\u0001\r\n\r\n')).toMatch(/^HTTP\/1.1 400/);
    expect(await raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431/);
    expect(await raw(`GET /${'a'.repeat(8_000)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 404/,
    );
  });

  it('in Last-Event-ID and If-Match is named', async () => {
    for (const id of ['yesterday', '1', '1.2.3', '-1.5', '9'.repeat(300)]) {
      const stream = await registry.api.get('/v1/stream').set('last-event-id', id);
      expect(problemIn(stream).why.join()).toContain('Last-Event-ID');
    }
    const deleted = await registry.api.delete(instance).set('if-match', 'W/abc');
    expect(problemIn(deleted).why.join()).toContain('If-Match');
  });

  it('cut off in the middle of a body leaves the registry as it was', async () => {
    const { hostname, port } = new URL(registry.url);
    const cut = httpRequest({
      hostname,
      port,
      path: instance,
      method: 'PUT',
      headers: { 'content-type': 'application/json', 'content-length': 100 },
    });
    cut.on('error', () => undefined);
    await new Promise((resolve) => cut.write('{"url":', resolve));
    cut.destroy();

    expect((await registry.api.get(instance)).body).toMatchObject({ url: good.url });
    expect(registry.logged).not.toContain('http.request_failed');
  });
});
