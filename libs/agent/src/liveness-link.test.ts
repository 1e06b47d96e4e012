import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, freePort } from '@switchyard/testing';
import { createLivenessLink } from './liveness-link.ts';
import type { LivenessLink, LivenessNews } from './liveness-link.ts';

interface FakeRegistry {
  readonly url: string;
  readonly lines: object[];
  readonly sockets: Socket[];
  asked(): number;
  readonly say: (reply: object) => void;
}

const servers: Server[] = [];
const links: LivenessLink[] = [];

/** Upgrades, answers each beat as it is told, ends at goodbye; or answers with a plain status. */
const registry = (
  answer: number | ((line: { type: string }) => object | undefined) = ({ type }) =>
    type === 'beat' ? { type: 'heard' } : undefined,
): Promise<FakeRegistry> => {
  const lines: object[] = [];
  const sockets: Socket[] = [];
  let asked = 0;
  const server = createServer((_req, res) => {
    asked += 1;
    res.writeHead(typeof answer === 'number' ? answer : 404).end();
  });
  if (typeof answer !== 'number') {
    server.on('upgrade', (_req, socket: Socket) => {
      asked += 1;
      sockets.push(socket);
      socket.write('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: switchyard-liveness\r\n\r\n');
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        for (const text of chunk.toString().split('\n').filter(Boolean)) {
          const line = JSON.parse(text) as { type: string };
          lines.push(line);
          const reply = answer(line);
          if (reply) socket.write(`${JSON.stringify(reply)}\n`);
          if (line.type === 'bye') socket.end();
        }
      });
    });
  }
  servers.push(server);
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const say = (reply: object): void => void sockets.at(-1)?.write(`${JSON.stringify(reply)}\n`);
      resolve({ url, lines, sockets, asked: () => asked, say });
    });
  });
};

const logger = createLogger('test', { level: 'silent' });
function linkTo(...registryUrls: string[]) {
  const link = createLivenessLink({
    registryUrls,
    service: 'shop',
    id: 'a',
    clock: systemClock,
    logger,
    random: () => 0,
    answerMs: 200,
  });
  const heard: unknown[] = [];
  const news: LivenessNews = {
    beatNow: (reason) => heard.push(reason),
    unknown: () => heard.push('unknown'),
    role: (held) => heard.push(held),
  };
  links.push(link);
  link.start(news);
  return { link, heard };
}

describe('the liveness connection of an agent', () => {
  afterEach(async () => {
    for (const link of links.splice(0)) await link.stop();
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  it('says who it is, asks for a beat, and carries beats with loads', async () => {
    const { url, lines } = await registry();
    const { link, heard } = linkTo(url);
    await eventually(() => link.open());

    expect(await link.beat()).toBe('known');
    expect(await link.beat({ inflight: 3 })).toBe('known');

    expect(lines).toEqual([
      { type: 'hello', service: 'shop', id: 'a' },
      { type: 'beat' },
      { type: 'beat', load: { inflight: 3 } },
    ]);
    expect(heard).toEqual(['connected']);
  });

  it('hands on what is told unasked, and passes over what it does not know', async () => {
    const { url, say, lines } = await registry();
    const { link, heard } = linkTo(url);
    await eventually(() => lines.length === 1);

    say({ type: 'role', role: 'active', fencingToken: 9 });
    say({ type: 'of-a-later-version' });
    say({ type: 'suspected', reason: 'it was silent' });
    say({ type: 'unknown' });

    await eventually(() => heard.length === 4);
    expect(heard.slice(1)).toEqual([{ role: 'active', fencingToken: 9 }, 'suspected: it was silent', 'unknown']);
    expect(link.open()).toBe(true);
  });

  it.each([
    [{ type: 'unknown' }, 'unknown'],
    [{ type: 'failed', detail: 'Redis is away' }, 'the registry says: Redis is away'],
  ])('tells what the registry answers: %j', async (reply, outcome) => {
    const { url } = await registry(({ type }) => (type === 'beat' ? reply : undefined));
    const { link } = linkTo(url);
    await eventually(() => link.open());

    expect(await link.beat().catch((error: unknown) => (error as Error).message)).toBe(outcome);
  });

  it('goes to the next registry when one is down, ends it, or hangs', async () => {
    const down = `http://127.0.0.1:${await freePort()}`;
    const hanging = await registry(() => undefined);
    const sound = await registry();
    const { link } = linkTo(down, hanging.url, sound.url);
    await eventually(() => hanging.lines.length === 1);

    await expect(link.beat()).rejects.toThrow('the liveness connection ended');
    await eventually(() => sound.lines.length === 1);
    expect(await link.beat()).toBe('known');
    sound.sockets[0]?.destroy();

    await eventually(() => hanging.lines.length === 3, { timeoutMs: 10_000 });
  });

  it('does not ask again soon where the protocol is not spoken', async () => {
    const old = await registry(404);
    const { link } = linkTo(old.url);
    await eventually(() => old.asked() === 1);
    await new Promise((resolve) => {
      setTimeout(resolve, 700);
    });

    expect([old.asked(), link.open()]).toEqual([1, false]);
    await expect(link.beat()).rejects.toThrow('no liveness connection is open');
  });

  it('says goodbye when it leaves, and only then', async () => {
    const first = await registry();
    const leaving = linkTo(first.url);
    await eventually(() => first.lines.length === 1);
    await leaving.link.leave();
    expect(first.lines.at(-1)).toEqual({ type: 'bye' });

    const second = await registry();
    const stopping = linkTo(second.url);
    await eventually(() => second.lines.length === 1);
    await stopping.link.stop();
    expect(second.lines).toHaveLength(1);
    expect(stopping.link.open()).toBe(false);
  });
});
