import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Target } from '../engine.ts';
import { createInstanceMeter } from '../meter.ts';
import { BatchGauge } from './batch-gauge.ts';
import { SharedConnection, type SharedUser } from './shared-connection.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';
import { createUpstreamPools, type UpstreamPools } from './upstream-pool.ts';

const nowMs = (): number => performance.now();
/** Until a later turn of the event loop, whose poll is over. */
const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });

let server: Server;
let accepted: Socket[];
let pools: UpstreamPools;
let target: Target;
beforeEach(async () => {
  accepted = [];
  server = createServer({ noDelay: true }, (socket) => accepted.push(socket.on('error', () => undefined).resume()));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const meter = createInstanceMeter();
  target = {
    id: 'a',
    service: 'shop',
    weight: 1,
    host: '127.0.0.1',
    port,
    secure: false,
    origin: `http://127.0.0.1:${port}`,
    meter,
  };
  pools = createUpstreamPools({ idlePerInstance: 8, sharedDepth: 32, connectMs: 1_000 }, nowMs);
});
afterEach(async () => {
  pools.destroy();
  for (const socket of accepted) socket.destroy();
  await new Promise((resolve) => {
    server.close(resolve);
  });
});

/** A user that writes down what it is told. */
function listener() {
  const heard: string[] = [];
  let connected = (): void => undefined;
  const isConnected = new Promise<void>((resolve) => (connected = resolve));
  const user: UpstreamUser = {
    upstreamConnected: () => connected(),
    upstreamData: (bytes) => heard.push(`data ${bytes.toString()}`),
    upstreamDrained: () => undefined,
    upstreamEnded: () => heard.push('ended'),
    upstreamClosed: (error) => heard.push(`closed ${error?.code ?? ''}`),
  };
  return { user, heard, isConnected };
}

async function idleConnection(): Promise<UpstreamConnection> {
  const connection = pools.open(target);
  const { user, isConnected } = listener();
  connection.use(user);
  await isConnected;
  while (accepted.length === 0) await nextTurn();
  pools.put(connection, nowMs(), 10_000);
  return connection;
}

/** Calls `react` for a byte that arrived just before `text` arrived on the first connection of the pool, in the same poll. */
async function justBefore(text: string, react: () => void): Promise<void> {
  const trigger = await new Promise<Socket>((resolve) => {
    const socket = connect({ port: target.port, host: '127.0.0.1' }, () => resolve(socket));
  });
  while (accepted.length < 2) await nextTurn();
  const reacted = new Promise<void>((resolve) => {
    trigger.on('data', () => {
      react();
      resolve();
    });
  });
  await nextTurn();
  accepted[1]?.write('now');
  accepted[0]?.write(text);
  await reacted;
  await nextTurn();
  trigger.destroy();
}

const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';

describe('a connection that came back', () => {
  it('rests for a turn of the event loop, then is used again', async () => {
    const connection = await idleConnection();
    expect(pools.take(target)).toBeUndefined();
    await nextTurn();
    expect(pools.take(target)).toBe(connection);
  });

  it('does not take for an answer what was there before the question', async () => {
    const connection = await idleConnection();
    const { user, heard } = listener();
    await justBefore(evil, () => {
      expect(pools.take(target)).toBe(connection);
      connection.use(user);
      connection.send('GET / HTTP/1.1\r\n\r\n', []);
    });
    expect(heard).toEqual(['closed UNASKED']);
    expect(connection.socket.destroyed).toBe(true);
  });

  it('takes for an answer what comes later', async () => {
    const connection = await idleConnection();
    await nextTurn();
    pools.take(target);
    const { user, heard } = listener();
    connection.use(user);
    connection.send('GET / HTTP/1.1\r\n\r\n', []);
    await nextTurn();
    accepted[0]?.write('an answer');
    while (heard.length === 0) await nextTurn();
    expect(heard).toEqual(['data an answer']);
  });
});

describe('a shared connection', () => {
  it('does not take for an answer what was there before the question was written', async () => {
    const connection = pools.open(target);
    const gauge = new BatchGauge();
    const shared = new SharedConnection({ connection, gauge, deepest: 32, nowMs, gone: () => undefined });
    while (accepted.length === 0) await nextTurn();
    const told: string[] = [];
    const user: SharedUser = {
      method: 'GET',
      wholeAnswer: (bytes, _head, end) => told.push(`answer ${bytes.toString('latin1', end - 4, end)}`),
      takeOver: () => told.push('has it alone'),
      displaced: () => told.push('displaced'),
      sharedFailed: () => told.push('failed'),
    };
    await justBefore(evil, () => void shared.add(user, 'GET / HTTP/1.1\r\n\r\n'));
    expect(told).toEqual(['displaced']);
  });

  it.each([
    ['a head that is longer than brief', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(20_000)}\r\nContent-Length: 2\r\n\r\nok`],
    ['a body that must not come', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n'],
    ['an interim answer', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
    ['a body without a length', 'HTTP/1.1 200 OK\r\n\r\n'],
  ])('is left to whoever is answered with %s', async (_what, text) => {
    const connection = pools.open(target);
    const shared = new SharedConnection({
      connection,
      gauge: new BatchGauge(),
      deepest: 32,
      nowMs,
      gone: () => undefined,
    });
    while (accepted.length === 0 || !connection.connected) await nextTurn();
    const told: string[] = [];
    const user = (name: string): SharedUser => ({
      method: 'GET',
      wholeAnswer: () => told.push(`${name} answered`),
      takeOver: () => told.push(`${name} has it alone`),
      displaced: () => told.push(`${name} displaced`),
      sharedFailed: () => told.push(`${name} failed`),
    });
    shared.add(user('first'), 'GET /1 HTTP/1.1\r\n\r\n');
    shared.add(user('second'), 'GET /2 HTTP/1.1\r\n\r\n');
    await nextTurn();
    accepted[0]?.write(text);
    while (told.length < 2) await nextTurn();
    expect(told).toEqual(['first has it alone', 'second displaced']);
  });
});
