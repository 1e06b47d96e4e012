import { once } from 'node:events';
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { startDelayProxy, type DelayProxy, type DelayProxyOptions } from './delay-proxy.ts';
import { eventually } from './eventually.ts';

let echo: Server;
let proxy: DelayProxy | undefined;
const sockets: Socket[] = [];

beforeEach(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on('error', () => undefined));
    socket.pipe(socket);
  });
  await once(echo.listen(0, '127.0.0.1'), 'listening');
});

afterEach(async () => {
  await proxy?.stop();
  for (const socket of sockets.splice(0)) socket.destroy();
  echo.close();
});

async function link(options: Omit<DelayProxyOptions, 'to'>): Promise<DelayProxy> {
  proxy = await startDelayProxy({ to: { host: '127.0.0.1', port: (echo.address() as AddressInfo).port }, ...options });
  return proxy;
}

async function connect({ port }: { readonly port: number }): Promise<Socket> {
  const socket = createConnection({ host: '127.0.0.1', port });
  sockets.push(socket.on('error', () => undefined));
  await once(socket, 'connect');
  return socket;
}

async function roundTripMs(socket: Socket): Promise<number> {
  const sentMs = performance.now();
  socket.write('x');
  await once(socket, 'data');
  return performance.now() - sentMs;
}

describe('startDelayProxy', () => {
  it('holds each byte back in both directions', async () => {
    const slow = await link({ delayMs: 40 });
    const socket = await connect(slow);
    const firstMs = await roundTripMs(socket);
    slow.setDelay(0);
    expect(firstMs).toBeGreaterThanOrEqual(78);
    expect(await roundTripMs(socket)).toBeLessThan(firstMs);
  });

  it('does not lower the throughput: many chunks are under way at once, and their order is kept', async () => {
    const socket = await connect(await link({ delayMs: 50 }));
    const startMs = performance.now();
    let got = '';
    socket.setEncoding('latin1').on('data', (text: string) => (got += text));
    let sent = '';
    for (let n = 0; n < 200; n += 1) {
      const line = `${n};`.padEnd(1_000, '.');
      sent += line;
      socket.write(line);
      if (n % 20 === 0) await new Promise(setImmediate);
    }
    await eventually(() => got.length === sent.length, { timeoutMs: 10_000 });
    expect(got).toBe(sent);
    // one chunk after the other would take 200 round trips of 100 ms
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });

  it('makes the sender wait when too much is held back', async () => {
    const slow = await link({ delayMs: 0, limitBytes: 64 * 1024 });
    const socket = await connect(slow);
    await roundTripMs(socket);
    slow.cut();
    let written = 0;
    while (written < 64 * 1024 * 1024 && socket.writableLength < 1024 * 1024) {
      socket.write(Buffer.alloc(256 * 1024));
      written += 256 * 1024;
      await new Promise(setImmediate);
    }
    expect(written).toBeLessThan(64 * 1024 * 1024);
    let got = 0;
    socket.on('data', (chunk) => (got += chunk.length));
    slow.mend();
    await eventually(() => got === written, { timeoutMs: 20_000 });
  });

  it('is silent while it is cut and delivers late when it is mended', async () => {
    const slow = await link({ delayMs: 0 });
    const socket = await connect(slow);
    await roundTripMs(socket);
    slow.cut();
    const fresh = await connect(slow);
    let got = 0;
    for (const one of [socket, fresh]) {
      one.write('x');
      one.on('data', () => (got += 1));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([got, socket.destroyed, fresh.destroyed]).toEqual([0, false, false]);
    slow.mend();
    await eventually(() => got === 2);
  });

  it('tears connections down and refuses new ones when it is cut with a reset', async () => {
    const slow = await link({ delayMs: 0 });
    const socket = await connect(slow);
    await roundTripMs(socket);
    slow.cut('reset');
    await eventually(() => socket.destroyed);
    await expect(connect(slow).then(roundTripMs)).rejects.toThrow('ECONNRESET');
    slow.mend();
    await roundTripMs(await connect(slow));
    expect(slow.connections()).toBe(1);
  });

  it('passes the end of a stream on after the last byte', async () => {
    const socket = await connect(await link({ delayMs: 20 }));
    let got = '';
    socket.setEncoding('latin1').on('data', (text: string) => (got += text));
    socket.end('the last word');
    await once(socket, 'end');
    expect(got).toBe('the last word');
  });

  it.each(['127.0.0.1', '127.0.0.9'])('slows down and cuts only those that it was told to (%s)', async (onlyFrom) => {
    const slow = await link({ delayMs: 40, onlyFrom });
    const socket = await connect(slow);
    const tookMs = await roundTripMs(socket);
    slow.cut('reset');
    if (onlyFrom === '127.0.0.1') {
      expect(tookMs).toBeGreaterThanOrEqual(78);
      await eventually(() => socket.destroyed);
    } else await roundTripMs(socket);
  });
});
