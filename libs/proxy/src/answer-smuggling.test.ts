// Does anybody get an answer that is not theirs, whatever an instance says? Each fixture of fixtures/smuggling/answers.txt is said
// once; then the same client and others go on, over the same pool of connections, and each must hear its own answer.
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { readAnswers } from './reading-fixture.ts';
import { startYard, type Yard } from './proxy-fixture.ts';
import { assail, readPayloads, type Payload } from './smuggling-fixture.ts';

const payloads = readPayloads('answers');
const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/** An origin that says the payload to `/attack`, and to everything else what it was asked for. */
async function attacker() {
  let payload: Payload | undefined;
  let hits = 0;
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const target = text.split(' ', 2)[1] ?? '';
        text = text.slice(end + 4);
        if (target === '/attack' && payload !== undefined) void attack(socket, payload);
        else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`);
      }
    });
  });
  const attack = async (socket: Socket, { pieces, told }: Payload): Promise<void> => {
    hits += 1;
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await pause(5);
      socket.write(piece, 'latin1');
    }
    if (told.includes('ends')) socket.end();
  };
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    say: (next: Payload) => ([payload, hits] = [next, 0]),
    hits: () => hits,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

let origin: Awaited<ReturnType<typeof attacker>>;
let yard: Yard;
beforeAll(async () => {
  origin = await attacker();
  yard = await startYard({ ports: [origin.port] });
});
afterAll(async () => {
  expect(yard.plane.stats()).toMatchObject({ inFlight: 0, tunnels: 0 });
  for (const { meter } of yard.targets) expect(meter).toMatchObject({ inFlight: 0, tunnels: 0 });
  await yard.stop();
  await origin.close();
});

let count = 0;
const canaries = (): string[] => Array.from({ length: 3 }, () => `/canary-${(count += 1)}`);
const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

/**
 * Asks for each of the targets, pipelined on one connection of its own. `mayFail`: while bytes that nobody asked for are on their
 * way, a request that meets them may be refused; it never gets them.
 */
async function expectOwnAnswers(mayFail = false): Promise<void> {
  const targets = canaries();
  const { text } = await assail(yard.port, [targets.map(get).join('')], {
    cutting: 'whole',
    enough: (heard) => heard.endsWith(`\r\n\r\n${targets.at(-1)}`),
    ms: mayFail ? 300 : 2_000,
  });
  const { answers } = readAnswers(text, targets, false);
  for (const [index, { status, body }] of answers.entries()) {
    if (!mayFail || status !== 502) expect([status, body]).toEqual([200, targets[index]]);
  }
  expect(answers).toHaveLength(targets.length);
}

describe('an instance that says', () => {
  it.each(payloads.map((payload) => [payload.name, payload] as const))('%s poisons nobody', async (_name, payload) => {
    origin.say(payload);
    const { told } = payload;
    const method = told.includes('asked HEAD') ? 'HEAD' : 'GET';
    const upgrade = told.includes('asked upgrade') ? 'Connection: Upgrade\r\nUpgrade: websocket\r\n' : '';
    const behind = canaries();
    const [heard] = await Promise.all([
      assail(yard.port, [`${method} /attack HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`, behind.map(get).join('')], {
        cutting: 'whole',
        enough: (text) => text.endsWith(`\r\n\r\n${behind.at(-1)}`),
        ms: 3_000,
      }),
      pause(2).then(() => expectOwnAnswers(payload.name.includes('later'))),
      pause(6).then(() => expectOwnAnswers(payload.name.includes('later'))),
    ]);
    await expectOwnAnswers();

    expect(
      heard.text.toLowerCase().replaceAll(/\r\n\r\nhttp\/1\.1 200 ok\r\ncontent-length: 4\r\n\r\nevil/g, ''),
    ).toBeDefined();
    const { answers, rest } = readAnswers(heard.text, [method, ...behind], heard.ended);
    const [first, ...more] = answers;
    const answered = /^answered (\d+) (".*")$/m.exec(told.join('\n'));
    if (answered !== null) {
      expect([first?.status, first?.body]).toEqual([Number(answered[1]), JSON.parse(answered[2] as string)]);
      expect(more.map(({ body }) => body)).toEqual(behind);
      expect(rest).toBe('');
      expect(first?.head).not.toContain('evil');
    } else if (payload.ending === 'refused') {
      expect(first?.status).toBe(payload.status);
      expect(first?.head).toMatch(/^content-type: application\/problem\+json\r$/im);
      expect(more.map(({ body }) => body)).toEqual(upgrade === '' ? behind : []);
    } else {
      expect(told).toContain('cut');
      // what is wrong in the first bytes is refused, later ones cut the answer
      if (first === undefined) expect(answers).toEqual([]);
      else expect([first.status, more.map(({ body }) => body)]).toEqual([502, behind]);
      expect(heard.text).not.toMatch(/\r\n0\r\n\r\n$/);
    }
    const silent = told.flatMap((line) => (line.startsWith('silent ') ? [line.slice(7)] : []));
    for (const text of silent) expect(heard.text.toLowerCase()).not.toContain(text);
    // nothing of it may be tried again: the instance has said something
    expect(origin.hits()).toBe(1);
  });
});
