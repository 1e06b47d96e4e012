// The rows of the probe matrix that are about answers: what an instance says reaches the client as it was said, and what
// breaks off is never made to look whole.
import { connect } from 'node:net';
import { systemClock } from '@switchyard/runtime';
import { eventually } from '@switchyard/testing';
import {
  httpOrigin,
  problemIn,
  rawOrigin,
  say,
  scriptedOrigin,
  startYard,
  statusOf,
  type Heard,
  type Origin,
  type Yard,
} from './proxy-fixture.ts';

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function yardFor(origin: Origin, more: Partial<Parameters<typeof startYard>[0]> = {}): Promise<Yard> {
  const yard = await startYard({ ports: [origin.port], ...more });
  open.push(origin, { close: () => yard.stop() });
  return yard;
}

async function answerTo(
  request: string,
  bytes: string,
  then: 'keep' | 'end' | 'reset' = 'keep',
): Promise<Heard & { readonly yard: Yard }> {
  const yard = await yardFor(await scriptedOrigin(bytes, then));
  return { ...(await say(yard.port, request, { ms: 250 })), yard };
}

describe('answers as they were said', () => {
  it('keeps duplicates of Set-Cookie and of other fields apart', async () => {
    const { text } = await answerTo(
      get,
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-A: 1\r\nSet-Cookie: b=2\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n',
    );
    expect(text.match(/^(Set-Cookie|X-A): .*$/gm)).toEqual(['Set-Cookie: a=1', 'X-A: 1', 'Set-Cookie: b=2', 'X-A: 2']);
  });

  it('ends what Connection lists at this hop', async () => {
    const { text } = await answerTo(
      get,
      'HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n',
    );
    expect(text).not.toMatch(/x-hop/i);
    expect(text).toMatch(/Switchyard-Instance: a\r\n/);
  });

  it('keeps the length of a 304 and of the answer to HEAD, and sends no body', async () => {
    const notModified = await answerTo(get, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "x"\r\n\r\n');
    expect(notModified.text).toMatch(/^HTTP\/1\.1 304 [^]*Content-Length: 9\r\n[^]*\r\n\r\n$/);
    const head = await answerTo('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n');
    expect(head.text).toMatch(/^HTTP\/1\.1 200 [^]*Content-Length: 9\r\n[^]*\r\n\r\n$/);
    const chunked = await answerTo(
      'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n',
    );
    expect([statusOf(chunked), chunked.text.split('\r\n\r\n')[1]]).toEqual([200, '']);
  });

  it('gives a 204 neither length nor body', async () => {
    const { text } = await answerTo(get, 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 204 /);
    expect(text).not.toMatch(/content-length|transfer-encoding/i);
  });

  it('passes trailers down and up', async () => {
    const origin = await rawOrigin((socket, received) => {
      if (received.endsWith('\r\nX-Up: 1\r\n\r\n'))
        socket.write(
          'HTTP/1.1 200 OK\r\nTrailer: X-Down\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Down: 2\r\nHost: 7\r\n\r\n',
        );
    });
    const yard = await yardFor(origin);
    const request =
      'POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Up: 1\r\n\r\n';
    const { text } = await say(yard.port, request, { until: '\r\n0\r\nX-Down: 2\r\n\r\n' });
    expect(text).toMatch(/Trailer: X-Down\r\n/);
    expect(text).toMatch(/\r\n0\r\nX-Down: 2\r\n\r\n$/);
    expect(origin.received[0]).toMatch(/TE: trailers\r\nConnection: keep-alive, TE\r\n/);
  });

  it('passes 103 on in front of the answer, to clients that know it', async () => {
    const bytes =
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    const { text } = await answerTo(get, bytes);
    expect(text).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>\r\nLink: <\/b\.css>\r\n\r\nHTTP\/1\.1 200 OK/,
    );
    const old = await answerTo('GET / HTTP/1.0\r\n\r\n', bytes);
    expect(old.text).toMatch(/^HTTP\/1\.1 200 OK/);
  });

  it('are 502 when what comes with their head is no body, and nothing of them is seen', async () => {
    const heard = await answerTo(
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 ; a=b\r\nhello\r\n0\r\n\r\n',
    );
    expect([statusOf(heard), heard.text.includes('hello')]).toEqual([502, false]);
    expect(heard.text).toContain('its answer is not HTTP (chunks)');
  });

  it('reach a client that goes on sending for seconds before it reads', async () => {
    const origin = await scriptedOrigin('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
    const yard = await yardFor(origin);
    const client = connect({ port: yard.port, host: '127.0.0.1' });
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n');
    for (let sent = 0; sent < 6; sent += 1) {
      await systemClock.sleep(500);
      client.write('x'.repeat(100_000));
    }
    let text = '';
    client.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await eventually(() => text.startsWith('HTTP/1.1 413'));
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await eventually(() => text.split('HTTP/1.1 413').length === 3);
    client.destroy();
  });

  it('says 100 once, when the instance says it, and passes the body then', async () => {
    const yard = await yardFor(
      await rawOrigin((socket, received) => {
        if (received.includes('\r\n\r\n')) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
        if (received.endsWith('hello')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      }),
    );
    const request = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';
    const waiting = await say(yard.port, request, { ms: 400 });
    expect(waiting.text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    const heard = await say(yard.port, `${request}hello`, { until: 'ok' });
    expect(heard.text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
    expect(heard.text.match(/100 Continue/g)).toHaveLength(1);
  });

  it('passes a final answer on in place of 100, and closes, because the body may never come', async () => {
    const request = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';
    const heard = await answerTo(request, 'HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n');
    expect([statusOf(heard), heard.ended]).toEqual([417, true]);
  });

  it('passes an early 413 on while the client still sends, then takes the rest and goes on', async () => {
    const heads = new Map<unknown, number>();
    const origin = await rawOrigin((socket, received) => {
      const arrived = received.split('\r\n\r\n').length - 1;
      if (arrived > (heads.get(socket) ?? 0))
        socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
      heads.set(socket, arrived);
    });
    const yard = await yardFor(origin);
    const early = await say(yard.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n', {
      until: '\r\n\r\n',
      ms: 500,
    });
    expect(statusOf(early)).toBe(413);
    const both = await say(yard.port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789${get}`, {
      ms: 500,
    });
    expect(both.text.match(/HTTP\/1\.1 413/g)).toHaveLength(2);
  });

  it('streams an echo: the answer comes while the request still goes', async () => {
    const echo = await httpOrigin((req, res) => req.pipe(res));
    const yard = await yardFor(echo);
    const heard = await say(
      yard.port,
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      { until: 'hello' },
    );
    expect(statusOf(heard)).toBe(200);
  });

  it('frames a body that ends with the connection anew', async () => {
    const heard = await answerTo(get, 'HTTP/1.1 200 OK\r\n\r\nuntil the end', 'end');
    expect(heard.text).toMatch(/Transfer-Encoding: chunked\r\n\r\nd\r\nuntil the end\r\n0\r\n\r\n$/i);
  });

  it('sends the head of an answer at once, before the first byte of its body', async () => {
    const yard = await yardFor(
      await httpOrigin((_req, res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()),
    );
    expect(statusOf(await say(yard.port, get, { until: '\r\n\r\n', ms: 500 }))).toBe(200);
  });

  it('says nothing about the instance when told not to', async () => {
    const origin = await scriptedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    const yard = await yardFor(origin, { announceInstance: false });
    expect((await say(yard.port, get, { until: '\r\n\r\n' })).text).not.toMatch(/switchyard-instance/i);
  });

  it('throws away what an instance says without being asked', async () => {
    const yard = await yardFor(
      await rawOrigin((socket, received) => {
        if (!received.endsWith('\r\n\r\n')) return;
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'), 5);
      }),
    );
    for (let turn = 0; turn < 3; turn += 1) {
      const heard = await say(yard.port, get, { until: 'ok', ms: 500 });
      expect(heard.text).not.toContain('forged');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});

describe('answers that break off', () => {
  it.each<[string, string, 'end' | 'reset']>([
    ['short of its length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', 'end'],
    ['short of its length by reset', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', 'reset'],
    ['without a last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'end'],
    ['within a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf', 'end'],
  ])('%s: the client is told', async (_name, bytes, then) => {
    const heard = await answerTo(get, bytes, then);
    expect(heard.text).not.toMatch(/\r\n0\r\n/);
    expect(heard.ended || heard.reset).toBe(true);
    const { truncatedTotal } = heard.yard.plane.stats();
    expect(truncatedTotal).toBe(1);
    expect(heard.yard.outcomes).toMatchObject([{ end: 'cut', status: 200, attempts: [{ instance: 'a' }] }]);
    expect(heard.yard.targets[0]?.meter.errors).toBe(1);
  });

  it('in a later chunk that cannot be read: the client is told', async () => {
    const origin = await rawOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
      setTimeout(() => socket.write('zz\r\n'), 30);
    });
    const yard = await yardFor(origin);
    const heard = await say(yard.port, get);
    expect([heard.text.includes('half'), heard.ended || heard.reset]).toEqual([true, true]);
    expect(heard.text).not.toMatch(/\r\n0\r\n/);
    expect(yard.plane.stats().truncatedTotal).toBe(1);
  });

  it('tells a client of HTTP/1.0, whose body ends with the connection, by a reset', async () => {
    const heard = await answerTo(
      'GET / HTTP/1.0\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
      'end',
    );
    expect([heard.reset, heard.ended]).toEqual([true, false]);
  });

  it.each<[string, string]>([
    ['a NUL in a header', 'HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n'],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['both framings', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc'],
    ['a head beyond its limit', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`],
    ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
    ['101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
    ['a status that does not exist', 'HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n'],
  ])('%s is 502 with the reason, and is not tried again', async (_name, bytes) => {
    const origin = await scriptedOrigin(bytes, 'end');
    const other = await scriptedOrigin(bytes, 'end');
    const yard = await startYard({ ports: [origin.port, other.port] });
    open.push(origin, other, { close: () => yard.stop() });
    const heard = await say(yard.port, get, { until: 'requestId"' });
    expect(statusOf(heard)).toBe(502);
    expect(problemIn(heard).why[0]).toMatch(/^a: /);
    expect(other.received).toEqual([]);
  });
});

describe('clients that leave', () => {
  it('take their request to the instance with them, without blame', async () => {
    let broken = false;
    const origin = await httpOrigin((_req, res) => {
      res.write('some');
      res.on('close', () => (broken = true));
    });
    const yard = await yardFor(origin);
    await say(yard.port, get, { until: 'some' });
    await eventually(() => broken);
    await eventually(() => yard.plane.stats().inFlight === 0);
    expect(yard.targets[0]?.meter).toMatchObject({ errors: 0, inFlight: 0, requests: 1 });
    expect(yard.plane.stats().clientAbortsTotal).toBe(1);
    expect(yard.outcomes).toMatchObject([{ end: 'left', status: 200 }]);
  });

  it('are noticed before there is an answer', async () => {
    const origin = await rawOrigin(() => undefined);
    const yard = await yardFor(origin);
    await say(yard.port, get, { ms: 100 });
    await eventually(() => yard.plane.stats().inFlight === 0 && origin.connections() === 0);
    expect(yard.targets[0]?.meter).toMatchObject({ errors: 0, inFlight: 0 });
  });

  it('that read slowly hold little memory: the instance waits', async () => {
    let sentBytes = 0;
    const chunk = Buffer.alloc(64 * 1024);
    const origin = await httpOrigin((_req, res) => {
      const more = (): void => {
        while (sentBytes < 256 * 1024 * 1024) {
          sentBytes += chunk.length;
          if (!res.write(chunk)) break;
        }
      };
      res.on('drain', more);
      more();
    });
    const yard = await yardFor(origin);
    const client = connect(yard.port, '127.0.0.1', () => client.write(get));
    client.pause();
    await new Promise((resolve) => setTimeout(resolve, 400));
    const stalledAt = sentBytes;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(sentBytes).toBe(stalledAt);
    // What the kernel keeps on both sides, and not the whole 256 MB.
    expect(stalledAt).toBeLessThan(32 * 1024 * 1024);
    client.destroy();
    await eventually(() => yard.plane.stats().inFlight === 0);
  });
});
