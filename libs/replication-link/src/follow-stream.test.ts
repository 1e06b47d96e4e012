import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { eventually, seededRandom, type SeededRandom } from '@switchyard/testing';
import { followStream, type FollowStreamOptions } from './follow-stream.ts';
import type { FollowedStream } from './replication-stream.ts';
import { ReplicationLinkError } from './replication-problem.ts';
import { createRequestReader, maxRequestBytes } from './replica-requests.ts';
import { createDialogue } from './served-dialogue.ts';

// A longer search: SWITCHYARD_FUZZ_MS=60000, repeated by SWITCHYARD_TEST_SEED.
const fuzzMs = Number(process.env['SWITCHYARD_FUZZ_MS'] ?? 1_000);
const replicationId = '0123456789abcdef0123456789abcdef01234567';
const started: Server[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of started.splice(0)) await new Promise((resolve) => server.close(resolve));
});

// A source that answers everything with +OK and PSYNC with what the test says; `heard` is what it was told.
async function source(
  onPsync: (socket: Socket) => void,
): Promise<{ options: FollowStreamOptions; heard: () => string; socket: () => Socket }> {
  let heard = '';
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (chunk.includes('PSYNC')) onPsync(socket);
      else if (!chunk.includes('ACK')) socket.write('+OK\r\n');
    });
  });
  started.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const options = { host: '127.0.0.1', port, idleTimeoutMs: 5_000, signal: AbortSignal.timeout(30_000) };
  return { options, heard: () => heard, socket: () => sockets.at(-1) as Socket };
}

async function readAll(followed: FollowedStream): Promise<{ rdb: string; stream: string; error: unknown }> {
  const chunks: Buffer[] = [];
  let rdb = '';
  try {
    if (followed.start.kind === 'full')
      rdb = Buffer.concat((await followed.start.rdb.toArray()) as Buffer[]).toString();
    for await (const chunk of followed.bytes()) chunks.push(chunk);
    return { rdb, stream: Buffer.concat(chunks).toString(), error: undefined };
  } catch (error) {
    return { rdb, stream: Buffer.concat(chunks).toString(), error };
  }
}

const ack = (offset: number): string => `$3\r\nACK\r\n$${String(offset).length}\r\n${offset}\r\n`;
const mark = 'f'.repeat(40);

describe('followStream', () => {
  it.each([
    ['its length', `$5\r\nREDIS`],
    ['a mark', `\n\n$EOF:${mark}\r\nREDIS${mark}`],
  ])('reads a data set framed by %s and the stream behind it, in one piece or byte by byte', async (_title, framed) => {
    const text = `+FULLRESYNC ${replicationId} 100\r\n${framed}stream`;
    for (const size of [text.length, 1]) {
      const { options } = await source((socket) => {
        for (let at = 0; at < text.length; at += size) socket.write(text.slice(at, at + size));
        socket.end();
      });
      const followed = await followStream(options);
      expect(followed.start).toMatchObject({ kind: 'full', replicationId, offset: 100 });
      const { rdb, stream, error } = await readAll(followed);
      expect([rdb, stream]).toEqual(['REDIS', 'stream']);
      expect(error).toMatchObject({ code: 'closed_early' });
      expect(followed.receivedOffset()).toBe(106);
    }
  });

  it('acknowledges the start at once, what it was told afterwards, and answers the question for it', async () => {
    const { options, heard, socket } = await source((to) => to.write(`+CONTINUE ${mark}\r\n*1\r\n`));
    const followed = await followStream({ ...options, position: { replicationId, offset: 41 } });
    expect(followed.start).toEqual({ kind: 'continue', replicationId: mark, offset: 41 });
    expect(heard()).toContain(`PSYNC\r\n$40\r\n${replicationId}\r\n$2\r\n42\r\n`);
    await eventually(() => expect(heard()).toContain(ack(41)));
    await eventually(() => expect(followed.receivedOffset()).toBe(45));
    expect(() => followed.acknowledge(46)).toThrow(RangeError);
    followed.acknowledge(44);
    followed.acknowledge(43);
    socket().write('*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n');
    await eventually(() => expect(heard()).toContain(ack(44)));
    expect(heard()).not.toContain(ack(45));
    followed.close();
    expect(await readAll(followed)).toMatchObject({ error: undefined });
    await eventually(() => socket().destroyed);
  });

  it('lets at most 1 MiB of the stream wait, and loses none of it', async () => {
    const totalBytes = 24 * 1024 * 1024;
    const body = Buffer.alloc(totalBytes, 'abcdefg');
    const { options } = await source((socket) => {
      socket.write(`+CONTINUE\r\n`);
      socket.end(body);
    });
    const followed = await followStream({ ...options, position: { replicationId, offset: 0 } });
    let last = -1;
    await eventually(
      () => {
        const isStill = followed.receivedOffset() === last && last > 0;
        last = followed.receivedOffset();
        return isStill;
      },
      { intervalMs: 200, timeoutMs: 20_000 },
    );
    expect(last).toBeLessThan(1024 * 1024 + 128 * 1024);
    const received: Buffer[] = [];
    const reading = (async () => {
      for await (const chunk of followed.bytes()) received.push(chunk);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'closed_early' });
    expect(Buffer.concat(received).equals(body)).toBe(true);
    await expect(followed.bytes()[Symbol.asyncIterator]().next()).rejects.toThrow('only once');
  });

  it('ends everything when it is closed in the data set, or aborted in the stream', async () => {
    const half = await source((socket) => socket.write(`+FULLRESYNC ${replicationId} 1\r\n$10\r\nhalf.`));
    const closed = await followStream(half.options);
    closed.close();
    expect(await readAll(closed)).toMatchObject({ error: { code: 'aborted' } });
    const control = new AbortController();
    const endless = await source((socket) => socket.write('+CONTINUE\r\nstream'));
    const position = { replicationId, offset: 0 };
    const aborted = await followStream({ ...endless.options, position, signal: control.signal });
    await eventually(() => expect(aborted.receivedOffset()).toBe(6));
    control.abort();
    expect(await readAll(aborted)).toMatchObject({ stream: 'stream', error: { code: 'aborted' } });
  });

  it('hears of a data set that the source could not make', async () => {
    const { options } = await source((socket) => socket.write(`+FULLRESYNC ${replicationId} 1\r\n-ERR no memory\r\n`));
    await expect(followStream(options)).rejects.toMatchObject({ code: 'snapshot_failed' });
  });

  it('ends in good order or with an error of its own, whatever a source sends', async () => {
    const random = seededRandom();
    let answer: Buffer = Buffer.alloc(0);
    const { options } = await source((socket) => {
      for (let at = 0; at < answer.length;) {
        const size = random.integer(1, 60);
        socket.write(answer.subarray(at, at + size));
        at += size;
      }
      socket.end();
    });
    const end = performance.now() + fuzzMs;
    try {
      do {
        answer = damaged(Buffer.from(randomAnswer(random)), random);
        const followed = await followStream({ ...options, position: { replicationId, offset: 5 } }).catch(
          (error: unknown) => error,
        );
        if (followed instanceof Error) expect(followed).toBeInstanceOf(ReplicationLinkError);
        else {
          const { rdb, stream, error } = await readAll(followed as FollowedStream);
          expect(error).toBeInstanceOf(ReplicationLinkError);
          expect(rdb.length + stream.length).toBeLessThanOrEqual(answer.length);
        }
      } while (performance.now() < end);
    } catch (error) {
      throw new Error(`Seed ${random.seed}, answer ${JSON.stringify(answer.toString('latin1'))}`, { cause: error });
    }
  });
});

