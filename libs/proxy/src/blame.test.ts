import { deadPort, rawOrigin, say, scriptedOrigin, startYard, type Origin, type Yard } from './proxy-fixture.ts';

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const good = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const open: (Origin | Yard)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await ('stop' in one ? one.stop() : one.close());
});

/** A yard that notes what it hears about its instances. */
async function notingYard(ports: readonly number[], more: object = {}) {
  const heard: string[] = [];
  const yard = await startYard({
    ports,
    ...more,
    observe: (target, outcome, reason) => heard.push(`${target.id} ${outcome} ${reason}`.trim()),
  });
  open.push(yard);
  return { yard, heard };
}
const opened = async (origin: Promise<Origin>): Promise<Origin> => {
  const one = await origin;
  open.push(one);
  return one;
};

describe('what a failed attempt says about its instance', () => {
  it('is heard of the first instance only, and no third one gets a request that kills where it comes', async () => {
    const poisoned = await opened(rawOrigin((socket) => socket.resetAndDestroy()));
    const { yard, heard } = await notingYard([poisoned.port, poisoned.port, poisoned.port]);
    await say(yard.port, get, { until: '502' });
    expect(heard).toEqual(['a reset it closed the connection before it answered']);
    expect(yard.targets.map(({ meter }) => meter.errors)).toEqual([1, 1, 0]);
    expect(yard.outcomes[0]?.why).toContain('not tried again: it reached 2 instances already');
  });

  it('names a refused connection, an answer that does not come, and a gateway error', async () => {
    const silent = await opened(rawOrigin(() => undefined));
    const unwell = await opened(scriptedOrigin('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n'));
    const { yard, heard } = await notingYard([silent.port, unwell.port, await deadPort()], {
      timeouts: { responseMs: 50 },
    });
    for (let turn = 0; turn < 3; turn += 1) {
      await say(yard.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', { until: '\r\n\r\n' });
    }
    expect(heard).toEqual([
      'a timeout no answer within 50 ms',
      'b gateway-error it answered 503',
      'c connect it refused the connection',
    ]);
  });

  it('is not told of answers, unless the instance is watched', async () => {
    const origin = await opened(scriptedOrigin(good));
    const { yard, heard } = await notingYard([origin.port]);
    await say(yard.port, get, { until: 'ok' });
    expect(heard).toEqual([]);
    for (const { meter } of yard.targets) meter.watched = true;
    await say(yard.port, get, { until: 'ok' });
    expect(heard).toEqual(['a answered']);
  });
});

describe('an instance on trial', () => {
  it('has one request at a time, and more only when nobody else is left', async () => {
    const seen: string[] = [];
    const slow = await opened(
      rawOrigin((socket) => {
        seen.push('a');
        setTimeout(() => socket.write(good), 200);
      }),
    );
    const quick = await opened(scriptedOrigin(good));
    const { yard } = await notingYard([slow.port, quick.port]);
    for (const { id, meter } of yard.targets) meter.onTrial = id === 'a';
    const answers = await Promise.all(Array.from({ length: 8 }, () => say(yard.port, get, { until: 'ok' })));
    expect(answers.filter(({ text }) => text.startsWith('HTTP/1.1 200'))).toHaveLength(8);
    expect(seen).toHaveLength(1);

    const alone = await notingYard([slow.port]);
    for (const { meter } of alone.yard.targets) meter.onTrial = true;
    const both = await Promise.all([1, 2].map(() => say(alone.yard.port, get, { until: 'ok' })));
    expect(both.filter(({ text }) => text.startsWith('HTTP/1.1 200'))).toHaveLength(2);
  });
});

describe('a request that kills where it comes', () => {
  it('reaches two instances once each, over kept connections too, and no third one', async () => {
    const deadly = (): Promise<Origin> =>
      opened(
        rawOrigin((socket, received) => {
          if (received.includes('/poison')) socket.resetAndDestroy();
          else socket.write(good);
        }),
      );
    const origins = [await deadly(), await deadly(), await deadly()];
    const { yard, heard } = await notingYard(origins.map(({ port }) => port));
    for (let turn = 0; turn < 6; turn += 1) await say(yard.port, get, { until: 'ok' });
    await say(yard.port, 'GET /poison HTTP/1.1\r\nHost: a\r\n\r\n', { until: '502' });
    const times = origins.map(({ received }) => received.join('').split('/poison').length - 1);
    expect(times).toEqual([1, 1, 0]);
    expect(heard).toHaveLength(1);
  });

  it('reaches the only instance twice at most', async () => {
    const origin = await opened(
      rawOrigin((socket, received) => {
        if (received.includes('/poison')) socket.resetAndDestroy();
        else socket.write(good);
      }),
    );
    const { yard } = await notingYard([origin.port]);
    await say(yard.port, get, { until: 'ok' });
    await say(yard.port, 'GET /poison HTTP/1.1\r\nHost: a\r\n\r\n', { until: '502' });
    expect(origin.received.join('').split('/poison')).toHaveLength(3);
  });
});
