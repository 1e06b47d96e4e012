import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { SseStream } from './sse.ts';
import { frameOf, keepAliveChunk, lastEventId, openSse, sseChunk } from './sse.ts';

const closers: (() => void)[] = [];
const serve = async (app: RequestListener): Promise<number> => {
  const server = createServer(app).listen(0, '127.0.0.1');
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

describe('an event', () => {
  it('becomes a frame with id, name and JSON', () => {
    expect(frameOf({ id: '7', event: 'instance.registered', data: { a: 1 } })).toBe(
      'id: 7\nevent: instance.registered\ndata: {"a":1}\n\n',
    );
  });

  it('keeps the lines of a text and cannot be forged by line breaks in its id', () => {
    expect(frameOf({ id: '7\nevent: forged', data: 'one\r\ntwo\n' })).toBe(
      'id: 7event: forged\ndata: one\ndata: two\ndata: \n\n',
    );
  });
});

describe('the last event id', () => {
  it.each([
    [undefined, undefined],
    ['', undefined],
    [' 42 ', '42'],
    ['x'.repeat(257), undefined],
  ])('of the header %j is %j', (header, expected) => {
    expect(lastEventId(header === undefined ? {} : { 'last-event-id': header })).toBe(expected);
  });
});

describe('an event stream', () => {
  it('sends its head at once, then events, then what keeps it alive', async () => {
    const port = await serve((req, res) => {
      const stream = openSse(req, res);
      stream.send({ id: '1', data: { n: 1 } });
      stream.write(keepAliveChunk());
      stream.write(keepAliveChunk('1.7'));
      setTimeout(() => stream.close(), 20);
    });

    const response = await fetch(`http://127.0.0.1:${String(port)}`);

    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(await response.text()).toBe(
      'retry: 1000\n\nid: 1\ndata: {"n":1}\n\n: keep-alive\n\n: keep-alive\nid: 1.7\n\n',
    );
  });

  it.each([
    ['HTTP/1.1', 1, /Transfer-Encoding: chunked\r\n\r\nd\r\nretry: 1000\n\n\r\na\r\ndata: ä\n\n\r\n0\r\n\r\n$/],
    ['HTTP/1.0', 1, /\r\n\r\nretry: 1000\n\ndata: ä\n\n$/],
    ['HTTP/1.1', 2, /(d\r\nretry: 1000\n\n\r\na\r\ndata: ä\n\n\r\n0\r\n\r\n[^]*){2}$/],
  ])('is well-formed in %s, with %i requests at once', async (version, requests, expected) => {
    const port = await serve((req, res) => {
      const stream = openSse(req, res);
      stream.write(sseChunk([frameOf({ data: 'ä' })]));
      setTimeout(() => stream.close(), 20);
    });
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    for (let n = 1; n <= requests; n += 1) {
      socket.write(`GET / ${version}\r\nHost: x\r\n${n === requests ? 'Connection: close\r\n' : ''}\r\n`);
    }
    await once(socket, 'close');

    expect(text).toMatch(expected);
  });

  it('takes one piece that is larger than the bound, and is not called slow for what comes within it', async () => {
    let stream: SseStream | undefined;
    const large = sseChunk([frameOf({ data: 'x'.repeat(8_000_000) })]);
    const port = await serve((req, res) => {
      stream = openSse(req, res, { maxUnreadBytes: 100_000 });
      stream.write(large);
      for (let n = 0; n < 50; n += 1) stream.send({ data: 'y'.repeat(1_000) });
      stream.close();
    });

    const text = await (await fetch(`http://127.0.0.1:${String(port)}`)).text();

    expect(text.length).toBeGreaterThan(8_050_000);
    expect(text.endsWith('y\n\n')).toBe(true);
  });

  it('cuts off a client that does not read, and keeps no more than its bound', async () => {
    let stream: SseStream | undefined;
    let mostUnread = 0;
    const port = await serve((req, res) => {
      stream = openSse(req, res, { maxUnreadBytes: 100_000 });
      const event = { data: 'x'.repeat(10_000) };
      while (stream.send(event)) mostUnread = Math.max(mostUnread, res.writableLength);
    });
    const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    socket.on('error', () => undefined);
    closers.push(() => socket.destroy());
    socket.pause();

    while (!stream?.closed.aborted) await new Promise((resolve) => setTimeout(resolve, 5));

    expect(mostUnread).toBeGreaterThan(0);
    expect(mostUnread).toBeLessThanOrEqual(100_000);
    expect(stream.send({ data: 1 })).toBe(false);
  });

  it('tells when the client went away', async () => {
    let stream: SseStream | undefined;
    const port = await serve((req, res) => {
      stream = openSse(req, res);
    });
    const client = new AbortController();
    await fetch(`http://127.0.0.1:${String(port)}`, { signal: client.signal });

    client.abort();
    while (!stream?.closed.aborted) await new Promise((resolve) => setTimeout(resolve, 5));

    expect(stream.send({ data: 1 })).toBe(false);
  });
});