describe('createRequestReader and createDialogue', () => {
  it('survive whatever a replica sends, and hold a bounded part of it', () => {
    const random = seededRandom();
    const end = performance.now() + fuzzMs;
    let bytes: Buffer = Buffer.alloc(0);
    try {
      do {
        const requests = createRequestReader();
        const dialogue = createDialogue({ replicationId, offset: 1, end: 9, hasStream: true });
        bytes = damaged(Buffer.concat(Array.from({ length: 20 }, () => randomRequest(random))), random);
        try {
          for (let at = 0; at < bytes.length;) {
            const size = random.integer(1, 200);
            requests.push(bytes.subarray(at, at + size));
            at += size;
            for (let words = requests.next(); words !== undefined; words = requests.next()) dialogue.receive(words);
            expect(requests.heldBytes()).toBeLessThanOrEqual(maxRequestBytes);
          }
        } catch (error) {
          if (!(error instanceof ReplicationLinkError)) throw error;
        }
      } while (performance.now() < end);
    } catch (error) {
      throw new Error(`Seed ${random.seed}, bytes ${JSON.stringify(bytes.toString('latin1'))}`, { cause: error });
    }
  });
});

function randomAnswer(random: SeededRandom): string {
  const body = 'x'.repeat(random.integer(0, 200));
  const stream = '*1\r\n$4\r\nPING\r\n'.repeat(random.integer(0, 5));
  return random.pick([
    `+FULLRESYNC ${replicationId} 100\r\n\n$${body.length}\r\n${body}${stream}`,
    `+FULLRESYNC ${replicationId} 100\r\n$EOF:${mark}\r\n${body}${mark}${stream}`,
    `+CONTINUE ${mark}\r\n${stream}`,
    `+CONTINUE\r\n${stream}`,
    `-NOMASTERLINK no\r\n`,
  ]);
}

function randomRequest(random: SeededRandom): Buffer {
  const text = random.pick([
    '*1\r\n$4\r\nPING\r\n',
    '*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n123\r\n',
    '*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n',
    '*3\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n',
    '\n',
    'PING\r\n',
    `*1\r\n$9000\r\n`,
    'y'.repeat(3_000),
  ]);
  return Buffer.from(text);
}

function damaged(bytes: Buffer, random: SeededRandom): Buffer {
  const copy = Buffer.from(bytes);
  for (let count = random.integer(0, 3); count > 0 && copy.length > 0; count -= 1)
    copy[random.integer(0, copy.length - 1)] =
      random() < 0.5 ? random.integer(0, 255) : random.pick([...Buffer.from('*$+-\r\n0123456789')]);
  return copy.subarray(0, random() < 0.3 ? random.integer(0, copy.length) : copy.length);
}
