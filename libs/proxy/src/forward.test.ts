// What happens when an instance fails: again elsewhere where that is safe, else a refusal with the reason of each.
import { eventually } from '@switchyard/testing';
import {
  deadPort,
  httpOrigin,
  problemIn,
  rawOrigin,
  say,
  scriptedOrigin,
  startYard,
  statusOf,
  type Yard,
} from './proxy-fixture.ts';

const get = 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const post = 'POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello';
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function yardOf(
  origins: readonly (number | { readonly port: number; close(): Promise<void> })[],
  more: Omit<Parameters<typeof startYard>[0], 'ports'> = {},
): Promise<Yard> {
  for (const origin of origins) if (typeof origin !== 'number') open.push(origin);
  const ports = origins.map((origin) => (typeof origin === 'number' ? origin : origin.port));
  const yard = await startYard({ ports, ...more });
  open.push({ close: () => yard.stop() });
  return yard;
}
const good = () =>
  httpOrigin((req, res) => {
    let body = '';
    req.on('data', (chunk: Buffer) => (body += chunk.toString()));
    req.on('end', () => res.end(`good:${req.method}:${body}`));
  });
/** Reads the request and hangs up without a word. */
const dying = () =>
  rawOrigin((socket, received) => {
    if (received.includes('\r\n\r\n')) socket.destroy();
  });
/** Never says anything. */
const hanging = () => rawOrigin(() => undefined);

