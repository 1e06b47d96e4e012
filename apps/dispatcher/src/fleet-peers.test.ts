import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort } from '@switchyard/testing';
import { createFleetPeers } from './fleet-peers.ts';

const own = 'http://127.0.0.1:4723';
const servers: Server[] = [];
const peer = async (answer: (req: IncomingMessage, res: ServerResponse) => void): Promise<string> => {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};
const heard = (id: string, url: string, ageMs = 10) => ({ id, ageMs, told: { url } });
const boardOf = (states: () => Promise<unknown>) => ({ states: states as never });

describe('the other dispatchers', () => {
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  it('are asked in the name of this one, and only those that are alive', async () => {
    const seen: unknown[] = [];
    const knows = await peer((req, res) => {
      seen.push([req.url, req.headers['switchyard-asked-by']]);
      res.end('{"a":1}');
    });
    const knowsNot = await peer((_req, res) => void res.writeHead(404).end('{}'));
    const late = await peer((_req, res) => void res.end('{"late":1}'));
    const board = boardOf(() =>
      Promise.resolve([
        heard('d1', own),
        heard('a sibling', own),
        heard('d2', knows),
        heard('d3', knowsNot),
        heard('d4', late, 5_000),
      ]),
    );

    expect(await createFleetPeers({ id: 'd1', url: own, board }).ask('/v1/x')).toEqual({
      answers: [{ id: 'd2', body: { a: 1 } }],
      asked: 2,
      problems: [],
    });
    expect(seen).toEqual([['/v1/x', 'd1']]);
  });

  it('that hang, are gone, talk too much, redirect or talk nonsense cost half a second and are named', async () => {
    const hangs = await peer(() => undefined);
    const floods = await peer((_req, res) => void res.end('x'.repeat(3 * 1024 * 1024)));
    const redirects = await peer((_req, res) => void res.writeHead(302, { location: 'http://127.0.0.1:1/' }).end());
    const nonsense = await peer((_req, res) => void res.end('<html>'));
    const fails = await peer((_req, res) => void res.writeHead(500).end());
    const gone = `http://127.0.0.1:${await freePort()}`;
    const urls = { hangs, floods, redirects, nonsense, fails, gone };
    const board = boardOf(() => Promise.resolve(Object.entries(urls).map(([id, url]) => heard(id, url))));
    const startedMs = performance.now();

    const { answers, asked, problems } = await createFleetPeers({ id: 'd1', url: own, board }).ask('/v1/x');

    expect(performance.now() - startedMs).toBeLessThan(1_500);
    expect([answers, asked]).toEqual([[], 0]);
    expect(problems).toHaveLength(6);
    for (const id of Object.keys(urls)) expect(problems.join('\n')).toContain(`${id} was asked at`);
  });

  it('are at most 16, and the rest is said', async () => {
    const url = await peer((_req, res) => void res.end('{}'));
    const board = boardOf(() =>
      Promise.resolve(
        Array.from({ length: 20 }, (_, n) => heard(`p${n}`, url.replace('127.0.0.1', `127.0.0.${n + 1}`))),
      ),
    );
    const { asked, problems } = await createFleetPeers({ id: 'd1', url: own, board }).ask('/');

    expect([asked, problems]).toEqual([16, ['4 other dispatchers were not asked']]);
  });

  it('are asked where they were last while Redis is away, and unknown when they never were known', async () => {
    const url = await peer((_req, res) => void res.end('{}'));
    let away = true;
    const board = boardOf(() => (away ? Promise.reject(new Error('away')) : Promise.resolve([heard('d2', url)])));
    const peers = createFleetPeers({ id: 'd1', url: own, board });

    expect(await peers.ask('/')).toMatchObject({ asked: 0, problems: [expect.stringContaining('not known')] });
    away = false;
    await peers.ask('/');
    away = true;
    expect(await peers.ask('/')).toMatchObject({ asked: 1, problems: [expect.stringContaining('known before')] });
  });
});
