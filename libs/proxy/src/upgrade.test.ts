// WebSockets and other protocol switches: bytes both ways, from the first one on, each half closed on its own.
import { connect, type Socket } from 'node:net';
import { eventually } from '@switchyard/testing';
import { deadPort, rawOrigin, say, startYard, statusOf, type Origin, type Yard } from './proxy-fixture.ts';

const ask =
  'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n';
const agree =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n';
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** Agrees, says "hi" in the same breath, then echoes in brackets; ends its half when the other ends. */
const echo = (): Promise<Origin> => {
  const talking = new Map<Socket, number>();
  return rawOrigin((socket, received) => {
    const at = received.indexOf('\r\n\r\n') + 4;
    if (at < 4) return;
    if (!talking.has(socket)) socket.write(`${agree}hi`);
    const from = talking.get(socket) ?? at;
    if (received.length > from) socket.write(`[${received.slice(from)}]`);
    talking.set(socket, received.length);
  });
};

async function yardFor(origin: Origin, more: object = {}): Promise<Yard> {
  const yard = await startYard({ ports: [origin.port], ...more });
  open.push(origin, { close: () => yard.stop() });
  return yard;
}

function talk(port: number): { readonly socket: Socket; readonly heard: () => string; readonly ended: () => boolean } {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let text = '';
  let ended = false;
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.on('end', () => (ended = true));
  socket.on('error', () => (ended = true));
  return { socket, heard: () => text, ended: () => ended };
}

describe('a protocol switch', () => {
  it('passes bytes both ways, those that came too early included', async () => {
    const origin = await echo();
    const yard = await yardFor(origin);
    const client = talk(yard.port);
    client.socket.write(`${ask}early`);
    await eventually(() => client.heard().endsWith('hi[early]'));
    expect(client.heard()).toMatch(
      /^HTTP\/1\.1 101 Switching Protocols\r\n[^]*Sec-WebSocket-Accept: y\r\n[^]*Switchyard-Instance: a\r\n/,
    );
    expect(client.heard().match(/^(connection|upgrade):.*$/gim)).toEqual(['Connection: Upgrade', 'Upgrade: websocket']);
    client.socket.write('more');
    await eventually(() => client.heard().endsWith('[early][more]'));
    expect(origin.received[0]).toMatch(/Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearlymore$/);
    expect(yard.targets[0]?.meter).toMatchObject({ tunnels: 1, inFlight: 0, requests: 1 });
    client.socket.destroy();
    await eventually(() => yard.plane.stats().tunnels === 0 && origin.connections() === 0);
    expect(yard.targets[0]?.meter).toMatchObject({ tunnels: 0, errors: 0 });
  });

  it('closes each half on its own', async () => {
    const origin = await rawOrigin((socket, received) => {
      if (!received.endsWith('\r\n\r\n')) return;
      socket.write(agree);
      socket.removeAllListeners('end');
      socket.on('end', () => setTimeout(() => socket.end('last words'), 50));
    });
    const yard = await yardFor(origin);
    const client = talk(yard.port);
    client.socket.write(ask);
    await eventually(() => client.heard().includes('101'));
    client.socket.end();
    await eventually(() => client.heard().endsWith('last words') && client.ended());
    await eventually(() => yard.plane.stats().tunnels === 0);
  });

  it('ends when the instance dies, even when the client keeps its half open', async () => {
    const origin = await echo();
    const yard = await yardFor(origin, { timeouts: { idleMs: 200 } });
    const client = talk(yard.port);
    client.socket.write(ask);
    await eventually(() => client.heard().endsWith('hi'));
    await origin.close();
    await eventually(() => client.ended());
    await eventually(() => yard.plane.stats().tunnels === 0);
  });

  it('ends after a long silence', async () => {
    const yard = await yardFor(await echo(), { timeouts: { tunnelMs: 150 } });
    const client = talk(yard.port);
    client.socket.write(ask);
    await eventually(() => client.ended(), { timeoutMs: 2_000 });
    expect(client.heard()).toContain('101');
  });

  it('that the instance refuses is an ordinary answer', async () => {
    const origin = await rawOrigin((socket) => socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'));
    const yard = await yardFor(origin);
    const heard = await say(yard.port, ask);
    expect([statusOf(heard), heard.ended]).toEqual([403, true]);
    expect(heard.text).toMatch(/Connection: close\r\n\r\nno$/);
    await eventually(() => yard.plane.stats().inFlight === 0 && yard.plane.stats().connections === 0);
  });

  it('goes to another instance when the first cannot be reached', async () => {
    const origin = await echo();
    const yard = await startYard({ ports: [await deadPort(), origin.port] });
    open.push(origin, { close: () => yard.stop() });
    expect((await say(yard.port, ask, { until: 'hi' })).text).toMatch(/Switchyard-Instance: b\r\n/);
  });

  it('without an instance is a refusal', async () => {
    const yard = await startYard({ ports: [] });
    open.push({ close: () => yard.stop() });
    const heard = await say(yard.port, ask);
    expect([statusOf(heard), heard.ended]).toEqual([503, true]);
  });

  it('with a body is an ordinary request', async () => {
    const origin = await rawOrigin((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    const yard = await yardFor(origin);
    const request = ask.replace('GET', 'POST').replace('Host: a', 'Host: a\r\nContent-Length: 4');
    await say(yard.port, `${request}body`, { until: 'ok' });
    expect(origin.received[0]).not.toMatch(/upgrade/i);
    expect(origin.received[0]).toMatch(/\r\n\r\nbody$/);
  });

  it('holds a fast sender back when the other side does not read', async () => {
    let sentBytes = 0;
    const chunk = Buffer.alloc(64 * 1024);
    const origin = await rawOrigin((socket) => {
      socket.write(agree);
      const more = (): void => {
        while (sentBytes < 256 * 1024 * 1024) {
          sentBytes += chunk.length;
          if (!socket.write(chunk)) break;
        }
      };
      socket.on('drain', more);
      more();
    });
    await yardFor(origin).then((yard) => {
      const client = connect(yard.port, '127.0.0.1', () => client.write(ask));
      client.pause();
      open.push({ close: () => Promise.resolve(void client.destroy()) });
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(sentBytes).toBeLessThan(32 * 1024 * 1024);
  });
});
