// Nothing that a client or an instance can send ends the process, hangs a request, or leaves something behind.
import { eventually, seededRandom } from '@switchyard/testing';
import { rawOrigin, say, startYard, statusOf } from './proxy-fixture.ts';

const random = seededRandom();
const runs = 300;

const requests = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  'PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n',
  'GET http://shop/x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n',
  'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly',
  'POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab',
  'GET / HTTP/1.0\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
];
const answers = [
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n',
  'HTTP/1.0 200 OK\r\n\r\nuntil the end',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
];
const spices = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ':',
  ' ',
  '\t',
  '\u00ff',
  ',',
  '%',
  '/../',
  'chunked',
  '-1',
  '18446744073709551616',
  'Host: b\r\n',
];

/** One to four small changes. */
function mutated(text: string): string {
  let result = text;
  for (let count = random.integer(0, 4); count > 0; count -= 1) {
    const at = random.integer(0, result.length);
    const kind = random.integer(0, 3);
    if (kind === 0) result = result.slice(0, at) + random.pick(spices) + result.slice(at);
    else if (kind === 1) result = result.slice(0, at) + result.slice(at + random.integer(1, 8));
    else if (kind === 2)
      result = result.slice(0, at) + String.fromCodePoint(random.integer(0, 255)) + result.slice(at + 1);
    else result = result.slice(0, at);
  }
  return result;
}

describe(`an engine between a mad client and a mad instance (seed ${random.seed})`, () => {
  it('lives, answers, and comes to rest', async () => {
    const origin = await rawOrigin((socket) => {
      socket.write(mutated(random.pick(answers)), 'latin1');
      const fate = random.integer(0, 4);
      if (fate === 0) socket.end();
      else if (fate === 1) socket.resetAndDestroy();
    });
    const yard = await startYard({
      ports: [origin.port, origin.port],
      timeouts: {
        responseMs: 200,
        idleMs: 200,
        headMs: 200,
        tunnelMs: 200,
        connectMs: 200,
        totalMs: 400,
        keepAliveMs: 100,
      },
    });
    const loose: unknown[] = [];
    const onLoose = (error: unknown): unknown => loose.push(error);
    process.on('uncaughtException', onLoose);
    process.on('unhandledRejection', onLoose);
    for (let turn = 0; turn < runs; turn += 20) {
      await Promise.all(
        Array.from({ length: 20 }, () =>
          say(yard.port, Buffer.from(mutated(random.pick(requests)), 'latin1'), {
            ms: random.integer(5, 60),
            end: random() < 0.2,
          }),
        ),
      );
    }
    await eventually(() => yard.plane.stats().inFlight === 0 && yard.plane.stats().tunnels === 0, { timeoutMs: 6_000 });
    await eventually(() => yard.plane.stats().connections === 0, { timeoutMs: 4_000 });
    process.off('uncaughtException', onLoose);
    process.off('unhandledRejection', onLoose);
    expect(loose).toEqual([]);
    for (const { meter } of yard.targets) expect(meter).toMatchObject({ inFlight: 0, tunnels: 0 });
    await yard.stop();
    await origin.close();
  });

  it('still works afterwards as if nothing had happened', async () => {
    const origin = await rawOrigin((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    const yard = await startYard({ ports: [origin.port] });
    for (let turn = 0; turn < 30; turn += 1) {
      await say(yard.port, Buffer.from(mutated(random.pick(requests)), 'latin1'), { ms: 10 });
      expect(statusOf(await say(yard.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { until: 'ok' }))).toBe(200);
    }
    await yard.stop();
    await origin.close();
  });
});
