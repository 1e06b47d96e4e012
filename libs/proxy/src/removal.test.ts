// A pushed removal: what becomes of the requests that are with an instance when the catalog gives it up?
import { Agent, request } from 'node:http';
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
  type Origin,
  type Yard,
} from './proxy-fixture.ts';

const good = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const reason = 'it was evicted: silent';
const open: (Origin | Yard)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await ('stop' in one ? one.stop() : one.close());
});
const opened = async <T extends Origin | Yard>(one: Promise<T>): Promise<T> => {
  const ready = await one;
  open.push(ready);
  return ready;
};

/** An instance that accepts and never answers, before one that does. */
async function frozenYard() {
  const frozen = await opened(rawOrigin(() => undefined));
  const well = await opened(scriptedOrigin(good));
  const observed: string[] = [];
  const observe = ({ id }: { readonly id: string }): unknown => observed.push(id);
  const yard = await opened(startYard({ ports: [frozen.port, well.port], observe }));
  return { frozen, yard, observed };
}
const arrives = (origin: Origin): Promise<unknown> => eventually(() => origin.received.some((text) => text.length > 0));

describe('a removal', () => {
  it('sends a GET elsewhere at once, and blames nobody', async () => {
    const { frozen, yard, observed } = await frozenYard();
    const answer = say(yard.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { until: 'ok' });
    await arrives(frozen);
    const removedMs = performance.now();
    yard.plane.dropInstance('shop', 'a', reason);
    expect(statusOf(await answer)).toBe(200);
    expect(performance.now() - removedMs).toBeLessThan(50);
    expect(yard.outcomes[0]?.attempts).toMatchObject([{ instance: 'a', outcome: reason }]);
    expect([yard.targets[0]?.meter.errors, yard.targets[0]?.meter.inFlight, observed]).toEqual([0, 0, []]);
  });

  it('refuses a POST that may have been carried out, with the reason', async () => {
    const { frozen, yard } = await frozenYard();
    const asked = say(yard.port, 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi');
    await arrives(frozen);
    yard.plane.dropInstance('shop', 'a', reason);
    const heard = await asked;
    expect(statusOf(heard)).toBe(502);
    expect(problemIn(heard).why.slice(0, 2)).toEqual([
      `a: ${reason}`,
      'not tried again: POST may have been carried out already',
    ]);
  });

  it('leaves other instances alone, and the same id of another service', async () => {
    const { frozen, yard } = await frozenYard();
    const asked = say(yard.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { ms: 150 });
    await arrives(frozen);
    yard.plane.dropInstance('shop', 'b', reason);
    yard.plane.dropInstance('other', 'a', reason);
    expect((await asked).text).toBe('');
  });

  it('closes idle connections, and lets an answer that has begun come to its end', async () => {
    let finish = (): void => undefined;
    const origin = await opened(
      rawOrigin((socket, received) => {
        if (!received.includes('/long')) return socket.write(good);
        finish = () => socket.write('ok');
        return socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n..');
      }),
    );
    const yard = await opened(startYard({ ports: [origin.port] }));
    const long = say(yard.port, 'GET /long HTTP/1.1\r\nHost: a\r\n\r\n', { until: '..ok' });
    await eventually(() => origin.received.some((text) => text.includes('/long')));
    await say(yard.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', { until: 'ok' });
    await eventually(() => yard.targets[0]?.meter.latency.count === 2);
    expect(origin.connections()).toBe(2);
    yard.plane.dropInstance('shop', 'a', reason);
    await eventually(() => origin.connections() === 1);
    finish();
    expect((await long).text).toContain('..ok');
  });

  it('sends all requests elsewhere that share connections', async () => {
    const isFrozen = { now: false };
    const first = await opened(
      httpOrigin((_req, res) => {
        if (!isFrozen.now) res.end('a');
      }),
    );
    const second = await opened(httpOrigin((_req, res) => res.end('b')));
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 50 };
    const yard = await opened(startYard({ ports: [first.port, second.port], clock }));
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const ask = (): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        request({ port: yard.port, host: '127.0.0.1', agent }, (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode));
        })
          .on('error', reject)
          .end();
      });
    const askMany = (count: number) => Promise.all(Array.from({ length: count }, ask));
    await askMany(1_200);
    isFrozen.now = true;
    const meter = yard.targets[0]?.meter;
    const asked = askMany(16);
    // those that share wait no longer than the limit of the gauge behind the first one; the removal comes before
    await eventually(() => (meter?.inFlight ?? 0) > 4);
    yard.plane.dropInstance('shop', 'a', reason);
    await systemClock.sleep(20);
    yard.plane.dropInstance('shop', 'a', reason);
    expect(await asked).toEqual(Array.from({ length: 16 }, () => 200));
    expect(meter?.inFlight).toBe(0);
    agent.destroy();
  });
});
