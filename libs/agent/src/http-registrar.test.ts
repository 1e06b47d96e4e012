import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ok, problemOf } from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';
import { freePort } from '@switchyard/testing';
import { createHttpRegistrar } from './http-registrar.ts';

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

const signal = new AbortController().signal;
const input = { url: 'http://127.0.0.1:9', weight: 1, meta: {}, ttl: '3s', role: 'member' } as const;
const servers: Server[] = [];

/** A registry that answers as it is told and remembers what it was asked. */
async function registry(answer: (res: ServerResponse, seen: Seen) => void) {
  const seen: Seen[] = [];
  const server = createServer((req: IncomingMessage, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (text: string) => (body += text));
    req.on('end', () => {
      const one = { method: req.method, url: req.url, type: req.headers['content-type'], body };
      seen.push(one);
      answer(res, one);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const status = (code: number) => (res: ServerResponse) => void res.writeHead(code).end();
const problem = (refusal: Refusal) => (res: ServerResponse) => {
  const document = problemOf(refusal);
  res.writeHead(document.status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(document));
};
// Far above what a busy machine needs; only the test with a silent registry waits for it to pass.
const timeoutMs = 2_000;
const registrarAt = (...registryUrls: string[]) =>
  createHttpRegistrar({ registryUrls, service: 'shop', id: 'a:1', input, timeoutMs });

describe('createHttpRegistrar', () => {
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  it('speaks the catalog API', async () => {
    const { url, seen } = await registry((res, { method }) => status(method === 'PUT' ? 201 : 204)(res));
    const registrar = registrarAt(url);

    expect(await registrar.register(signal)).toEqual(ok(null));
    expect(await registrar.beat(signal)).toBe('known');
    expect(await registrar.drain('it stops', signal)).toEqual(ok(null));
    expect(await registrar.deregister('it stops', signal)).toEqual(ok(null));

    const at = '/v1/services/shop/instances/a%3A1';
    const json = 'application/json';
    expect(seen).toEqual([
      { method: 'PUT', url: at, type: json, body: JSON.stringify(input) },
      { method: 'POST', url: `${at}/heartbeat`, type: undefined, body: '' },
      { method: 'PATCH', url: at, type: json, body: '{"intent":"draining","reason":"it stops"}' },
      { method: 'DELETE', url: `${at}?reason=it%20stops`, type: undefined, body: '' },
    ]);
  });

  it('sends the load with the beat, and the beat alone to a registry that does not understand it', async () => {
    const unread = problem({ code: 'invalid_input', detail: 'the body is not valid' });
    const { url, seen } = await registry((res, { body }) => (body.includes('lagMs') ? unread(res) : status(204)(res)));

    expect(await registrarAt(url).beat(signal, { inflight: 2 })).toBe('known');
    expect(await registrarAt(url).beat(signal, { lagMs: 2 })).toBe('known');

    expect(seen.map(({ body }) => body)).toEqual(['{"load":{"inflight":2}}', '{"load":{"lagMs":2}}', '']);
  });

  it('hands a refusal back with its code and reasons', async () => {
    const refusal: Refusal = {
      code: 'invalid_input',
      detail: 'the body is not valid',
      why: ['weight: no'],
      next: 'mend',
    };
    const { url } = await registry(problem(refusal));

    expect(await registrarAt(url).register(signal)).toEqual({ ok: false, error: refusal });
  });

  it('takes 404 for an unknown instance, and for success when it deregisters', async () => {
    const { url } = await registry(problem({ code: 'unknown_instance', detail: 'not registered' }));

    expect(await registrarAt(url).beat(signal)).toBe('unknown');
    expect(await registrarAt(url).deregister('why', signal)).toEqual(ok(null));
  });

  it('does not take the 404 of some other server for an unknown instance', async () => {
    const { url } = await registry(status(404));

    await expect(registrarAt(url).beat(signal)).rejects.toThrow('without a problem document');
  });

  it('asks the next registry when one is down, cannot work, or does not answer, and stays with the one that did', async () => {
    const down = `http://127.0.0.1:${await freePort()}`;
    const unable = await registry(problem({ code: 'redis_unavailable', detail: 'Redis is away' }));
    const silent = await registry(() => undefined);
    const sound = await registry(status(204));
    const registrar = registrarAt(down, unable.url, silent.url, sound.url);

    expect(await registrar.beat(signal)).toBe('known');
    expect(await registrar.beat(signal)).toBe('known');

    expect([unable.seen.length, silent.seen.length, sound.seen.length]).toEqual([1, 1, 2]);
  });

  it('names each registry and its reason when none can be reached', async () => {
    const port = await freePort();
    const unable = await registry(problem({ code: 'redis_unavailable', detail: 'Redis is away' }));

    const attempt = registrarAt(`http://127.0.0.1:${port}`, unable.url).register(signal);

    await expect(attempt).rejects.toThrow(`http://127.0.0.1:${port}: connect ECONNREFUSED`);
    await expect(attempt).rejects.toThrow(`${unable.url} answered 503: Redis is away`);
  });

  it('ends at once when its signal aborts', async () => {
    const silent = await registry(() => undefined);
    const controller = new AbortController();

    const attempt = registrarAt(silent.url).beat(controller.signal);
    controller.abort(new Error('the agent stops'));

    await expect(attempt).rejects.toThrow('the agent stops');
  });

  it('wants at least one registry', () => {
    expect(() => registrarAt()).toThrow('at least one registry URL');
  });

  it('asks who has let go, and takes nothing for an answer that is none', async () => {
    const view = {
      service: 'shop',
      id: 'a:1',
      intent: 'draining',
      revision: 7,
      done: false,
      inFlight: 1,
      tunnels: 0,
      direct: false,
      dispatchers: [],
      problems: [],
    };
    const { url, seen } = await registry((res) => void res.writeHead(200).end(JSON.stringify(view)));
    expect(await registrarAt(url).drained?.(signal)).toEqual(ok(view));
    expect(seen).toMatchObject([{ method: 'GET', url: '/v1/services/shop/instances/a%3A1/drain' }]);

    const other = await registry((res) => void res.writeHead(200).end('<html>'));
    expect(await registrarAt(other.url).drained?.(signal)).toMatchObject({ ok: false });
  });
});
