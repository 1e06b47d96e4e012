// What becomes of the body of a request that is answered without it? It is still that request's body: nothing in it is ever read as
// the next request, by nobody (CVE-2025-4366 in Pingora; PortSwigger's CL.0 and early-response gadgets, 2022 and 2025).
import type { Socket } from 'node:net';
import { rawOrigin, startYard, type Origin, type Yard } from './proxy-fixture.ts';
import { readAnswers, readRequests, strictReading } from './reading-fixture.ts';
import { assail, type Cutting } from './smuggling-fixture.ts';

const evil = 'GET /shop/evil HTTP/1.1\r\nHost: a\r\n\r\n';
const behind = 'GET /shop/behind HTTP/1.1\r\nHost: a\r\n\r\n';
const bodies: readonly (readonly [string, string])[] = [
  ['a length', `Content-Length: ${evil.length}\r\n\r\n${evil}`],
  ['chunks', `Transfer-Encoding: chunked\r\n\r\n${evil.length.toString(16)}\r\n${evil}\r\n0\r\n\r\n`],
];
const cuttings: readonly Cutting[] = ['whole', 'halved', 'trickled'];

let origin: Origin;
let yard: Yard;
afterEach(async () => {
  await yard.stop();
  await origin.close();
});

describe.each(bodies)('a body by %s that is a request', (_name, body) => {
  it.each(cuttings)('is no request behind a refusal, sent %s', async (cutting) => {
    origin = await rawOrigin((socket, received) => {
      if (received.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    yard = await startYard({ ports: [origin.port], route: { pathPrefix: '/shop' } });

    const heard = await assail(yard.port, [`POST /nowhere HTTP/1.1\r\nHost: a\r\n${body}`, behind], {
      cutting,
      enough: (text) => text.endsWith('\r\n\r\nok'),
      ms: 3_000,
    });

    const { answers, rest } = readAnswers(heard.text, ['POST', 'GET'], heard.ended);
    expect(answers.map(({ status }) => status)).toEqual([404, 200]);
    expect(rest).toBe('');
    expect(origin.received.join('')).toContain('/shop/behind');
    expect(origin.received.join('')).not.toContain('/shop/evil');
  });

  it.each(cuttings)('is no request behind a redirect, sent %s', async (cutting) => {
    origin = await rawOrigin(() => undefined);
    yard = await startYard({ ports: [origin.port], route: { action: 'redirect' } });

    const heard = await assail(yard.port, [`POST /one HTTP/1.1\r\nHost: a\r\n${body}`, behind], {
      cutting,
      enough: (text) => text.split('\r\n\r\n').length > 2,
      ms: 3_000,
    });

    const locations = [...heard.text.matchAll(/^Location: http:\/\/[^/]+(\S+)\r$/gim)].map(([, path]) => path);
    expect(locations).toEqual(['/one', '/shop/behind']);
    expect(origin.received).toEqual([]);
  });

  it.each(cuttings)('is no request behind an early answer of an instance, sent %s', async (cutting) => {
    const answered = new WeakMap<Socket, number>();
    origin = await rawOrigin((socket, received) => {
      // answers as soon as there is a head, then lets the body run in
      const heads = received.match(/^(?:POST|GET) \/shop\/(?:early|behind) [^]*?\r\n\r\n/gm)?.length ?? 0;
      for (let count = answered.get(socket) ?? 0; count < heads; count += 1) {
        socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nok');
      }
      answered.set(socket, heads);
    });
    yard = await startYard({ ports: [origin.port], route: { pathPrefix: '/shop' } });

    const heard = await assail(yard.port, [`POST /shop/early HTTP/1.1\r\nHost: a\r\n${body}`, behind], {
      cutting,
      enough: (text) => text.split('\r\n\r\nok').length > 2,
      ms: 3_000,
    });

    const { answers } = readAnswers(heard.text, ['POST', 'GET'], heard.ended);
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
    // the rest of a body may be missing where the engine has closed the connection
    const targets = origin.received.flatMap((text) =>
      readRequests(text, strictReading).requests.map(({ target }) => target),
    );
    expect(targets.filter((target) => target !== '/shop/early' && target !== '/shop/behind')).toEqual([]);
    for (const text of origin.received) expect(text).not.toMatch(/^GET \/shop\/evil[^]*GET \/shop\/behind/);
  });
});
