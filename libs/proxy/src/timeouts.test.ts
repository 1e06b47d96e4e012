// Does every time of `Timeouts` run, and only while its owner is the one who is waited for?
import { connect, createServer, type AddressInfo } from 'node:net';
import { eventually } from '@switchyard/testing';
import { httpOrigin, problemIn, rawOrigin, say, startYard, statusOf, type Yard } from './proxy-fixture.ts';

const open: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});
async function yardOf(ports: readonly number[], options: Partial<Parameters<typeof startYard>[0]>): Promise<Yard> {
  const yard = await startYard({ ports, ...options });
  open.push(yard);
  return yard;
}
const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const tookMs = async (work: Promise<unknown>): Promise<number> => {
  const startedMs = performance.now();
  await work;
  return performance.now() - startedMs;
};

describe('connectMs', () => {
  it('ends an attempt at an instance that cannot be connected to, whatever the method', async () => {
    // it takes the connection and never shakes hands
    const mute = createServer((socket) => void socket.resume().on('error', () => undefined));
    await new Promise<void>((resolve) => {
      mute.listen(0, '127.0.0.1', resolve);
    });
    open.push({ stop: () => new Promise((resolve) => mute.close(resolve)) });
    const { port } = mute.address() as AddressInfo;
    const yard = await yardOf([port, port], { secureAs: 'localhost', timeouts: { connectMs: 200 } });
    const heard = await say(yard.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok', {
      until: 'requestId',
    });
    expect(statusOf(heard)).toBe(504);
    expect(problemIn(heard).why).toEqual(['a: no connection within 200 ms', 'b: no connection within 200 ms']);
    await yard.stop();
  });
});

describe('keepAliveMs', () => {
  it('ends a connection that has waited for its next request for so long, and no sooner', async () => {
    const origin = await httpOrigin((_req, res) => res.end('ok'));
    open.push({ stop: () => origin.close() });
    const yard = await yardOf([origin.port], { timeouts: { keepAliveMs: 400 } });
    const ms = await tookMs(say(yard.port, get('/').repeat(2)));
    expect(ms).toBeGreaterThan(350);
    expect(ms).toBeLessThan(1_500);
  });

  it('is not cut short by an empty line behind a request, which is no beginning of another one', async () => {
    const origin = await httpOrigin((_req, res) => res.end('ok'));
    open.push({ stop: () => origin.close() });
    const yard = await yardOf([origin.port], { timeouts: { keepAliveMs: 600, headMs: 100 } });
    const heard = await say(yard.port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok\r\n`);
    expect(heard.text).not.toMatch(/ 408 /);
    expect(heard.text.match(/HTTP\/1\.1/g)).toHaveLength(1);
    const later = connect({ port: yard.port, host: '127.0.0.1' });
    let text = '';
    later.on('data', (chunk) => (text += chunk.toString()));
    later.write(`${get('/')}\r\n`);
    await pause(300);
    later.write(get('/'));
    await eventually(() => text.match(/\r\n\r\nok/g)?.length === 2);
    later.destroy();
  });
});

describe('idleMs', () => {
  it('ends a client that takes nothing of its answer', async () => {
    const origin = await httpOrigin((_req, res) => {
      const more = (): void => {
        while (!res.destroyed && res.write(Buffer.alloc(65_536)));
      };
      res.on('drain', more);
      more();
    });
    open.push({ stop: () => origin.close() });
    const yard = await yardOf([origin.port], { timeouts: { idleMs: 400 } });
    const client = connect({ port: yard.port, host: '127.0.0.1' });
    client.on('error', () => undefined);
    client.pause();
    client.write(get('/'));
    await eventually(() => yard.plane.stats().inFlight === 1);
    await eventually(() => yard.plane.stats().inFlight === 0, { timeoutMs: 6_000 });
    expect(yard.outcomes).toEqual([expect.objectContaining({ end: 'left', status: 200 })]);
    expect(yard.targets[0]?.meter.errors).toBe(0);
    client.destroy();
  });

  it('blames no instance for a client that was told to continue and does not', async () => {
    const origin = await rawOrigin((socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'));
    open.push({ stop: () => origin.close() });
    const yard = await yardOf([origin.port], { timeouts: { idleMs: 300, responseMs: 5_000 } });
    const heard = await say(
      yard.port,
      'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n',
      {
        until: 'requestId',
      },
    );
    expect(heard.text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 408 /);
    expect(yard.targets[0]?.meter.errors).toBe(0);
  });
});

describe('responseMs', () => {
  it('begins when the body is there, also for a client that had to wait for 100', async () => {
    const origin = await httpOrigin((req, res) => {
      let bytes = 0;
      req.on('data', (part: Buffer) => (bytes += part.length));
      req.on('end', () => res.end(`took ${bytes}`));
    });
    open.push({ stop: () => origin.close() });
    const yard = await yardOf([origin.port], { timeouts: { responseMs: 400, idleMs: 400 } });
    const client = connect({ port: yard.port, host: '127.0.0.1', noDelay: true });
    let text = '';
    client.on('data', (chunk) => (text += chunk.toString()));
    client.write('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n');
    await eventually(() => text.includes('100 Continue'));
    for (let i = 0; i < 10; i += 1) {
      client.write('x');
      await pause(120);
    }
    await eventually(() => text.includes('took 10'));
    client.destroy();
  });
});

describe('totalMs', () => {
  it('lets no further attempt begin', async () => {
    const origin = await rawOrigin(() => undefined);
    open.push({ stop: () => origin.close() });
    const ports = [origin.port, origin.port, origin.port];
    const yard = await yardOf(ports, { timeouts: { responseMs: 300, totalMs: 500 } });
    const heard = await say(yard.port, get('/'), { until: 'requestId' });
    expect(statusOf(heard)).toBe(504);
    expect(problemIn(heard).why).toEqual([
      'a: no answer within 300 ms',
      'b: no answer within 300 ms',
      'not tried again: 500 ms had gone by',
    ]);
  });
});
