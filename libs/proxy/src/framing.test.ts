// The rows of the probe matrix that are about requests: one reading only, and what cannot be read so is refused.
import { httpOrigin, problemIn, rawOrigin, say, startYard, statusOf, type Origin, type Yard } from './proxy-fixture.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
let origin: Origin;
let yard: Yard;

beforeEach(async () => {
  origin = await rawOrigin((socket, received) => {
    // Answers whenever a complete request stands at the end of what came.
    const chunked = /transfer-encoding: chunked/i.test(received);
    const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
    const body = received.slice(received.indexOf('\r\n\r\n') + 4);
    if (received.includes('\r\n\r\n') && (chunked ? /\r\n0\r\n[^]*\r\n$|^0\r\n/.test(body) : body.length >= length))
      socket.write(ok);
  });
  yard = await startYard({ ports: [origin.port] });
});
afterEach(async () => {
  await yard.stop();
  await origin.close();
});

const ask = (text: string) => say(yard.port, text, { until: 'ok' });

describe('requests that can be read in one way only', () => {
  it.each(['DELETE', 'OPTIONS', 'GET', 'POST', 'PUT', 'PATCH', 'PROPFIND'])(
    'keeps the chunked framing of %s: nothing is left for a second request (CVE-2026-29057)',
    async (method) => {
      const smuggled = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';
      const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;
      const heard = await ask(`${method} /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`);
      expect(statusOf(heard)).toBe(200);
      const [head = '', ...rest] = (origin.received[0] ?? '').split('\r\n\r\n');
      expect(head).toMatch(/transfer-encoding: chunked/i);
      expect(head).not.toMatch(/content-length/i);
      expect(rest.join('\r\n\r\n')).toBe(chunk);
    },
  );

  it('keeps the body of a GET with a length', async () => {
    await ask('GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
    expect(origin.received[0]).toMatch(/\r\nContent-Length: 3\r\n[^]*\r\n\r\nabc$/);
  });

  it('uses the authority of an absolute-form target, and sends a path', async () => {
    expect(statusOf(await ask('GET http://shop.example/x?y HTTP/1.1\r\nHost: other\r\n\r\n'))).toBe(200);
    expect(origin.received[0]).toMatch(/^GET \/x\?y HTTP\/1\.1\r\nHost: shop\.example\r\n/);
    expect(origin.received[0]).not.toContain('other');
  });

  it('answers HTTP/1.0 without Host, and closes', async () => {
    const heard = await say(yard.port, 'GET /x HTTP/1.0\r\n\r\n');
    expect([statusOf(heard), heard.ended]).toEqual([200, true]);
    expect(heard.text).not.toMatch(/transfer-encoding/i);
  });

  it('passes h2c upgrades on as ordinary requests', async () => {
    const heard = await ask(
      'GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n',
    );
    expect(statusOf(heard)).toBe(200);
    expect(origin.received[0]).not.toMatch(/upgrade|http2-settings/i);
  });

  it('answers pipelined requests in their order', async () => {
    await origin.close();
    const slow = await httpOrigin((req, res) => setTimeout(() => res.end(`[${req.url}]`), req.url === '/1' ? 80 : 0));
    const own = await startYard({ ports: [slow.port] });
    const requests = ['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join('');
    const heard = await say(own.port, requests, { until: '[/3]' });
    expect(heard.text.match(/\[\/\d\]/g)).toEqual(['[/1]', '[/2]', '[/3]']);
    await own.stop();
    await slow.close();
  });
});

describe('requests that are refused', () => {
  it.each<[string, string, number]>([
    [
      'Content-Length and Transfer-Encoding',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['two Content-Lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde', 400],
    ['a leading plus', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde', 400],
    ['a length beyond 2^53', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9007199254740993\r\n\r\n', 400],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['a Host that is none', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
    ['bare line feeds', 'GET / HTTP/1.1\nHost: a\n\n', 400],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 400],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 400],
    ['a NUL in a header', 'GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n', 400],
    ['a bare CR in a header', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n', 400],
    [
      'a broken chunk size',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n',
      400,
    ],
    [
      'a chunk that is longer than it says',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n',
      400,
    ],
    ['another transfer coding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 501],
    ['chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['a version that does not exist', 'GET / HTTP/9.9\r\nHost: a\r\n\r\n', 505],
    ['HTTP/2 without being asked', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', 501],
    ['a target that is none', 'GET x HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['noise', '\u0016\u0003\u0001\u0002\u0000\u0001', 400],
  ])('%s', async (_name, text, status) => {
    const heard = await say(yard.port, Buffer.from(text, 'latin1'), { until: '"requestId"', ms: 1_500 });
    expect(statusOf(heard)).toBe(status);
    expect(heard.text).toMatch(/content-type: application\/problem\+json/i);
    expect(problemIn(heard)).toMatchObject({ status });
    expect(origin.received.join('')).not.toMatch(/\r\n\r\n.+/s);
  });

  it('a head that is too large, with 431', async () => {
    const heard = await say(yard.port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`, {
      until: 'requestId',
    });
    expect([statusOf(heard), problemIn(heard).code]).toEqual([431, 'header_too_large']);
  });

  it('more header fields than are kept, with 431 and not by dropping the last ones without a word', async () => {
    const many = Array.from({ length: 2_500 }, () => 'a:\r\n').join('');
    const heard = await say(yard.port, `POST / HTTP/1.1\r\n${many}Host: a\r\nContent-Length: 3\r\n\r\nabc`, {
      until: 'requestId',
    });
    expect([statusOf(heard), problemIn(heard).code]).toEqual([431, 'header_too_large']);
    expect(origin.received.join('')).not.toMatch(/abc/);
  });

  it('with its reason even behind a HEAD, whose answer had no body', async () => {
    const heard = await say(yard.port, 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\nBREW / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(heard.text).toMatch(/^HTTP\/1\.1 200 [^]*HTTP\/1\.1 400 [^]*"code":"malformed_request"/);
  });

  it('closes the connection after a request that could not be read', async () => {
    const heard = await say(
      yard.port,
      'GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n',
    );
    expect(heard.ended).toBe(true);
    expect(heard.text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(origin.received.join('')).toBe('');
  });
});
