import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { SseStream } from './sse.ts';
import { frameOf, lastEventId, openSse } from './sse.ts';

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
  it('sends its head at once, then events, then comments while it is idle', async () => {
    const port = await serve((req, res) => {
      const stream = openSse(req, res, { keepAliveMs: 10 });
      stream.send({ id: '1', data: { n: 1 } });
      setTimeout(() => stream.close(), 60);
    });

    const response = await fetch(`http://127.0.0.1:${String(port)}`);

    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const text = await response.text();
    expect(text).toMatch(/^retry: 1000\n\nid: 1\ndata: {"n":1}\n\n(: keep-alive\n\n)+$/);
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
