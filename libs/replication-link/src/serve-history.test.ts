import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { eventually } from '@switchyard/testing';
import { heldHistory } from './recording-fixture.ts';
import { encodeCommand } from './resp.ts';
import { serveHistory, type ServeHistoryOptions } from './serve-history.ts';
import type { HistoryServer, ServedHistory } from './replication-stream.ts';

const replicationId = '0123456789abcdef0123456789abcdef01234567';
const history = heldHistory({ replicationId, offset: 100, rdb: Buffer.from('REDIS'), stream: Buffer.from('stream') });
const opened: HistoryServer[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(opened.splice(0).map((server) => server.close()));
});

async function serve(options: Partial<ServeHistoryOptions> = {}): Promise<HistoryServer> {
  const server = await serveHistory({ host: '127.0.0.1', history, ...options });
  opened.push(server);
  return server;
}

interface Stranger {
  readonly socket: Socket;
  readonly heard: () => string;
  readonly say: (...words: readonly string[]) => void;
  readonly hears: (text: string) => Promise<unknown>;
  readonly isCut: () => Promise<unknown>;
}

async function stranger(server: HistoryServer): Promise<Stranger> {
  const socket = connect(server.port, server.host);
  sockets.push(socket);
  let heard = '';
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return {
    socket,
    heard: () => heard,
    say: (...words) => socket.write(encodeCommand(words)),
    hears: (text) => eventually(() => expect(heard).toContain(text), { timeoutMs: 10_000, what: JSON.stringify(text) }),
    isCut: () => eventually(() => socket.closed, { timeoutMs: 10_000, what: 'The end of the connection' }),
  };
}

