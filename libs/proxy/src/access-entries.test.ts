// What is written down of each request where an access log is kept?
import type { AccessEntry } from './engine.ts';
import { deadPort, say, scriptedOrigin, startYard, type Origin, type Yard } from './proxy-fixture.ts';

const open: (Origin | Yard)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await ('stop' in one ? one.stop() : one.close());
});
async function yardOf(ports: readonly number[], wants = (): boolean => true) {
  const entries: AccessEntry[] = [];
  const yard = await startYard({ ports, accessLog: { wants, record: (entry) => entries.push(entry) } });
  open.push(yard);
  return { yard, entries };
}
const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('the access log', () => {
  it('gets one entry for each request of a connection, with its own bytes', async () => {
    const origin = await scriptedOrigin(answer);
    open.push(origin);
    const { yard, entries } = await yardOf([origin.port]);
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const heard = await say(
      yard.port,
      `GET /1?q=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: me\r\ntraceparent: 00-${trace}-00f067aa0ba902b7-01\r\n\r\n` +
        'GET /2 HTTP/1.0\r\n\r\n',
      { ms: 1_000 },
    );
    expect(entries).toMatchObject([
      {
        method: 'GET',
        target: '/1?q=2',
        host: 'shop.example',
        userAgent: 'me',
        traceId: trace,
        client: '127.0.0.1',
        listener: 'traffic',
        protocol: 'HTTP/1.1',
        route: 'all',
        service: 'shop',
        instance: 'a',
        status: 200,
        end: 'answered',
        requestBytes: 0,
        attempts: [],
      },
      { target: '/2', protocol: 'HTTP/1.0', status: 200, traceId: undefined },
    ]);
    expect(entries.reduce((sum, { answerBytes }) => sum + answerBytes, 0)).toBe(heard.text.length);
    for (const { firstByteMs = 0, tookMs } of entries) {
      expect(firstByteMs).toBeGreaterThan(0);
      expect(tookMs).toBeGreaterThanOrEqual(firstByteMs);
    }
  });

  it('gets refusals and what could not be read, too', async () => {
    const { yard, entries } = await yardOf([await deadPort()]);
    await say(yard.port, 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', { until: 'requestId"' });
    await say(yard.port, 'NONSENSE\r\n\r\n');
    expect(entries).toMatchObject([
      { target: '/x', end: 'refused', status: 502, code: 'bad_upstream', requestBytes: 5, instance: 'a' },
      { target: '', end: 'refused', status: 400, code: 'malformed_request', instance: undefined },
    ]);
    expect(entries[0]?.attempts).toMatchObject([{ instance: 'a', outcome: 'it refused the connection' }]);
  });

  it('gets nothing that it does not want', async () => {
    const origin = await scriptedOrigin(answer);
    open.push(origin);
    const { yard, entries } = await yardOf([origin.port], () => false);
    await say(yard.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { until: 'ok' });
    expect(entries).toEqual([]);
  });
});
