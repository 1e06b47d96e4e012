// What becomes of requests at an instance that hangs: it accepts, and says nothing?
import { Agent, request } from 'node:http';
import { eventually } from '@switchyard/testing';
import { httpOrigin, startYard, type Origin, type Yard } from './proxy-fixture.ts';

const open: { stop(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.stop();
});
const opened = <T extends Origin | Yard>(one: T): T => {
  open.push({ stop: () => ('stop' in one ? one.stop() : one.close()) });
  return one;
};

/** Two instances, the first of which can hang; `ask` tells the status and how long it took. */
async function yardWithOneThatHangs(alone = false) {
  const hang = { now: false };
  const first = opened(
    await httpOrigin((req, res) => {
      req.resume();
      if (!hang.now) setTimeout(() => res.end('a'), 2);
    }),
  );
  const second = opened(
    await httpOrigin((req, res) => req.resume().on('end', () => setTimeout(() => res.end('b'), 2))),
  );
  const observed: string[] = [];
  const observe = ({ id }: { readonly id: string }, outcome: string): unknown => observed.push(`${id} ${outcome}`);
  const ports = alone ? [first.port] : [first.port, second.port];
  const yard = opened(await startYard({ ports, observe, timeouts: { responseMs: 2_000 } }));
  const agent = new Agent({ keepAlive: true });
  open.push({ stop: () => agent.destroy() });
  const ask = (method = 'GET'): Promise<{ readonly status: number | undefined; readonly tookMs: number }> =>
    new Promise((resolve, reject) => {
      const startedMs = performance.now();
      request({ port: yard.port, host: '127.0.0.1', agent, method }, (response) => {
        response.resume();
        response.on('end', () => resolve({ status: response.statusCode, tookMs: performance.now() - startedMs }));
      })
        .on('error', reject)
        .end();
    });
  for (let turn = 0; turn < 120; turn += 1) await ask();
  return { hang, yard, ask, observed };
}

describe('an instance that hangs', () => {
  it('loses its idempotent requests to the others long before their time is over', async () => {
    const { hang, yard, ask, observed } = await yardWithOneThatHangs();
    hang.now = true;
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask()));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(Math.max(...answers.map(({ tookMs }) => tookMs))).toBeLessThan(1_500);
    expect(yard.outcomes[0]?.attempts[0]?.outcome).toMatch(
      /^it has said nothing for \d+ ms while \d+ requests waited$/,
    );
    expect(new Set(observed)).toEqual(new Set(['a timeout']));
    hang.now = false;
    await eventually(() => yard.targets[0]?.meter.stalled === false);
    expect(yard.targets.map(({ meter }) => meter.inFlight)).toEqual([0, 0]);
  });

  it('keeps a POST that it may be carrying out', async () => {
    const { hang, ask } = await yardWithOneThatHangs();
    hang.now = true;
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask('POST')));
    const countOf = (wanted: number): number => answers.filter(({ status }) => status === wanted).length;
    expect([countOf(200), countOf(504)]).toEqual([5, 5]);
  });

  it('keeps everything when there is nobody else', async () => {
    const { hang, ask, yard } = await yardWithOneThatHangs(true);
    hang.now = true;
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask()));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(504));
    expect(yard.outcomes.every(({ attempts }) => attempts.length === 1)).toBe(true);
  });

  it('is no instance with one slow request among quick ones', async () => {
    const slow = opened(
      await httpOrigin((req, res) => setTimeout(() => res.end('ok'), req.url === '/slow' ? 1_200 : 2)),
    );
    const yard = opened(await startYard({ ports: [slow.port, slow.port] }));
    const agent = new Agent({ keepAlive: true });
    open.push({ stop: () => agent.destroy() });
    const ask = (path: string): Promise<void> =>
      new Promise((resolve, reject) => {
        request({ port: yard.port, host: '127.0.0.1', agent, path }, (response) => response.resume().on('end', resolve))
          .on('error', reject)
          .end();
      });
    for (let turn = 0; turn < 120; turn += 1) await ask('/');
    const report = Promise.all([ask('/slow'), ask('/slow')]);
    const seen = { over: false };
    void report.then(() => (seen.over = true));
    while (!seen.over) await ask('/');
    expect(yard.plane.stats().retriesTotal).toBe(0);
  });
});
