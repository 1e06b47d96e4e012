// How does the engine end? It takes no new connection, finishes what is under way, and cuts what does not end.
import { connect } from 'node:net';
import { eventually } from '@switchyard/testing';
import { httpOrigin, say, startYard, statusOf, type Origin, type Yard } from './proxy-fixture.ts';

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
let origin: Origin;
let yard: Yard;

beforeEach(async () => {
  origin = await httpOrigin((req, res) => {
    if (req.url === '/events') res.writeHead(200, { 'content-type': 'text/event-stream' }).write(':hi\n\n');
    else if (req.url === '/hang') res.writeHead(200).write('some');
    else setTimeout(() => res.end('done'), 200);
  });
  yard = await startYard({ ports: [origin.port], timeouts: { drainMs: 600 } });
});
afterEach(async () => {
  await yard.stop();
  await origin.close();
});

describe('an engine that drains', () => {
  it('finishes what is under way, says that it closes, and takes nothing new', async () => {
    const running = say(yard.port, get('/slow'));
    await eventually(() => yard.plane.stats().inFlight === 1);
    const drained = yard.plane.drain();
    const heard = await running;
    expect(statusOf(heard)).toBe(200);
    expect(heard.text).toMatch(/Connection: close\r\n[^]*done/);
    expect(heard.ended).toBe(true);
    await drained;
    expect(await say(yard.port, get('/slow'))).toMatchObject({ text: '' });
  });

  it('closes idle connections at once', async () => {
    const idle = say(yard.port, get('/slow'), { ms: 3_000 });
    await eventually(() => yard.plane.stats().requestsTotal === 1 && yard.plane.stats().inFlight === 0);
    await yard.plane.drain();
    expect((await idle).ended).toBe(true);
  });

  it('keeps idle connections for a while when told so: the next answer says that it closes', async () => {
    const kept = await startYard({ ports: [origin.port], timeouts: { drainMs: 3_000, drainIdleMs: 2_000 } });
    const clients = ['used', 'fresh'].map(() => connect({ port: kept.port, host: '127.0.0.1' }));
    const heard = clients.map(() => '');
    for (const [index, client] of clients.entries()) client.on('data', (chunk) => (heard[index] += chunk.toString()));
    clients[0]?.write(get('/slow'));
    await eventually(() => heard[0]?.includes('done') === true && kept.plane.stats().connections === 2);
    expect(heard[0]).not.toContain('Connection: close');
    const begunMs = performance.now();
    const drained = kept.plane.drain();
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const client of clients) client.write(get('/slow'));
    await drained;
    expect(performance.now() - begunMs).toBeLessThan(1_500);
    for (const text of heard) expect(text).toMatch(/Connection: close\r\n[^]*done$/);
    await kept.stop();
  });

  it('still answers a request whose head has begun to arrive', async () => {
    const client = connect({ port: yard.port, host: '127.0.0.1' });
    let text = '';
    client.on('data', (chunk) => (text += chunk.toString()));
    client.write('GET /slow HTTP/1.1\r\nHo');
    await eventually(() => yard.plane.stats().connections === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const drained = yard.plane.drain();
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.write('st: a\r\n\r\n');
    await drained;
    await eventually(() => text.includes('done'));
    expect(text).toMatch(/Connection: close\r\n/);
    client.destroy();
  });

  it('does not wait for event streams, which never end', async () => {
    const stream = say(yard.port, get('/events'));
    await eventually(() => yard.plane.stats().inFlight === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const startedMs = performance.now();
    await yard.plane.drain();
    expect(performance.now() - startedMs).toBeLessThan(300);
    await yard.plane.stop();
    expect((await stream).text).toContain(':hi');
  });

  it('gives up at its deadline, and `stop` cuts what is left', async () => {
    const hanging = say(yard.port, get('/hang'));
    await eventually(() => yard.plane.stats().inFlight === 1);
    const startedMs = performance.now();
    await yard.plane.drain();
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    await yard.plane.stop();
    const heard = await hanging;
    expect(heard.text).toContain('some');
    expect(heard.text).not.toMatch(/\r\n0\r\n/);
  });

  it('says clearly when its port is taken', async () => {
    const { createSocketDataPlane } = await import('./socket/socket-engine.ts');
    expect(createSocketDataPlane).toBeDefined();
    const { defaultLimits, defaultTimeouts } = await import('./engine.ts');
    const { createLogger, systemClock } = await import('@switchyard/runtime');
    const second = createSocketDataPlane({
      name: 'traffic',
      host: '127.0.0.1',
      port: yard.port,
      limits: defaultLimits,
      timeouts: defaultTimeouts,
      trustedProxies: [],
      announceInstance: true,
      via: 'switchyard',
      clock: systemClock,
      logger: createLogger('proxy-test', { level: 'silent' }),
      policy: {
        route: () => ({ action: 'refuse', refusal: { code: 'no_route', detail: 'none' } }),
        pick: () => undefined,
        whyNot: () => [],
        observe: () => undefined,
        report: () => undefined,
      },
    });
    await expect(second.start(new AbortController().signal)).rejects.toThrow(/port \d+ on 127\.0\.0\.1 is in use/);
  });
});
