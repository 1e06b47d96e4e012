import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { seededRandom, startRedis, type TestRedis } from '@switchyard/testing';
import { createAsking } from './asking.ts';
import { createReplyReader, ErrorReply } from './reply-reader.ts';
import { ConnectionLostError, connectServer } from './server-connection.ts';

const never = new AbortController().signal;
const textsOf = (reply: unknown): unknown =>
  Buffer.isBuffer(reply) ? reply.toString('latin1') : Array.isArray(reply) ? reply.map(textsOf) : reply;

describe('createReplyReader', () => {
  const stream = Buffer.from(
    '+OK\r\n$5\r\na\r\n\xffb\r\n$-1\r\n:-12\r\n*3\r\n$0\r\n\r\n*1\r\n:7\r\n*-1\r\n*0\r\n-ERR no\r\n',
    'latin1',
  );
  const expected = ['OK', 'a\r\n\xffb', null, -12, ['', [7], null], [], 'ERR no'];

  it('reads the same replies however the bytes are cut', () => {
    const seed = Date.now() % 1_000_000;
    const random = seededRandom(seed);
    for (let round = 0; round < 200; round += 1) {
      const reader = createReplyReader(1_000);
      const found: unknown[] = [];
      for (let at = 0; at < stream.length;) {
        const next = at + 1 + Math.floor(random() * (round === 0 ? stream.length : 6));
        reader.push(stream.subarray(at, next));
        for (let reply = reader.next(); reply !== undefined; reply = reader.next())
          found.push(reply instanceof ErrorReply ? reply.message : textsOf(reply));
        at = next;
      }
      expect({ seed, found }).toEqual({ seed, found: expected });
    }
  });

  it('refuses what is no Redis protocol, and replies over the limit', () => {
    for (const bytes of ['HTTP/1.1 200 OK\r\n', '$x\r\n', '*12345678901234567890\r\n', '$2000\r\n', '*2\r\n$600\r\n']) {
      const reader = createReplyReader(1_000);
      reader.push(Buffer.from(bytes));
      reader.push(Buffer.alloc(1_100, 'x'));
      expect(() => reader.next()).toThrow(/protocol|longer/);
    }
  });
});

describe('connectServer', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
    await redis.cli('CONFIG', 'SET', 'requirepass', 'secret');
  });
  afterAll(() => redis.stop());
  const address = () => ({ host: redis.host, port: redis.port, password: 'secret' });

  it('answers many questions in their order, each in its own database', async () => {
    const connection = await connectServer(address(), { signal: never });
    const ask = createAsking(connection);
    await Promise.all([0, 1, 2].map((database) => ask(['SET', 'name', `in ${database}`], { database })));
    const replies = await Promise.all(
      Array.from({ length: 300 }, (_, at) => ask(['GET', 'name'], { database: at % 3 })),
    );
    expect(replies.map(String)).toEqual(Array.from({ length: 300 }, (_, at) => `in ${at % 3}`));
    const nowhere = Promise.allSettled([1, 2].map(() => ask(['GET', 'name'], { database: 99_999 })));
    expect((await nowhere).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(String(await ask(['GET', 'name'], { database: 1 }))).toBe('in 1');
    await expect(connection.ask('NO-SUCH')).rejects.toBeInstanceOf(ErrorReply);
    expect(String(await connection.ask('ECHO', Buffer.from([0, 255, 13, 10])))).toHaveLength(4);
    connection.close();
    await expect(connection.ask('PING')).rejects.toBeInstanceOf(ConnectionLostError);
  });

  it('says no with a wrong password, where nobody listens, and to whoever has cancelled', async () => {
    await expect(connectServer({ ...address(), password: 'wrong' }, { signal: never })).rejects.toBeInstanceOf(
      ErrorReply,
    );
    await expect(connectServer({ socketPath: '/nowhere/at/all' }, { signal: never })).rejects.toThrow(
      /cannot be reached/,
    );
    const cancel = new AbortController();
    const connection = await connectServer(address(), { signal: cancel.signal });
    const asked = connection.ask('BLPOP', 'nothing', 0);
    cancel.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
  });

  it('gives up a server that is silent, and one that cuts', async () => {
    const open = new Set<Socket>();
    const server: Server = createServer((socket) => {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write('+PONG\r\n'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const connection = await connectServer({ host: '127.0.0.1', port }, { signal: never, deadlineMs: 50 });
      await expect(connection.ask('PING')).rejects.toThrow('did not answer in 50 ms');
      const other = await connectServer({ host: '127.0.0.1', port }, { signal: never });
      const asked = other.ask('PING');
      for (const socket of open) socket.destroy();
      await expect(asked).rejects.toBeInstanceOf(ConnectionLostError);
    } finally {
      for (const socket of open) socket.destroy();
      server.close();
    }
  });
});
