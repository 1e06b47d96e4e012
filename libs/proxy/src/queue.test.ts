// What happens to requests while every instance of their service has all it can take?
import type { Socket } from 'node:net';
import { eventually } from '@switchyard/testing';
import { problemIn, rawOrigin, say, startYard, statusOf, type Origin, type Yard } from './proxy-fixture.ts';

const good = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const open: (Origin | Yard)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await ('stop' in one ? one.stop() : one.close());
});

/** One instance that takes one request at a time and answers when it is told to. */
async function fullYard(rules: { readonly queued: number; readonly queuedMs: number }) {
  const waiting: Socket[] = [];
  const paths: string[] = [];
  const origin = await rawOrigin((socket, received) => {
    waiting.push(socket);
    paths.push(received.split('\r\n\r\n').at(-2)?.split(' ')[1] ?? '');
  });
  const yard = await startYard({ ports: [origin.port], rules: { ...rules, inFlightPerInstance: 1 } });
  open.push(origin, yard);
  const answer = async (): Promise<void> => {
    await eventually(() => waiting.length > 0);
    waiting.shift()?.write(good);
  };
  const asked = async (path: string, queued: number) => {
    const heard = say(yard.port, get(path), { until: 'ok' });
    await eventually(() => yard.plane.stats().queued === queued && yard.plane.stats().inFlight > 0);
    return { heard };
  };
  return { yard, answer, asked, paths };
}

describe('a request that comes while every instance is full', () => {
  it('waits, and is served in the order of arrival as soon as there is room', async () => {
    const { yard, answer, asked, paths } = await fullYard({ queued: 10, queuedMs: 5_000 });
    const all = [await asked('/1', 0), await asked('/2', 1), await asked('/3', 2)];
    for (const { heard } of all) {
      await answer();
      expect(statusOf(await heard)).toBe(200);
    }
    expect(paths).toEqual(['/1', '/2', '/3']);
    expect(yard.plane.stats()).toMatchObject({ queued: 0, queuedTotal: 2, inFlight: 0 });
    expect(yard.outcomes).toEqual([]);
  });

  it('is refused at once when as many wait as may, with the reason and a time to come back', async () => {
    const { yard, answer, asked } = await fullYard({ queued: 1, queuedMs: 5_000 });
    const first = await asked('/1', 0);
    const second = await asked('/2', 1);
    const refused = await say(yard.port, get('/3'), { until: 'requestId"' });
    expect([statusOf(refused), problemIn(refused).code]).toEqual([503, 'overloaded']);
    expect(refused.text).toContain('Retry-After: 1\r\n');
    expect(problemIn(refused).why).toEqual(['1 requests wait for room already', 'a: it has 1 requests under way']);
    for (const { heard } of [first, second]) {
      await answer();
      expect(statusOf(await heard)).toBe(200);
    }
  });

  it('is refused when it has waited for as long as the policy says', async () => {
    const { yard, asked } = await fullYard({ queued: 10, queuedMs: 100 });
    await asked('/1', 0);
    const startedMs = performance.now();
    const refused = await say(yard.port, get('/2'), { until: 'requestId"' });
    expect([statusOf(refused), problemIn(refused).code]).toEqual([503, 'overloaded']);
    expect(problemIn(refused).why[0]).toBe('it waited for 100 ms for room');
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(yard.plane.stats().queued).toBe(0);
  });

  it('gives its place up when its client leaves', async () => {
    const { yard, answer, asked, paths } = await fullYard({ queued: 10, queuedMs: 5_000 });
    const first = await asked('/1', 0);
    await say(yard.port, get('/gone'), { ms: 50 });
    await eventually(() => yard.plane.stats().queued === 0);
    const second = await asked('/2', 1);
    for (const { heard } of [first, second]) {
      await answer();
      expect(statusOf(await heard)).toBe(200);
    }
    expect(paths).toEqual(['/1', '/2']);
  });

  it('keeps its body, which is sent when there is room', async () => {
    const { yard, answer, asked } = await fullYard({ queued: 10, queuedMs: 5_000 });
    const first = await asked('/1', 0);
    const posted = say(yard.port, 'POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', { until: 'ok' });
    await eventually(() => yard.plane.stats().queued === 1);
    await answer();
    await first.heard;
    await eventually(() => (open[0] as Origin).received.some((text) => text.endsWith('\r\n\r\nhello')));
    await answer();
    expect(statusOf(await posted)).toBe(200);
  });
});
