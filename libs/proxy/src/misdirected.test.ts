// What happens when somebody else has the address of an instance by now? It says so with 421, and the request goes elsewhere.
import { rawOrigin, problemIn, say, startYard, statusOf, type Origin, type Yard } from './proxy-fixture.ts';

const good = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello';
const notMe = 'HTTP/1.1 421 Misdirected Request\r\nSwitchyard-Instance: z\r\nContent-Length: 2\r\n\r\nno';
const notHere = 'HTTP/1.1 421 Misdirected Request\r\nContent-Length: 4\r\n\r\nnope';
const open: (Origin | Yard)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await ('stop' in one ? one.stop() : one.close());
});
async function yardOf(...answers: readonly string[]) {
  const origins = await Promise.all(
    answers.map((text) =>
      rawOrigin((socket, received) => {
        if (/(?:hello|\r\n\r\n)$/.test(received) && !received.endsWith(': 5\r\n\r\n')) socket.write(text);
      }),
    ),
  );
  const observed: string[] = [];
  const yard = await startYard({
    ports: origins.map(({ port }) => port),
    observe: ({ id }, outcome, reason) => observed.push(`${id} ${outcome} ${reason}`),
  });
  open.push(...origins, yard);
  return { yard, origins, observed };
}

describe('a request at the wrong address', () => {
  it('names the instance that is meant, whatever the client says', async () => {
    const { yard, origins } = await yardOf(good);
    await say(yard.port, 'GET / HTTP/1.1\r\nHost: a\r\nSwitchyard-Instance: z\r\n\r\n', { until: 'ok' });
    expect(origins[0]?.received[0]?.match(/Switchyard-Instance: .*/g)).toEqual(['Switchyard-Instance: a']);
  });

  it('goes elsewhere whatever its method, and the instance has failed', async () => {
    const { yard, observed } = await yardOf(notMe, good);
    expect(statusOf(await say(yard.port, post, { until: 'ok' }))).toBe(200);
    expect(observed).toEqual(['a connect z is at its address now']);
  });

  it('is refused when there is nobody else, with the reason', async () => {
    const { yard } = await yardOf(notMe);
    const heard = await say(yard.port, post, { until: 'requestId"' });
    expect([statusOf(heard), problemIn(heard).why[0]]).toEqual([502, 'a: z is at its address now']);
  });

  it('goes elsewhere when the instance does not say who it is, and blames nobody', async () => {
    const { yard, observed } = await yardOf(notHere, good);
    expect(statusOf(await say(yard.port, post, { until: 'ok' }))).toBe(200);
    expect(observed).toEqual([]);
  });

  it('gets the 421 of an instance that does not say who it is when there is nobody else', async () => {
    const { yard } = await yardOf(notHere);
    expect(statusOf(await say(yard.port, post, { until: 'nope' }))).toBe(421);
  });
});
