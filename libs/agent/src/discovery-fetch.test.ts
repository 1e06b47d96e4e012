import { createLogger } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import type { RequestListener } from 'node:http';
import { instanceFrame, snapshotFrame, startServer, startStream } from './discovery-fixture.ts';
import type { TestServer, TestStream } from './discovery-fixture.ts';
import { createDiscovery } from './discovery.ts';
import type { Discovery } from './discovery.ts';

const logger = createLogger('test', { level: 'silent' });
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const server = async (answer: RequestListener): Promise<TestServer> => {
  const started = await startServer(answer);
  ends.push(() => started.stop());
  return started;
};
/** A client for the service `shop` of these addresses: `a`, `b`, ... */
const clientOf = async (urls: readonly string[], policy: object = { policy: 'round-robin' }) => {
  const instances = urls.map((url, index) => ({ id: 'abcdef'.charAt(index), url }));
  const registry: TestStream = await startStream(snapshotFrame(instances, { policy }));
  const discovery: Discovery = createDiscovery({ registryUrls: [registry.url], logger, random: () => 0 });
  ends.push(
    () => registry.stop(),
    () => discovery.stop(),
  );
  await discovery.service('shop').ready();
  return { discovery, registry };
};
const good: RequestListener = (req, res) => {
  res.setHeader('seen-instance', String(req.headers['switchyard-instance']));
  res.end('fine');
};
const answering =
  (status: number): RequestListener =>
  (_req, res) => {
    res.statusCode = status;
    res.end();
  };
const gone = async (): Promise<string> => {
  const started = await startServer(good);
  await started.stop();
  return started.url;
};

describe('fetch through discovery', () => {
  it('names the instance that it means, and tells which one answered', async () => {
    const { discovery } = await clientOf([(await server(good)).url]);
    const response = await discovery.fetch('http://shop/path?x=1');
    expect([response.status, response.headers.get('seen-instance')]).toEqual([200, 'a']);
    expect(discovery.instanceOf(response)?.id).toBe('a');
  });

  it.each(['GET', 'POST'])('sends a refused %s elsewhere, and leaves the instance out for a moment', async (method) => {
    const { discovery } = await clientOf([await gone(), (await server(good)).url]);
    const body = method === 'POST' ? 'once' : undefined;
    for (let turn = 0; turn < 4; turn += 1) {
      const response = await discovery.fetch('http://shop/', { method, ...(body && { body }) });
      expect([response.status, discovery.instanceOf(response)?.id]).toEqual([200, 'b']);
    }
    expect(discovery.service('shop').pick()?.id).toBe('b');
    expect(discovery.service('shop').pick()?.id).toBe('b');
  });

  it('tries those that it has left out when nobody else is left', async () => {
    const { discovery } = await clientOf([await gone(), (await server(answering(503))).url]);
    await (await discovery.fetch('http://shop/')).body?.cancel();
    expect(discovery.service('shop').pick({ exclude: ['b'] })?.id).toBe('a');
  });

  it.each([502, 503, 504])('asks another one after %i, but not for a POST', async (status) => {
    const { discovery } = await clientOf([(await server(answering(status))).url, (await server(good)).url]);
    expect((await discovery.fetch('http://shop/')).status).toBe(200);
    const posts = [await discovery.fetch('http://shop/', { method: 'POST', body: 'x' })];
    posts.push(await discovery.fetch('http://shop/', { method: 'POST', body: 'x' }));
    expect(new Set(posts.map((post) => post.status))).toEqual(new Set([200, status]));
  });

  it('asks another one when an answer breaks, but not for a POST', async () => {
    const { discovery } = await clientOf([(await server((req) => req.socket.destroy())).url, (await server(good)).url]);
    expect((await discovery.fetch('http://shop/')).status).toBe(200);
    const posts = await Promise.allSettled([
      discovery.fetch('http://shop/', { method: 'POST', body: 'x' }),
      discovery.fetch('http://shop/', { method: 'POST', body: 'x' }),
    ]);
    expect(posts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('sends anything elsewhere that met the wrong instance', async () => {
    const { discovery } = await clientOf([(await server(answering(421))).url, (await server(good)).url]);
    expect((await discovery.fetch('http://shop/', { method: 'POST', body: 'x' })).status).toBe(200);
  });

  it('asks at most three, and hands back the last answer', async () => {
    let asked = 0;
    const busy = await server((req, res) => {
      asked += 1;
      answering(503)(req, res);
    });
    const { discovery } = await clientOf([busy.url, busy.url, busy.url, busy.url, busy.url]);
    expect((await discovery.fetch('http://shop/')).status).toBe(503);
    expect(asked).toBe(3);
  });

  it('adds a fifth at most to the requests of a service that answers badly', async () => {
    let asked = 0;
    const busy = await server((req, res) => {
      asked += 1;
      answering(503)(req, res);
    });
    const { discovery } = await clientOf([busy.url, busy.url, busy.url, busy.url]);
    for (let turn = 0; turn < 100; turn += 1) await (await discovery.fetch('http://shop/')).body?.cancel();
    expect(asked).toBeGreaterThan(120);
    expect(asked).toBeLessThanOrEqual(130);
  });

  it('takes all requests elsewhere that a death has cut', async () => {
    const cut: (() => void)[] = [];
    const dying = await server((req) => void cut.push(() => req.socket.destroy()));
    const { discovery } = await clientOf([dying.url, (await server(good)).url]);
    const answers = Array.from({ length: 60 }, () => discovery.fetch('http://shop/'));
    await eventually(() => expect(cut.length).toBe(30));
    for (const end of cut) end();
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it('does not send a stream twice', async () => {
    const { discovery } = await clientOf([await gone(), (await server(good)).url]);
    const body = new ReadableStream({ start: (controller) => controller.close() });
    const init = { method: 'PUT', body, duplex: 'half' } as RequestInit;
    await expect(discovery.fetch('http://shop/', init)).rejects.toThrow('fetch failed');
  });

  it('ends when the caller gives up, without asking anybody else', async () => {
    let asked = 0;
    const silent = await server(() => void (asked += 1));
    const { discovery } = await clientOf([silent.url, silent.url]);
    const caller = new AbortController();
    const answer = discovery.fetch('http://shop/', { signal: caller.signal });
    await eventually(() => expect(asked).toBe(1));
    caller.abort(new Error('enough'));
    await expect(answer).rejects.toThrow('enough');
    expect(asked).toBe(1);
  });

  it('does not wait for an instance that is evicted meanwhile', async () => {
    let asked = 0;
    const frozen = await server(() => void (asked += 1));
    const { discovery, registry } = await clientOf([frozen.url, (await server(good)).url]);
    const answer = discovery.fetch('http://shop/');
    await eventually(() => expect(asked).toBe(1));
    registry.say(instanceFrame('instance.evicted', 11, { id: 'a', liveness: 'dead', url: frozen.url }));
    const response = await answer;
    expect(discovery.instanceOf(response)?.id).toBe('b');
  });

  it('says who could not be used when nobody is left', async () => {
    const { discovery } = await clientOf([]);
    await expect(discovery.fetch('http://shop/')).rejects.toMatchObject({
      refusal: { code: 'no_instance', why: ['no instance of shop is registered'] },
    });
  });
});
