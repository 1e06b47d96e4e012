import { describe, expect, it } from '@jest/globals';
import { RefusalError } from '@switchyard/protocol';
import { createHealth, createLogger, createMetrics, systemClock } from '@switchyard/runtime';
import request from 'supertest';
import { z } from 'zod';
import type { ApiOptions } from './api.ts';
import { createApi } from './api.ts';
import type { Route } from './route.ts';
import { route } from './route.ts';

class RedisAway extends Error {}

const thingSchema = z.object({ id: z.string(), weight: z.int().min(0).max(100) }).meta({ id: 'Thing' });

const things: readonly Route[] = [
  route({
    method: 'get',
    path: '/v1/things/:id',
    summary: 'One thing',
    params: z.object({ id: z.string().max(20) }),
    query: z.strictObject({ limit: z.coerce.number().int().max(10).optional() }),
    responses: { 200: { description: 'The thing', schema: thingSchema } },
    handle: ({ params, query }) => ({
      status: 200,
      body: { id: params.id, weight: query.limit ?? 1 },
      headers: { etag: '"1"' },
    }),
  }),
  route({
    method: 'put',
    path: '/v1/things/:id',
    summary: 'Put a thing',
    params: z.object({ id: z.string().max(20) }),
    body: thingSchema,
    responses: { 201: { description: 'Made' }, 409: { description: 'Conflict' } },
    handle: ({ params, body }) =>
      body.id === params.id
        ? { status: 201, body }
        : { code: 'conflict', detail: 'the ids differ', why: ['one', 'two'] },
  }),
  route({
    method: 'post',
    path: '/v1/things/:id/beat',
    summary: 'An optional body',
    body: z.object({ load: z.number() }).optional(),
    responses: { 204: { description: 'Noted' } },
    handle: ({ body }) => ({ status: 204, headers: { 'x-load': String(body?.load) } }),
  }),
  route({
    method: 'get',
    path: '/v1/things:test',
    summary: 'A colon in the path',
    responses: { 200: { description: 'Fine' } },
    handle: () => ({ status: 200, body: { tested: true } }),
  }),
  route({
    method: 'get',
    path: '/v1/fail/:how',
    summary: 'Fails',
    responses: { 200: { description: 'Never' } },
    timeoutMs: 50,
    handle: async ({ params, signal }) => {
      if (params['how'] === 'redis') throw new RedisAway('connect ECONNREFUSED 10.1.2.3:6379');
      if (params['how'] === 'refusal') throw new RefusalError({ code: 'no_primary', detail: 'nobody is primary' });
      if (params['how'] === 'never') await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw new Error('secret internal detail');
    },
  }),
];

const serve = (options: Partial<ApiOptions> = {}) => {
  const lines: string[] = [];
  const health = createHealth({ clock: systemClock });
  const api = createApi({
    title: 'Things',
    version: '1.2.3',
    routes: things,
    health,
    metrics: createMetrics(),
    logger: createLogger('things', { level: 'info', destination: { write: (line) => lines.push(line) } }),
    errorToRefusal: (error) =>
      error instanceof RedisAway ? { code: 'redis_unavailable', detail: 'the catalog cannot be reached' } : undefined,
    ...options,
  });
  return { api, health, lines };
};

