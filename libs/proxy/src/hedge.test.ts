// What does a second instance do for a request that takes long, where the policy of the service asks for it?
import { eventually } from '@switchyard/testing';
import { rawOrigin, say, scriptedOrigin, startYard, statusOf, type Origin, type Yard } from './proxy-fixture.ts';

const good = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const open: (Origin | Yard)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await ('stop' in one ? one.stop() : one.close());
});
const later = (ms: number): Promise<Origin> =>
  rawOrigin((socket, received) => {
    if (received.endsWith('\r\n\r\n')) setTimeout(() => socket.write(good), ms);
  });
async function yardOf(origins: readonly Promise<Origin>[], more: object = {}) {
  const ready = await Promise.all(origins);
  const observed: string[] = [];
  const yard = await startYard({
    ports: ready.map(({ port }) => port),
    rules: { hedge: { afterMs: 50 } },
    observe: ({ id }, outcome) => observed.push(`${id} ${outcome}`),
    ...more,
  });
  open.push(...ready, yard);
  return { yard, ready, observed };
}

describe('a hedged request', () => {
  it('gets the answer of whoever is first, and the other one is let go without blame', async () => {
    const { yard, ready, observed } = await yardOf([later(2_000), later(0)]);
    const startedMs = performance.now();
    const heard = await say(yard.port, get, { until: 'ok' });
    expect([statusOf(heard), heard.text.includes('Switchyard-Instance: b')]).toEqual([200, true]);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    await eventually(() => ready[0]?.connections() === 0);
    expect(yard.targets.map(({ meter }) => [meter.inFlight, meter.errors])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect([observed, yard.plane.stats().hedgesTotal, yard.plane.stats().inFlight]).toEqual([[], 1, 0]);
  });

  it('is not sent twice when the first instance is quick, or the method is not idempotent', async () => {
    const { yard } = await yardOf([later(0), later(0)]);
    await say(yard.port, get, { until: 'ok' });
    const slow = await yardOf([later(150), later(0)]);
    await say(slow.yard.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', { until: 'ok' });
    expect([yard.plane.stats().hedgesTotal, slow.yard.plane.stats().hedgesTotal]).toEqual([0, 0]);
  });

  it('stays with the first instance when the second one fails, and the other way round', async () => {
    const dying = rawOrigin((socket) => socket.resetAndDestroy());
    const second = await yardOf([later(200), dying]);
    const one = await say(second.yard.port, get, { until: 'ok' });
    expect([statusOf(one), one.text.includes('Switchyard-Instance: a')]).toEqual([200, true]);

    const diesLater = rawOrigin((socket) => setTimeout(() => socket.resetAndDestroy(), 100));
    const first = await yardOf([diesLater, later(200)]);
    const other = await say(first.yard.port, get, { until: 'ok' });
    expect([statusOf(other), other.text.includes('Switchyard-Instance: b')]).toEqual([200, true]);
    expect(first.yard.plane.stats().inFlight).toBe(0);
  });

  it('is refused when both fail, with both reasons', async () => {
    const diesLater = () => rawOrigin((socket) => setTimeout(() => socket.resetAndDestroy(), 100));
    const { yard } = await yardOf([diesLater(), diesLater(), scriptedOrigin(good)]);
    const heard = await say(yard.port, get, { until: 'requestId"' });
    expect(statusOf(heard)).toBe(502);
    expect(yard.outcomes[0]?.attempts.map(({ instance }) => instance)).toEqual(['a', 'b']);
    expect(yard.targets.map(({ meter }) => meter.inFlight)).toEqual([0, 0, 0]);
  });

  it('can begin when the instance takes longer than nearly always', async () => {
    let slow = false;
    const sometimesSlow = rawOrigin((socket, received) => {
      if (received.endsWith('\r\n\r\n')) setTimeout(() => socket.write(good), slow ? 3_000 : 5);
    });
    const { yard } = await yardOf([sometimesSlow, later(0)], { rules: { hedge: { quantile: 0.95 } } });
    for (let turn = 0; turn < 44; turn += 1) await say(yard.port, get, { until: 'ok' });
    slow = true;
    const startedMs = performance.now();
    await Promise.all([1, 2].map(() => say(yard.port, get, { until: 'ok' })));
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    expect(yard.plane.stats().hedgesTotal).toBeGreaterThan(0);
  });

  it('leaves nothing behind when its client goes away', async () => {
    const { yard, ready } = await yardOf([later(2_000), later(2_000)]);
    const asked = say(yard.port, get, { ms: 300 });
    await eventually(() => yard.plane.stats().hedgesTotal === 1);
    await asked;
    await eventually(() => yard.plane.stats().inFlight === 0 && ready.every((one) => one.connections() === 0));
    expect(yard.targets.map(({ meter }) => meter.inFlight)).toEqual([0, 0]);
  });
});