describe('a failing instance', () => {
  it.each([get, post])('costs nothing when nothing was sent: %j', async (request) => {
    const yard = await yardOf([await deadPort(), await deadPort(), await good()]);
    const heard = await say(yard.port, request);
    expect(statusOf(heard)).toBe(200);
    expect(heard.text).toMatch(/good:(GET:|POST:hello)$/);
    expect(yard.outcomes).toMatchObject([
      {
        end: 'answered',
        status: 200,
        attempts: [{ instance: 'a', outcome: 'it refused the connection' }, { instance: 'b' }],
      },
    ]);
    expect(yard.targets.map(({ meter }) => [meter.requests, meter.errors, meter.retries])).toEqual([
      [1, 1, 0],
      [1, 1, 1],
      [1, 0, 1],
    ]);
  });

  it('is left at most three times', async () => {
    const yard = await yardOf([await deadPort(), await deadPort(), await deadPort(), await good()]);
    const heard = await say(yard.port, get);
    expect([statusOf(heard), problemIn(heard).code]).toEqual([502, 'bad_upstream']);
    expect(problemIn(heard).why).toEqual([
      'a: it refused the connection',
      'b: it refused the connection',
      'c: it refused the connection',
      'not tried again: 3 attempts were made',
    ]);
  });

  it.each(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])('that took a %s and died is replaced', async (method) => {
    const yard = await yardOf([await dying(), await good()]);
    const body = method === 'PUT' || method === 'DELETE' ? 'hello' : '';
    const heard = await say(
      yard.port,
      `${method} /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    expect(statusOf(heard)).toBe(200);
    if (method !== 'HEAD') expect(heard.text).toMatch(new RegExp(`good:${method}:${body}$`));
  });

  it.each(['POST', 'PATCH'])('that took a %s and died is not: it may have been carried out', async (method) => {
    const other = await good();
    const yard = await yardOf([await dying(), other]);
    const heard = await say(yard.port, post.replace('POST', method));
    expect(statusOf(heard)).toBe(502);
    expect(problemIn(heard).why).toEqual([
      'a: it closed the connection before it answered',
      `not tried again: ${method} may have been carried out already`,
    ]);
    expect(yard.targets[1]?.meter.requests).toBe(0);
  });

  it('gets a chunked body once more, and what still comes behind it', async () => {
    const yard = await yardOf([await dying(), await good()]);
    const { connect } = await import('node:net');
    const socket = connect(yard.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.write('PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await eventually(() => yard.targets[1]?.meter.requests === 1);
    socket.write('6\r\n again\r\n0\r\n\r\n');
    await eventually(() => text.includes('good:PUT:hello again'));
    socket.destroy();
  });

  it('is not replaced when the body was too long to be kept', async () => {
    const yard = await yardOf([await dying(), await good()], { limits: { replayBytes: 4 } });
    const heard = await say(yard.port, post.replace('POST', 'PUT'));
    expect(problemIn(heard).why).toContain('not tried again: its body was too long to be kept');
  });

  it('is told to the client with every candidate and its reason', async () => {
    const yard = await yardOf([await deadPort()], {
      whyNot: [
        { id: 'z', reason: 'draining: deploy' },
        { id: 'a', reason: 'never shown twice' },
      ],
    });
    expect(problemIn(await say(yard.port, get)).why).toEqual(['a: it refused the connection', 'z: draining: deploy']);
  });

  it('is told as 503 when there is none at all', async () => {
    const yard = await yardOf([]);
    const heard = await say(yard.port, get);
    expect([statusOf(heard), problemIn(heard).code]).toEqual([503, 'no_instance']);
    expect(heard.text).toMatch(/Retry-After: 1\r\n/);
    expect(problemIn(heard).why).toEqual(['no instance of shop is registered']);
    expect(problemIn(heard).instance).toBe('/x');
  });
});

describe('a slow instance', () => {
  it('that does not answer is 504, after another one was tried', async () => {
    const yard = await yardOf([await hanging(), await hanging(), await hanging()], {
      timeouts: { responseMs: 150, totalMs: 250 },
    });
    const heard = await say(yard.port, get);
    expect([statusOf(heard), problemIn(heard).code]).toEqual([504, 'upstream_timeout']);
    expect(problemIn(heard).why).toEqual([
      'a: no answer within 150 ms',
      'b: no answer within 150 ms',
      'not tried again: 250 ms had gone by',
    ]);
  });

  it('that does not answer does not cost the client its GET when another one does', async () => {
    const yard = await yardOf([await hanging(), await good()], { timeouts: { responseMs: 150 } });
    expect(statusOf(await say(yard.port, get))).toBe(200);
  });

  it('that stops within its body is cut', async () => {
    const yard = await yardOf([await scriptedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')], {
      timeouts: { idleMs: 150 },
    });
    const heard = await say(yard.port, get, { ms: 1_500 });
    expect([heard.text.endsWith('half'), heard.ended || heard.reset]).toEqual([true, true]);
    expect(yard.outcomes).toMatchObject([{ end: 'cut' }]);
  });

  it('may take its time between two pieces, as long as each comes in time', async () => {
    const dripping = await httpOrigin((_req, res) => {
      let left = 5;
      const timer = setInterval(() => {
        res.write('x');
        left -= 1;
        if (left === 0) {
          clearInterval(timer);
          res.end('done');
        }
      }, 100);
    });
    const yard = await yardOf([dripping], { timeouts: { idleMs: 300, responseMs: 300 } });
    expect((await say(yard.port, get)).text).toContain('done');
  });
});

describe('a slow client', () => {
  it('that does not finish its head gets 408', async () => {
    const yard = await yardOf([await good()], { timeouts: { headMs: 200 } });
    const heard = await say(yard.port, 'GET / HTTP/1.1\r\nHost:', { ms: 2_000 });
    expect([statusOf(heard), heard.ended]).toEqual([408, true]);
    expect(problemIn(heard)).toMatchObject({ code: 'timed_out', status: 408 });
  });

  it('that says nothing at all is disconnected without a word', async () => {
    const yard = await yardOf([await good()], { timeouts: { headMs: 200 } });
    expect(await say(yard.port, '', { ms: 2_000 })).toMatchObject({ text: '', ended: true });
  });

  it('that stops within its body gets 408, without blame on the instance', async () => {
    const yard = await yardOf([await good()], { timeouts: { idleMs: 150 } });
    const heard = await say(yard.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf', {
      until: 'requestId"',
    });
    expect(statusOf(heard)).toBe(408);
    expect(yard.targets[0]?.meter.errors).toBe(0);
  });
});

describe('limits', () => {
  it('refuse a body that says it is too long, and one that turns out to be', async () => {
    const origin = await good();
    const yard = await yardOf([origin], { limits: { bodyBytes: 4 } });
    const said = await say(yard.port, post, { until: 'requestId"' });
    expect([statusOf(said), problemIn(said).code]).toEqual([413, 'too_large']);
    const grown = await say(
      yard.port,
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      { until: 'requestId"' },
    );
    expect(statusOf(grown)).toBe(413);
    expect(yard.targets[0]?.meter.errors).toBe(0);
  });

  it('pass over an instance that has enough to do, and say so when all have', async () => {
    const yard = await yardOf([await hanging(), await hanging()], {
      limits: { inFlightPerInstance: 1 },
      rules: { queued: 0 },
    });
    const waiting = [say(yard.port, get, { ms: 600 }), say(yard.port, get, { ms: 600 })];
    await eventually(() => yard.plane.stats().inFlight === 2);
    const heard = await say(yard.port, get);
    expect([statusOf(heard), problemIn(heard).code]).toEqual([503, 'overloaded']);
    expect(problemIn(heard).why).toEqual([
      'this service has no queue',
      'a: it has 1 requests under way',
      'b: it has 1 requests under way',
    ]);
    expect(yard.targets.map(({ meter }) => meter.requests)).toEqual([1, 1]);
    await Promise.all(waiting);
  });

  it('bound the number of clients', async () => {
    const yard = await yardOf([await hanging()], { limits: { connections: 2 } });
    const waiting = [say(yard.port, get, { ms: 400 }), say(yard.port, get, { ms: 400 })];
    await eventually(() => yard.plane.stats().inFlight === 2);
    expect(await say(yard.port, get)).toMatchObject({ text: '' });
    expect(yard.plane.stats().connectionsDropped).toBe(1);
    await Promise.all(waiting);
  });
});

describe('kept connections', () => {
  it('are used again', async () => {
    const origin = await good();
    const yard = await yardOf([origin]);
    for (let turn = 0; turn < 5; turn += 1) await say(yard.port, get);
    expect(origin.connections()).toBe(1);
  });

  it('that the instance closes just as they are used again cost nobody a GET, even with one instance', async () => {
    // Answers the first request of each connection and hangs up on the second.
    const origin = await rawOrigin((socket, received) => {
      const requests = received.split('\r\n\r\n').length - 1;
      if (requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.resetAndDestroy();
    });
    const yard = await yardOf([origin]);
    for (let turn = 0; turn < 6; turn += 1) expect(statusOf(await say(yard.port, get))).toBe(200);
    expect(yard.targets[0]?.meter.errors).toBe(0);
    expect(yard.targets[0]?.meter.staleConnections).toBeGreaterThan(0);
  });

  it('are given up before a server of Node closes them', async () => {
    const origin = await httpOrigin((_req, res) => {
      res.setHeader('keep-alive', 'timeout=1');
      res.end('ok');
    });
    const yard = await yardOf([origin]);
    await say(yard.port, get);
    await eventually(() => origin.connections() === 0, { timeoutMs: 1_500 });
  });
});

describe('redirects', () => {
  it('send the client to the instance, with path and query, and never to ourselves', async () => {
    const yard = await yardOf([await good()], {
      route: { action: 'redirect', redirectStatus: 308, pathPrefix: '/api', stripPrefix: true },
    });
    const heard = await say(yard.port, 'POST /api/a%20b?x=1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n', {
      until: '\r\n\r\n',
    });
    expect(statusOf(heard)).toBe(308);
    expect(heard.text).toContain(`Location: ${yard.targets[0]?.origin}/a%20b?x=1\r\n`);
    expect(heard.text).toMatch(/Switchyard-Instance: a\r\n/);
    const back = await say(yard.port, `GET /api HTTP/1.1\r\nHost: 127.0.0.1:${yard.targets[0]?.port}\r\n\r\n`, {
      until: 'requestId"',
    });
    expect([statusOf(back), problemIn(back).why]).toEqual([503, ['a: a redirect to it would lead back here']]);
  });
});

describe('a circle', () => {
  it('is broken after a few rounds through dispatchers of the same name', async () => {
    const via = ['1.1 switchyard', '1.1 edge', '1.1 switchyard', '1.1 switchyard', '1.1 switchyard'].join(', ');
    const yard = await yardOf([await good()]);
    const heard = await say(yard.port, `GET / HTTP/1.1\r\nHost: a\r\nVia: ${via}\r\n\r\n`, { until: 'requestId"' });
    expect([statusOf(heard), yard.targets[0]?.meter.requests]).toEqual([502, 0]);
  });
});