describe('serveHistory', () => {
  it('answers what a replica says, however it is cut, and nothing else', async () => {
    const client = await stranger(await serve());
    const talk = Buffer.concat([
      encodeCommand(['PING']),
      encodeCommand(['AUTH', 'any']),
      Buffer.from('\n\r\nping\r\n'),
      encodeCommand(['REPLCONF', 'listening-port', '1', 'version', '8.0.0']),
      encodeCommand(['GET', 'key']),
      encodeCommand(['SYNC']),
    ]);
    for (const byte of talk) client.socket.write(Buffer.from([byte]));
    await eventually(() =>
      expect(client.heard()).toBe(
        `+PONG\r\n+OK\r\n+PONG\r\n+OK\r\n${'-ERR unknown command: only a replication history is served here\r\n'.repeat(2)}`,
      ),
    );
  });

  it('frames the data set by its length for a replica that knows no mark, and by a mark for one that does', async () => {
    const server = await serve();
    const old = await stranger(server);
    old.say('PSYNC', '?', '-1');
    await old.hears(`+FULLRESYNC ${replicationId} 100\r\n$5\r\nREDISstream`);
    const present = await stranger(server);
    present.say('REPLCONF', 'capa', 'eof', 'capa', 'psync2');
    present.say('PSYNC', replicationId, '900');
    await eventually(() => expect(present.heard()).toMatch(/\r\n\$EOF:([0-9a-f]{40})\r\nREDIS\1$/));
    // Nothing comes behind the mark before the replica has found it.
    present.say('REPLCONF', 'ACK', '100');
    await eventually(() => expect(present.heard()).toMatch(/stream$/));
  });

  it('continues exactly the positions that it holds', async () => {
    const server = await serve();
    const answers: string[] = [];
    for (const next of ['100', '101', '104', '107', '108', '-5', 'x']) {
      const client = await stranger(server);
      client.say('PSYNC', replicationId, next);
      await client.hears('\r\n');
      answers.push(client.heard().startsWith('+CONTINUE') ? 'continue' : 'full');
      client.socket.destroy();
      await eventually(() => server.replicas().length === 0);
    }
    expect(answers).toEqual(['full', 'continue', 'continue', 'continue', 'full', 'full', 'full']);
    const foreign = await stranger(server);
    foreign.say('PSYNC', 'f'.repeat(40), '101');
    await foreign.hears('+FULLRESYNC');
  });

  it('is taken when the end is acknowledged, not before, and not by a node that claims more than there is', async () => {
    const server = await serve();
    const liar = await stranger(server);
    liar.say('PSYNC', replicationId, '101');
    await liar.hears('stream');
    liar.say('REPLCONF', 'ACK', '1000');
    await liar.isCut();
    const honest = await stranger(server);
    honest.say('PSYNC', replicationId, '101');
    await honest.hears('stream');
    honest.say('REPLCONF', 'ACK', '105');
    await eventually(() => expect(server.replicas()).toMatchObject([{ phase: 'stream', acknowledged: 105 }]));
    await expect(server.whenTaken(AbortSignal.timeout(20))).rejects.toMatchObject({ name: 'TimeoutError' });
    honest.socket.write('\n');
    honest.say('REPLCONF', 'ACK', '106');
    expect(await server.whenTaken(AbortSignal.timeout(10_000))).toMatchObject({ phase: 'done', acknowledged: 106 });
  });

  it('sends newlines while the data set is prepared', async () => {
    const slow: ServedHistory = {
      ...history,
      rdb: () => {
        const { stream, bytes } = history.rdb();
        return { stream: delayed(stream, 1_500), bytes };
      },
    };
    const client = await stranger(await serve({ history: slow }));
    client.say('PSYNC', '?', '-1');
    await eventually(() => expect(client.heard()).toMatch(/ 100\r\n\n+\$5\r\nREDIS/));
  });

  it('cuts off who sends too much, too long, nothing, or the wrong password for ever', async () => {
    const server = await serve({ handshakeTimeoutMs: 1_000, credentials: { password: 'secret' } });
    const silent = await stranger(server);
    const long = await stranger(server);
    long.socket.write(`*1\r\n$9000\r\n${'x'.repeat(9_000)}`);
    await long.hears('-ERR Protocol error');
    await long.isCut();
    const endless = await stranger(server);
    endless.socket.write('x'.repeat(20_000));
    await endless.isCut();
    const many = await stranger(server);
    many.say('PSYNC', '?', '-1');
    for (let count = 0; count < 40; count += 1) many.say('AUTH', 'guess');
    await many.isCut();
    expect(many.heard()).toMatch(/^-NOAUTH .*\r\n(-WRONGPASS .*\r\n){31}-ERR too many commands before PSYNC\r\n$/);
    const late = await stranger(server);
    late.say('AUTH', 'default', 'secret');
    late.say('PSYNC', '?', '-1');
    await late.hears('REDIS');
    // What is no acknowledgement has no place in a stream.
    late.say('PING');
    await late.isCut();
    await silent.isCut();
  });

  it('lets in whom it may, and four of them at once', async () => {
    const closed = await stranger(await serve({ onlyFrom: (address) => address !== '127.0.0.1' }));
    await closed.isCut();
    const server = await serve({ onlyFrom: (address) => address === '127.0.0.1' });
    for (let count = 0; count < 4; count += 1) {
      const client = await stranger(server);
      client.say('PSYNC', '?', '-1');
      await client.hears('stream');
    }
    const fifth = await stranger(server);
    fifth.say('PSYNC', '?', '-1');
    await fifth.hears('-NOMASTERLINK too many replicas');
    await fifth.isCut();
    expect(server.replicas()).toHaveLength(4);
  });

  it('says why it cannot serve: a data set shorter than announced, a stream that ends early, a closed server', async () => {
    const short: ServedHistory = { ...history, rdb: () => ({ ...history.rdb(), bytes: 6 }) };
    const early: ServedHistory = { ...history, end: 110 };
    for (const [bad, what] of [
      [short, 'The data set has less'],
      [early, 'The stream after 100 has less'],
    ] as const) {
      const server = await serve({ history: bad });
      const taken = server.whenTaken(AbortSignal.timeout(10_000));
      const client = await stranger(server);
      client.say('PSYNC', '?', '-1');
      await expect(taken).rejects.toMatchObject({ code: 'history_failed', message: expect.stringContaining(what) });
      await client.isCut();
    }
    const server = await serve();
    const taken = server.whenTaken(AbortSignal.timeout(10_000));
    const client = await stranger(server);
    await server.close();
    await expect(taken).rejects.toMatchObject({ code: 'aborted' });
    await client.isCut();
  });

  it('reads no faster from the history than the replica reads from it', async () => {
    const piece = Buffer.alloc(256 * 1024);
    let made = 0;
    const endless: ServedHistory = {
      ...history,
      end: history.offset + 4_000 * piece.length,
      async *after() {
        for (; made < 4_000; made += 1) yield piece;
      },
    };
    const client = await stranger(await serve({ history: endless }));
    client.socket.pause();
    client.say('PSYNC', replicationId, '101');
    let last = -1;
    await eventually(
      () => {
        const isStill = made > 0 && made === last;
        last = made;
        return isStill;
      },
      { intervalMs: 200, timeoutMs: 20_000 },
    );
    // What the kernel buffers of both sides hold.
    expect(made).toBeLessThan(100);
  });
});

function delayed(stream: Readable, ms: number): Readable {
  async function* wait(): AsyncGenerator<Buffer> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    yield* stream as AsyncIterable<Buffer>;
  }
  return Readable.from(wait(), { objectMode: false });
}
