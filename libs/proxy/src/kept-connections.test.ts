// Whose connection to an instance may somebody else use afterwards? Nobody's who left credentials on it, or a body that the instance
// did not expect.
import { Agent, request } from 'node:http';
import type { Socket } from 'node:net';
import { systemClock } from '@switchyard/runtime';
import {
  httpOrigin,
  rawOrigin,
  say,
  scriptedOrigin,
  startYard,
  statusOf,
  type Origin,
  type Yard,
} from './proxy-fixture.ts';

const open: { stop(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.stop();
});
async function yardOf(...origins: readonly Promise<Origin>[]) {
  const ready = await Promise.all(origins);
  const yard = await startYard({ ports: ready.map(({ port }) => port) });
  open.push(...ready.map((one) => ({ stop: () => one.close() })), yard satisfies Yard);
  return { yard, ready };
}

/** An instance that knows its users by their connection, as IIS does with NTLM and Kerberos. */
const connectionBound = (scheme: string): Promise<Origin> => {
  const users = new WeakMap<Socket, string>();
  return httpOrigin((req, res) => {
    const name = new RegExp(`^${scheme} (\\w+)`).exec(req.headers.authorization ?? '')?.[1];
    if (name !== undefined) users.set(req.socket, name);
    const user = users.get(req.socket);
    if (user === undefined) res.writeHead(401, { 'www-authenticate': scheme }).end('who?');
    else res.end(`hello ${user}`);
  });
};

describe.each(['NTLM', 'Negotiate'])('credentials of %s', (scheme) => {
  it('stay with the request that brought them', async () => {
    const { yard } = await yardOf(connectionBound(scheme));
    const get = (more: string): string => `GET / HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
    expect(statusOf(await say(yard.port, get(''), { until: 'who?' }))).toBe(401);
    expect((await say(yard.port, get(`Authorization: ${scheme} alice\r\n`), { until: 'alice' })).text).toContain(
      'hello alice',
    );
    for (let turn = 0; turn < 4; turn += 1)
      expect((await say(yard.port, get(''), { until: '?' })).text).toContain('who?');
  });

  it('stay with it when requests share connections', async () => {
    const origin = await connectionBound(scheme);
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 50 };
    const yard = await startYard({ ports: [origin.port], clock });
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    open.push({ stop: () => origin.close() }, yard, { stop: () => agent.destroy() });
    const ask = (index: number): Promise<[boolean, string]> =>
      new Promise((resolve, reject) => {
        const isAlice = index % 10 === 0;
        const headers = isAlice ? { authorization: `${scheme} alice` } : {};
        request({ port: yard.port, host: '127.0.0.1', agent, headers }, (response) => {
          let text = '';
          response.on('data', (part: Buffer) => (text += part.toString()));
          response.on('end', () => resolve([isAlice, text]));
        })
          .on('error', reject)
          .end();
      });
    const answers = await Promise.all(Array.from({ length: 2_000 }, (_, index) => ask(index)));
    expect(new Set(answers.map(([isAlice, text]) => `${isAlice} ${text}`))).toEqual(
      new Set(['true hello alice', 'false who?']),
    );
  });
});

describe('a request that expects 100', () => {
  it('leaves no connection behind on which its body may be the next request', async () => {
    // answers at the end of the head, takes what comes behind it for the next request
    const deaf = rawOrigin((socket, received) => {
      const heads = received.match(/(?:GET|POST) \/\w+ HTTP/g) ?? [];
      const answered = answers.get(socket) ?? 0;
      for (const head of heads.slice(answered)) {
        const path = head.split(' ')[1] ?? '';
        socket.write(`HTTP/1.1 404 Not Found\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
      }
      answers.set(socket, heads.length);
    });
    const answers = new WeakMap<Socket, number>();
    const { yard } = await yardOf(deaf);
    const evil = 'GET /evil HTTP/1.1\r\nHost: a\r\n\r\n';
    const post = `POST /first HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`;
    expect((await say(yard.port, post, { until: '/first' })).text).toContain('/first');
    for (let turn = 0; turn < 3; turn += 1) {
      const heard = await say(yard.port, 'GET /mine HTTP/1.1\r\nHost: a\r\n\r\n', { until: '/mine' });
      expect(heard.text).toMatch(/\/mine$/);
    }
  });

  it.each([
    'y 100-continue',
    '100-continue, 100-continue',
    '100-continue\r\nExpect: 100-continue',
    '200-ok',
    '100-continu',
  ])('is refused when it is spelled %j', async (spelled) => {
    const { yard, ready } = await yardOf(scriptedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    const post = `POST / HTTP/1.1\r\nHost: a\r\nExpect: ${spelled}\r\nContent-Length: 2\r\n\r\nhi`;
    const heard = await say(yard.port, post);
    expect([statusOf(heard), heard.ended, ready[0]?.received.join('')]).toEqual([417, true, '']);
  });
});

describe('what goes on', () => {
  it('has lengths without leading zeros, both ways', async () => {
    const { yard, ready } = await yardOf(
      rawOrigin((socket, received) => {
        if (received.endsWith('0123456789')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nok');
      }),
    );
    const heard = await say(yard.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n0123456789', {
      until: 'ok',
    });
    expect(ready[0]?.received[0]?.match(/Content-Length: .*/g)).toEqual(['Content-Length: 10']);
    expect(heard.text.match(/Content-Length: .*/g)).toEqual(['Content-Length: 2']);
  });

  it('has the date of the instance, or ours', async () => {
    const own = 'Tue, 15 Nov 1994 08:12:31 GMT';
    const { yard } = await yardOf(
      scriptedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
      scriptedOrigin(`HTTP/1.1 200 OK\r\nDate: ${own}\r\nContent-Length: 2\r\n\r\nok`),
    );
    const dates = [];
    for (let turn = 0; turn < 2; turn += 1) {
      const heard = await say(yard.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { until: 'ok' });
      dates.push(heard.text.match(/^Date: .*$/gm)?.map((line) => line.slice(6)));
    }
    expect(Math.abs(Date.parse(dates[0]?.[0] ?? '') - Date.now())).toBeLessThan(3_000);
    expect(dates[1]).toEqual([own]);
  });

  it('is no request line that is too long: that is 414, not 431', async () => {
    const { yard } = await yardOf(scriptedOrigin(''));
    const long = 'u'.repeat(17_000);
    expect(statusOf(await say(yard.port, `GET /${long} HTTP/1.1\r\nHost: a\r\n\r\n`))).toBe(414);
    expect(statusOf(await say(yard.port, `GET /${long}`))).toBe(414);
    expect(statusOf(await say(yard.port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${long}\r\n\r\n`))).toBe(431);
  });
});