const expectProblem = (response: request.Response, status: number, code: string): void => {
  expect({ status: response.status, type: response.headers['content-type'], code: response.body.code }).toEqual({
    status,
    type: 'application/problem+json',
    code,
  });
  expect(response.body).toMatchObject({
    type: `urn:switchyard:error:${code}`,
    status,
    title: expect.any(String),
    detail: expect.any(String),
    instance: expect.any(String),
    why: expect.any(Array),
    next: expect.any(String),
    requestId: response.headers['x-request-id'],
  });
  expect(JSON.stringify(response.body)).not.toMatch(/node_modules|\.ts:\d|at \w+ \(/);
};

describe('a request that is right', () => {
  it('reaches its handler with decoded path and query', async () => {
    const response = await request(serve().api).get('/v1/things/a%2Fb%20c?limit=7');

    expect(response.status).toBe(200);
    expect(response.body).toEqual({ id: 'a/b c', weight: 7 });
    expect(response.headers).toMatchObject({
      etag: '"1"',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    expect(response.headers['x-powered-by']).toBeUndefined();
  });

  it('reaches its handler with a decoded body', async () => {
    const response = await request(serve().api).put('/v1/things/a').send({ id: 'a', weight: 3 });

    expect(response.status).toBe(201);
    expect(response.body).toEqual({ id: 'a', weight: 3 });
  });

  it('may leave out a body that is optional', async () => {
    const { api } = serve();

    const without = await request(api).post('/v1/things/a/beat');
    const empty = await request(api).post('/v1/things/a/beat').set('content-type', 'application/json').send('');
    const withBody = await request(api).post('/v1/things/a/beat').send({ load: 2 });

    expect([without, empty, withBody].map((response) => [response.status, response.headers['x-load']])).toEqual([
      [204, 'undefined'],
      [204, 'undefined'],
      [204, '2'],
    ]);
  });

  it('keeps a sane request id and replaces any other', async () => {
    const { api } = serve();

    const kept = await request(api).get('/livez').set('x-request-id', 'abc-1.2:3');
    const replaced = await request(api).get('/livez').set('x-request-id', 'a b"<script>');

    expect(kept.headers['x-request-id']).toBe('abc-1.2:3');
    expect(replaced.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('answers HEAD as GET without a body, and OPTIONS with the methods', async () => {
    const { api } = serve();

    const head = await request(api).head('/v1/things/a');
    const asked = await request(api).options('/v1/things/a');

    expect([head.status, head.text]).toEqual([200, undefined]);
    expect([asked.status, asked.headers['allow']]).toEqual([204, 'GET, HEAD, OPTIONS, PUT']);
  });

  it('may have a literal colon in its path', async () => {
    const response = await request(serve().api).get('/v1/things:test');

    expect(response.body).toEqual({ tested: true });
  });
});

describe('a request that is wrong', () => {
  it.each([
    ['an unknown path', 'get', '/nowhere', 404, 'not_found'],
    ['a method that the path does not have', 'delete', '/v1/things/a', 405, 'method_not_allowed'],
    ['a malformed percent-encoding', 'get', '/v1/things/%E0%A4%A', 400, 'malformed_request'],
    ['a path value out of range', 'get', `/v1/things/${'x'.repeat(21)}`, 400, 'invalid_input'],
    ['a query value of the wrong kind', 'get', '/v1/things/a?limit=many', 400, 'invalid_input'],
    ['an unknown key for a strict query', 'get', '/v1/things/a?limt=1', 400, 'invalid_input'],
    ['a missing body', 'put', '/v1/things/a', 400, 'invalid_input'],
  ] as const)('is refused: %s', async (_name, method, path, status, code) => {
    const response = await request(serve().api)[method](path);

    expectProblem(response, status, code);
  });

  it('is told which methods the path has', async () => {
    const response = await request(serve().api).patch('/v1/things/a').send({});

    expectProblem(response, 405, 'method_not_allowed');
    expect(response.headers['allow']).toBe('GET, HEAD, OPTIONS, PUT');
  });

  it.each([
    ['malformed JSON', 'application/json', '{"id": ', 400, 'malformed_json'],
    ['another media type', 'text/plain', 'id=a', 415, 'unsupported_media_type'],
    ['the media type of curl -d', 'application/x-www-form-urlencoded', '{"id":"a"}', 415, 'unsupported_media_type'],
    ['an unknown charset', 'application/json; charset=klingon', '{}', 415, 'unsupported_media_type'],
    ['a body that is too large', 'application/json', JSON.stringify({ id: 'x'.repeat(300_000) }), 413, 'too_large'],
    ['a body of another shape', 'application/json', '[1]', 400, 'invalid_input'],
    ['a body that is null', 'application/json', 'null', 400, 'invalid_input'],
  ])('is refused for its body: %s', async (_name, type, body, status, code) => {
    const response = await request(serve().api).put('/v1/things/a').set('content-type', type).send(body);

    expectProblem(response, status, code);
  });

  it('is refused for a content encoding that nobody knows, and for a broken one', async () => {
    const { api } = serve();
    const put = (encoding: string) =>
      request(api)
        .put('/v1/things/a')
        .set('content-type', 'application/json')
        .set('content-encoding', encoding)
        .send('{}');

    expectProblem(await put('zip'), 415, 'unsupported_media_type');
    expectProblem(await put('gzip'), 400, 'malformed_request');
  });

  it('learns every fault of path, query and body at once', async () => {
    const response = await request(serve().api)
      .put(`/v1/things/${'x'.repeat(21)}`)
      .send({ id: 1, weight: 101 });

    expectProblem(response, 400, 'invalid_input');
    expect(response.body.why).toHaveLength(3);
    expect(response.body.why.join('\n')).toMatch(/^id: .*\nid: .*\nweight: /);
  });
});

describe('a handler that does not answer well', () => {
  it('becomes a 500 that tells nothing, with the cause in the log under the same request id', async () => {
    const { api, lines } = serve();

    const response = await request(api).get('/v1/fail/defect').set('x-request-id', 'look-for-me');

    expectProblem(response, 500, 'internal');
    expect(response.text).not.toContain('secret internal detail');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ msg: 'http.request_failed', requestId: 'look-for-me', route: '/v1/fail/:how' }),
    ]);
    expect(lines[0]).toContain('secret internal detail');
  });

  it('becomes the refusal that the service knows for the error, which may be tried again', async () => {
    const { api, lines } = serve();

    const response = await request(api).get('/v1/fail/redis');

    expectProblem(response, 503, 'redis_unavailable');
    expect(response.headers['retry-after']).toBe('1');
    expect(response.text).not.toContain('10.1.2.3');
    expect(lines).toEqual([]);
  });

  it('becomes the refusal that it threw', async () => {
    expectProblem(await request(serve().api).get('/v1/fail/refusal'), 503, 'no_primary');
  });

  it('becomes a 504 after its time, and its signal aborts', async () => {
    expectProblem(await request(serve().api).get('/v1/fail/never'), 504, 'timed_out');
  });

  it('becomes a refusal with its evidence when it returns one', async () => {
    const response = await request(serve().api).put('/v1/things/a').send({ id: 'b', weight: 1 });

    expectProblem(response, 409, 'conflict');
    expect(response.body).toMatchObject({ detail: 'the ids differ', why: ['one', 'two'] });
  });
});

describe('what every service answers', () => {
  it('is alive also when it is not ready', async () => {
    const { api, health } = serve();
    health.set('redis', { ok: false, detail: 'waits for the primary' });

    const response = await request(api).get('/livez');

    expect([response.status, response.text]).toEqual([200, 'ok\n']);
  });

  it('is ready when it runs and no critical check fails; verbose shows each check', async () => {
    const { api, health } = serve();
    const starting = await request(api).get('/readyz');
    health.setPhase('RUNNING');
    health.set('feed', { ok: false, detail: 'stale for 3 s', critical: false });
    const running = await request(api).get('/readyz?verbose');
    health.set('redis', { ok: false, detail: 'waits for the primary' });
    const waiting = await request(api).get('/readyz?verbose');

    expectProblem(starting, 503, 'not_ready');
    expect([running.status, running.body.ready, running.body.checks.feed.ok]).toEqual([200, true, false]);
    expectProblem(waiting, 503, 'not_ready');
    expect(waiting.body.why).toEqual(['redis: waits for the primary']);
    expect(waiting.body.checks.redis.detail).toBe('waits for the primary');
  });

  it('counts requests by the pattern of their route and not by their path', async () => {
    const { api } = serve();
    await request(api).get('/v1/things/a');
    await request(api).get('/v1/things/b');
    await request(api).get('/nowhere/1');

    const { text, headers } = await request(api).get('/metrics');

    expect(headers['content-type']).toContain('text/plain');
    expect(text).toContain('switchyard_http_requests_total{method="GET",route="/v1/things/:id",status="200"} 2');
    expect(text).toContain('switchyard_http_requests_total{method="GET",route="none",status="404"} 1');
  });

  it('describes itself as OpenAPI 3.1 from the same routes', async () => {
    const { body } = await request(serve().api).get('/v1/openapi.json');

    expect(body.openapi).toBe('3.1.1');
    expect(body.info).toEqual({ title: 'Things', version: '1.2.3' });
    expect(Object.keys(body.paths)).toEqual([
      '/v1/things/{id}',
      '/v1/things/{id}/beat',
      '/v1/things:test',
      '/v1/fail/{how}',
      '/livez',
      '/readyz',
      '/metrics',
      '/v1/openapi.json',
    ]);
    expect(body.paths['/v1/things/{id}'].put.requestBody.required).toBe(true);
    expect(body.paths['/v1/things/{id}/beat'].post.requestBody.required).toBe(false);
    expect(body.paths['/v1/things/{id}'].get.parameters.map((one: { in: string }) => one.in)).toEqual([
      'path',
      'query',
    ]);
    expect(Object.keys(body.components.schemas)).toEqual(expect.arrayContaining(['Thing', 'Problem']));
    const ids = Object.values(body.paths as Record<string, Record<string, { operationId: string }>>).flatMap((path) =>
      Object.values(path).map((operation) => operation.operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('offers what no route answers to the fallback before it refuses', async () => {
    const { api } = serve({
      fallback: ({ req, res, requestId }) => {
        if (req.url !== '/v1/other' && req.method !== 'DELETE') return false;
        res.end(`taken ${requestId}`);
        return true;
      },
    });

    const other = await request(api).get('/v1/other').set('x-request-id', 'r1');
    const byMethod = await request(api).delete('/v1/things/a').set('x-request-id', 'r2');
    const refused = await request(api).get('/v1/third');

    expect([other.text ?? '', byMethod.text ?? '']).toEqual(['taken r1', 'taken r2']);
    expectProblem(refused, 404, 'not_found');
  });
});
