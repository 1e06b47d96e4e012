// When is a POST sent a second time, though it may have been carried out? When it has an Idempotency-Key that nobody used for that before.
import type { ReplayClaim } from './engine.ts';
import {
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
const post = (more: string): string =>
  `POST /pay?x=1 HTTP/1.1\r\nHost: a\r\nAuthorization: me\r\n${more}Content-Length: 5\r\n\r\nhello`;
const keyed = post('Idempotency-Key: "k1"\r\n');
const open: (Origin | Yard)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await ('stop' in one ? one.stop() : one.close());
});

/** An instance that dies of what it gets, before one that answers. */
async function yardOf(verdict: { readonly granted: boolean; readonly reason: string } | 'never' | 'nobody') {
  const dying = await rawOrigin((socket, received) => {
    if (received.endsWith('hello')) socket.resetAndDestroy();
  });
  const well = await rawOrigin((socket, received) => {
    if (received.endsWith('hello')) socket.write(good);
  });
  const claims: ReplayClaim[] = [];
  const yard = await startYard({
    ports: [dying.port, well.port],
    ...(verdict !== 'nobody' && {
      claimReplay: (claim, done) => {
        claims.push(claim);
        if (verdict !== 'never') setImmediate(() => done(verdict));
      },
    }),
  });
  open.push(dying, well, yard);
  return { yard, claims, well };
}

describe('a POST that may have been carried out', () => {
  it('is sent elsewhere once its key is claimed', async () => {
    const { yard, claims, well } = await yardOf({ granted: true, reason: '' });
    expect(statusOf(await say(yard.port, keyed, { until: 'ok' }))).toBe(200);
    expect(well.received[0]).toContain('\r\n\r\nhello');
    expect(claims).toHaveLength(1);
    expect(claims[0]?.fingerprint.split('\n')).toEqual(['POST', 'a', '/pay?x=1', 'me', '"k1"']);
    expect(yard.outcomes[0]?.attempts).toHaveLength(1);
  });

  it('is refused when its key was used, with the reason', async () => {
    const { yard } = await yardOf({ granted: false, reason: 'its Idempotency-Key was used for a replay before' });
    const heard = await say(yard.port, keyed, { until: 'requestId"' });
    expect(statusOf(heard)).toBe(502);
    expect(problemIn(heard).why[1]).toBe('not tried again: its Idempotency-Key was used for a replay before');
  });

  it('is refused when nobody can say in time', async () => {
    const { yard } = await yardOf('never');
    const heard = await say(yard.port, keyed, { until: 'requestId"' });
    expect(statusOf(heard)).toBe(502);
    expect(problemIn(heard).why[1]).toContain('nobody could say within 500 ms');
    expect(yard.plane.stats().inFlight).toBe(0);
  });

  it.each([
    ['it has no key', post('')],
    ['it has two keys', post('Idempotency-Key: a\r\nIdempotency-Key: b\r\n')],
    ['its key is empty', post('Idempotency-Key: \r\n')],
  ])('is refused at once when %s', async (_why, text) => {
    const { yard, claims } = await yardOf({ granted: true, reason: '' });
    const heard = await say(yard.port, text, { until: 'requestId"' });
    expect([statusOf(heard), claims.length]).toEqual([502, 0]);
    expect(problemIn(heard).why[1]).toBe('not tried again: POST may have been carried out already');
  });

  it('is refused at once when nobody keeps count of keys', async () => {
    const { yard } = await yardOf('nobody');
    expect(statusOf(await say(yard.port, keyed, { until: 'requestId"' }))).toBe(502);
  });

  it('needs no claim when it was not sent', async () => {
    const well = await scriptedOrigin(good);
    const yard = await startYard({ ports: [1, well.port], claimReplay: () => expect('a claim').toBe('never made') });
    open.push(well, yard);
    const empty = 'POST / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\nContent-Length: 0\r\n\r\n';
    expect(statusOf(await say(yard.port, empty, { until: 'ok' }))).toBe(200);
  });
});
