// Who gets an answer that nobody asked for? Nobody: what an instance said before it was asked is never taken for the answer, however
// busy the connections are (CVE-2026-6733, aiohttp#13656).
import { Agent, request } from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { systemClock, type Clock } from '@switchyard/runtime';
import { eventually, seededRandom } from '@switchyard/testing';
import { startYard } from './proxy-fixture.ts';

const open: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});

const random = seededRandom();
/** A clock on which a busy test machine is a quick one, so that connections are shared. */
const quickClock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 50 };
/** A clock on which every answer is slow, so that none are. */
const slowClock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() * 20 };

/** Counts what is asked and said, so that it can be told what came first. */
let moment = 0;

/**
 * An origin that answers with the path. From `/begin` on it says a second answer behind one of ten, some turns of the event loop
 * later, when it has not been asked for anything else on that connection meanwhile. `saidAt`: when it said which.
 */
async function talkative(): Promise<{ readonly port: number; readonly saidAt: number[] }> {
  const sockets = new Set<Socket>();
  const saidAt: number[] = [];
  let active = false;
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let text = '';
    let asked = 0;
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      let out = '';
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const path = text.split(' ', 2)[1] ?? '';
        text = text.slice(end + 4);
        asked += 1;
        active ||= path.startsWith('/begin');
        out += answer(path);
      }
      socket.write(out);
      if (!active || random.integer(1, 10) > 1) return;
      const then = asked;
      let left = random.integer(1, 8);
      const later = (): void => {
        if (asked !== then || socket.destroyed) return;
        if (left > 0) setImmediate(later);
        else socket.write(answer(`/evil-${saidAt.push((moment += 1)) - 1}`));
        left -= 1;
      };
      later();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  open.push({
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => {
        server.close(resolve);
      });
    },
  });
  return { port: (server.address() as AddressInfo).port, saidAt };
}

const answer = (path: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`;

interface Got {
  readonly path: string;
  readonly status: number;
  readonly body: string;
}

/** What 16 clients get who ask for so many paths, one after the other each. */
async function crowd(port: number, prefix: string, count: number): Promise<Got[]> {
  const agent = new Agent({ keepAlive: true });
  open.push({ stop: async () => agent.destroy() });
  const ask = (path: string): Promise<Got> =>
    new Promise((resolve) => {
      const done = (status: number, body: string): void => resolve({ path, status, body });
      request({ port, host: '127.0.0.1', path, agent }, (response) => {
        let body = '';
        response.setEncoding('latin1');
        response.on('data', (part: string) => (body += part));
        response.on('end', () => done(response.statusCode ?? 0, body));
        response.on('error', () => done(0, ''));
      })
        .on('error', () => done(0, ''))
        .end();
    });
  const got: Got[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < count) got.push(await ask(`${prefix}${(next += 1)}`));
  };
  await Promise.all(Array.from({ length: 16 }, client));
  return got;
}

describe(`an answer that nobody asked for (seed ${random.seed})`, () => {
  it.each([
    ['alone', slowClock],
    ['together', quickClock],
  ] as const)(
    'is never taken for one by a request that came after it, on connections that are used %s',
    async (_how, clock) => {
      const origin = await talkative();
      const routedAt = new Map<string, number>();
      const routed = ({ path }: { readonly path: string }): unknown => routedAt.set(path, (moment += 1));
      const yard = await startYard({ ports: [origin.port, origin.port], clock, routed });
      open.push(yard);
      await crowd(yard.port, '/warm-', 1_000);
      await crowd(yard.port, '/begin?', 1);

      const got = await crowd(yard.port, '/x', 5_000);

      const poisoned = got.filter(({ path, body }) => {
        const number = /^\/evil-(\d+)$/.exec(body)?.[1];
        return number !== undefined && (origin.saidAt[Number(number)] ?? 0) < (routedAt.get(path) ?? 0);
      });
      expect(poisoned).toEqual([]);
      expect(origin.saidAt.length).toBeGreaterThan(20);
      await eventually(() => yard.plane.stats().inFlight === 0);
    },
  );
});
