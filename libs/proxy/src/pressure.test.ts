// How much may one client or one instance make us hold? A sender that is faster than its reader waits, in every state.
import { connect, type Socket } from 'node:net';
import { eventually } from '@switchyard/testing';
import type { Timeouts } from './engine.ts';
import { httpOrigin, rawOrigin, say, startYard, type Origin, type Yard } from './proxy-fixture.ts';

const MiB = 1024 * 1024;
/** What the kernel takes from a sender whose reader does not read; here it is about 4 MiB. */
const kernelBytes = 8 * MiB;

const open: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});

async function yardOf(origin: Origin, options: Partial<Parameters<typeof startYard>[0]> = {}): Promise<Yard> {
  const yard = await startYard({ ports: [origin.port], ...options });
  open.push(yard, { stop: () => origin.close() });
  return yard;
}

/** A client by hand. */
function rawClient(port: number) {
  const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  let text = '';
  let isClosed = false;
  socket.on('error', () => undefined);
  socket.on('close', () => (isClosed = true));
  open.push({ stop: async () => void socket.destroy() });
  return {
    socket,
    read: () => socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1'))),
    heard: () => text,
    closed: () => isClosed,
    /** Says it again and again, as fast as it is taken; counts what was. */
    flood(again: string): () => number {
      let taken = 0;
      const more = (): void => {
        if (socket.destroyed) return;
        socket.write(again, () => {
          taken += again.length;
          more();
        });
      };
      more();
      return () => taken;
    },
  };
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

describe('a client', () => {
  it('that pipelines without end is read no further than it is answered', async () => {
    const origin = await httpOrigin((_req, res) => setTimeout(() => res.end('ok'), 5));
    const yard = await yardOf(origin);
    const client = rawClient(yard.port);
    client.read();
    const taken = client.flood(get('/').repeat(1_000));

    await eventually(() => (client.heard().match(/\r\n\r\nok/g)?.length ?? 0) > 300, { timeoutMs: 15_000 });

    expect(taken()).toBeLessThan(kernelBytes);
  });

  it('that pipelines and never reads stops being answered, and is answered on when it reads', async () => {
    let asked = 0;
    const origin = await httpOrigin((req, res) => {
      asked += 1;
      res.end(`<${req.url}>`.padEnd(2_000, '.'));
    });
    const yard = await yardOf(origin);
    const client = rawClient(yard.port);
    const count = 10_000;
    client.socket.write(Array.from({ length: count }, (_, i) => get(`/${i}`)).join(''));

    await eventually(
      async () => {
        const before = asked;
        await pause(300);
        return asked > 0 && asked === before;
      },
      { timeoutMs: 20_000, intervalMs: 0 },
    );
    expect(asked * 2_000).toBeLessThan(kernelBytes);

    client.read();
    await eventually(() => client.heard().includes(`</${count - 1}>`), { timeoutMs: 20_000 });
    const answers = [...client.heard().matchAll(/<\/(\d+)>/g)].map(([, number]) => Number(number));
    expect(answers).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  it('that takes nothing of what waits for it is disconnected, between requests as within one', async () => {
    const origin = await httpOrigin((_req, res) => res.end('.'.repeat(2_000)));
    const yard = await yardOf(origin, { timeouts: { idleMs: 400 } });
    const client = rawClient(yard.port);
    client.socket.write(get('/').repeat(10_000));

    await eventually(() => yard.plane.stats().connections === 1);
    await eventually(() => yard.plane.stats().connections === 0, { timeoutMs: 8_000 });
    expect(yard.plane.stats().inFlight).toBe(0);
  });

  it('that sends its waiting requests byte by byte is answered all the same', async () => {
    let release = (): void => undefined;
    const origin = await httpOrigin((_req, res) => {
      release = () => res.end('ok');
    });
    const yard = await yardOf(origin);
    const client = rawClient(yard.port);
    client.read();
    client.socket.write(get('/first'));
    await eventually(() => yard.plane.stats().inFlight === 1);
    const bytes = get('/second', `X: ${'y'.repeat(12_000)}\r\n`);
    for (const byte of bytes) {
      client.socket.write(byte);
      await new Promise((next) => setImmediate(next));
    }
    release();
    await eventually(() => client.heard().includes('ok'));
    release();
    await eventually(() => client.heard().match(/\r\n\r\nok/g)?.length === 2);
  });

  describe('that takes the end of its answer slowly gets it whole', () => {
    // as many sizes as it takes for some of them to fit into the kernel but for the last few kilobytes
    const sizes = Array.from({ length: 40 }, (_, i) => Math.trunc(2.4 * MiB) + i * 60 * 1024);

    async function paused(timeouts: Partial<Timeouts>, field: string) {
      const origin = await httpOrigin((req, res) => res.end(Buffer.alloc(Number(req.url?.slice(1)), 'x')));
      const yard = await yardOf(origin, { timeouts });
      const clients = sizes.map((size) => {
        const client = rawClient(yard.port);
        client.socket.pause();
        client.socket.write(get(`/${size}`, field));
        return { client, size };
      });
      const expectWhole = async (): Promise<void> => {
        for (const { client } of clients) client.socket.on('data', () => undefined).resume();
        await eventually(() => clients.every(({ client }) => client.socket.readableEnded || client.closed()), {
          timeoutMs: 20_000,
        });
        expect(clients.filter(({ client, size }) => client.socket.bytesRead < size).map(({ size }) => size)).toEqual(
          [],
        );
      };
      return { yard, expectWhole };
    }

    it.each([
      ['when its connection ends behind it', 'Connection: close\r\n'],
      ['when its connection is kept', ''],
    ])('%s', async (_when, field) => {
      const { expectWhole } = await paused({ keepAliveMs: 500 }, field);
      await pause(3_000);
      await expectWhole();
    });

    it('when the engine stops', async () => {
      const { yard, expectWhole } = await paused({ drainMs: 8_000 }, '');
      await eventually(() => yard.plane.stats().requestsTotal === sizes.length);
      await pause(500);
      const stopped = yard.plane.drain().then(() => yard.plane.stop());
      await pause(500);
      await expectWhole();
      await stopped;
    });
  });
});

describe('an instance', () => {
  it('that says interim answers without end is not listened to for long', async () => {
    const origin = await rawOrigin((socket) => {
      const more = (): void => {
        // a write behind the end of the socket gives an error, which is as true as true
        while (socket.writable && socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(100)));
      };
      socket.on('drain', more);
      more();
    });
    const yard = await yardOf(origin);
    const client = rawClient(yard.port);
    client.socket.pause();
    client.socket.write(get('/'));
    await eventually(() => yard.plane.stats().requestsTotal === 1 && yard.plane.stats().inFlight === 0);
    expect(yard.plane.stats().refusalsByCode).toMatchObject({ bad_upstream: 1 });
  });

  it('that takes no request body makes its client wait, and fails in the end', async () => {
    const origin = await rawOrigin((socket) => socket.pause());
    const yard = await yardOf(origin, { timeouts: { idleMs: 600 } });
    const client = rawClient(yard.port);
    client.read();
    const size = 64 * MiB;
    client.socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    const body = Buffer.alloc(MiB);
    for (let sent = 0; sent < size; sent += body.length) client.socket.write(body);
    await eventually(() => client.heard().includes('HTTP/1.1 504'), { timeoutMs: 8_000 });
    expect(client.heard()).toMatch(/it took nothing of the request for 600 ms/);
    expect(yard.targets[0]?.meter).toMatchObject({ inFlight: 0, errors: 1 });
  });
});

describe('sizes at the limit', () => {
  it('a head just within it goes through, in pieces too', async () => {
    const origin = await httpOrigin((req, res) => res.end(String(String(req.headers['x-long']).length)));
    const yard = await yardOf(origin, { limits: { headBytes: 12_000 } });
    const fixed = get('/', 'X-Long: \r\n').length;
    const longest = 12_000 - fixed;
    const heard = await say(yard.port, get('/', `X-Long: ${'y'.repeat(longest)}\r\n`), { until: `\r\n\r\n${longest}` });
    expect(heard.text).toMatch(/^HTTP\/1\.1 200/);
    const larger = await say(yard.port, get('/', `X-Long: ${'y'.repeat(longest + 1)}\r\n`), { until: 'requestId' });
    expect(larger.text).toMatch(/^HTTP\/1\.1 431/);
  });

  it('an answer in segments of one byte arrives as it is', async () => {
    const answer =
      'HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n';
    const origin = await rawOrigin((socket) => {
      void (async () => {
        for (const byte of answer) {
          socket.write(byte);
          await new Promise((next) => setImmediate(next));
        }
      })();
    });
    const yard = await yardOf(origin);
    const heard = await say(yard.port, get('/'), { until: 'X-Sum: 1\r\n\r\n' });
    expect(heard.text).toMatch(
      /^HTTP\/1\.1 200 OK\r\nX-A: b\r\n[^]*\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n$/,
    );
  });

  it.each([
    ['HTTP/1.1', 'a keep-alive client'],
    ['HTTP/1.0', 'an old client, without their framing'],
  ])('100,000 chunks of one byte get through to %s: %s', async (version) => {
    const count = 100_000;
    const origin = await rawOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      socket.write(`${'1\r\nx\r\n'.repeat(count)}0\r\n\r\n`);
    });
    const yard = await yardOf(origin);
    const startedMs = performance.now();
    const heard = await say(yard.port, `GET / ${version}\r\nHost: a\r\n\r\n`, {
      ...(version === 'HTTP/1.1' ? { until: '\r\n0\r\n\r\n' } : {}),
      ms: 10_000,
    });
    expect(heard.text.slice(heard.text.indexOf('\r\n\r\n')).match(/x/g)).toHaveLength(count);
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  it('100,000 chunks of one byte get through from a client', async () => {
    const count = 100_000;
    const origin = await httpOrigin((req, res) => {
      let bytes = 0;
      req.on('data', (part: Buffer) => (bytes += part.length));
      req.on('end', () => res.end(`took ${bytes}`));
    });
    const yard = await yardOf(origin);
    const body = `${'1\r\nx\r\n'.repeat(count)}0\r\n\r\n`;
    const heard = await say(yard.port, `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`, {
      until: `took ${count}`,
      ms: 10_000,
    });
    expect(heard.text).toMatch(/^HTTP\/1\.1 200/);
  });
});
