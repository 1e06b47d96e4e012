import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually, freePort } from '@switchyard/testing';
import { createFence } from './fence.ts';

/** A registry that knows one token of the service `shop`. */
async function registry(newest: () => number): Promise<{ url: string; asked: string[]; server: Server }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const token = newest();
      if (request.method === 'GET') {
        const body = { service: 'shop', active: null, fencingToken: token || null, since: null, reason: 'x' };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        return;
      }
      const given = (JSON.parse(text) as { fencingToken: number }).fencingToken;
      if (given === token) {
        response.writeHead(200).end(JSON.stringify({ ok: true, service: 'shop', id: 'a', fencingToken: token }));
        return;
      }
      const problem = { type: 'about:blank', title: 'x', status: 409, code: 'stale_token', detail: `b has ${token}` };
      response
        .writeHead(409, { 'content-type': 'application/problem+json' })
        .end(JSON.stringify({ ...problem, instance: '/', why: [], next: 'stop', requestId: 'r', fencingToken: token }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, server };
}

describe('a fence', () => {
  it('lets the highest token through that it has seen, and nothing older', () => {
    const fence = createFence({ service: 'shop', registryUrls: [] });
    expect(fence.check(7)).toEqual({ ok: true, highest: 7 });
    expect(fence.check(9)).toEqual({ ok: true, highest: 9 });
    expect(fence.check(7)).toEqual({
      ok: false,
      highest: 9,
      reason: '7 is older than 9: another instance was activated',
    });
    fence.learn(12);
    expect(fence.check(9).ok).toBe(false);
    fence.learn(3);
    expect(fence.check(12).ok).toBe(true);
    expect(createFence({ service: 'shop', registryUrls: [], highest: 20 }).check(19).ok).toBe(false);
  });

  it.each([undefined, null, '7', 0, -1, 1.5, Number.NaN, 2 ** 60, {}])('takes %s for no token', (token) => {
    expect(createFence({ service: 'shop', registryUrls: [] }).check(token)).toMatchObject({ ok: false, highest: 0 });
  });

  it('learns of newer tokens by itself while it runs, and survives registries that do not answer', async () => {
    let newest = 5;
    const { url, server } = await registry(() => newest);
    const dead = `http://127.0.0.1:${await freePort()}`;
    const fence = createFence({ service: 'shop', registryUrls: [dead, url], refreshMs: 20 });
    await fence.start();
    try {
      await eventually(() => expect(fence.check(4).ok).toBe(false));
      expect(fence.check(5).ok).toBe(true);
      newest = 8;
      await eventually(() => expect(fence.check(5)).toMatchObject({ ok: false, highest: 8 }));
    } finally {
      await fence.stop();
      server.close();
      server.closeAllConnections();
    }
  });

  it('confirms only what a registry vouches for', async () => {
    const { url, server, asked } = await registry(() => 8);
    const fence = createFence({ service: 'shop', registryUrls: [url], timeoutMs: 300 });
    expect(await fence.confirm(8)).toEqual({ ok: true, highest: 8 });
    expect(await fence.confirm(9)).toEqual({ ok: false, highest: 8, reason: 'b has 8' });
    const { length } = asked;
    expect(await fence.confirm(7)).toMatchObject({ ok: false, highest: 8 });
    expect(asked).toHaveLength(length);
    server.close();
    server.closeAllConnections();
    expect(await fence.confirm(8)).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^nobody could vouch for it: /) as unknown,
    });
    // what it knows it still says
    expect(fence.check(8).ok).toBe(true);
    expect(await createFence({ service: 'shop', registryUrls: [] }).confirm(8)).toMatchObject({ ok: false });
  });
});
