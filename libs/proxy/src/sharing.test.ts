import { Agent, request } from 'node:http';
import { systemClock, type Clock } from '@switchyard/runtime';
import { seededRandom } from '@switchyard/testing';
import { httpOrigin, startYard, type Origin, type Yard } from './proxy-fixture.ts';
import { BatchGauge, BRIEF_BYTES } from './socket/batch-gauge.ts';

const open: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});

interface Got {
  readonly status: number;
  readonly body: string;
  readonly tookMs: number;
}

/** Many clients at once, each with a connection of its own. */
function crowd(port: number, size = 16) {
  const agent = new Agent({ keepAlive: true, maxSockets: size });
  open.push({ stop: async () => agent.destroy() });
  const ask = (path: string): Promise<Got> =>
    new Promise((resolve, reject) => {
      const startedMs = performance.now();
      request({ port, host: '127.0.0.1', path, agent }, (response) => {
        let body = '';
        response.setEncoding('latin1');
        response.on('data', (part: string) => (body += part));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body, tookMs: performance.now() - startedMs }),
        );
        response.on('error', reject);
      })
        .on('error', reject)
        .end();
    });
  return { ask, askMany: (paths: readonly string[]) => Promise.all(paths.map(ask)) };
}

const paths = (count: number, prefix = '/x'): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** An origin that repeats the path, and counts how many connections had a request on them. */
async function echoing(extra: Parameters<typeof httpOrigin>[0] = () => undefined) {
  const used = new Set<unknown>();
  const origin = await httpOrigin((req, res) => {
    used.add(req.socket);
    extra(req, res);
    const late = (req.url ?? '').startsWith('/slow');
    if (!late && !res.writableEnded && !res.headersSent && !req.socket.destroyed) res.end(`you asked ${req.url}`);
  });
  open.push({ stop: () => origin.close() });
  return { origin, used };
}

/** A clock on which a busy test machine is a quick one. */
const quickClock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 50 };

async function warmYard(origins: readonly Origin[], clock: Clock = systemClock): Promise<Yard> {
  const yard = await startYard({ ports: origins.map(({ port }) => port), clock });
  open.push(yard);
  const { askMany } = crowd(yard.port);
  for (let round = 0; round < 8; round += 1) await askMany(paths(100 * origins.length));
  return yard;
}

describe('requests that share a connection', () => {
  it('use few connections to a quick instance, and each gets its own answer', async () => {
    const { origin, used } = await echoing();
    const yard = await warmYard([origin], quickClock);
    used.clear();

    const answers = await crowd(yard.port, 32).askMany(paths(2_000));

    answers.forEach(({ status, body }, i) => expect([status, body]).toEqual([200, `you asked /x${i}`]));
    // two shared ones, and those that the first few had for themselves
    expect(used.size).toBeLessThanOrEqual(8);
    expect(yard.plane.stats().inFlight).toBe(0);
    expect(yard.targets[0]?.meter).toMatchObject({ inFlight: 0, errors: 0 });
  });

  it('do not wait long behind a slow one', async () => {
    const { origin } = await echoing((req, res) => {
      if ((req.url ?? '').startsWith('/slow')) setTimeout(() => res.end('slow'), 600);
    });
    const yard = await warmYard([origin]);
    const { ask, askMany } = crowd(yard.port, 32);

    const [slow, quick] = await Promise.all([ask('/slow'), askMany(paths(300))]);

    expect(slow.body).toBe('slow');
    quick.forEach(({ body }, i) => expect(body).toBe(`you asked /x${i}`));
    expect(Math.max(...quick.map(({ tookMs }) => tookMs))).toBeLessThan(500);
    expect(yard.targets[0]?.meter.errors).toBe(0);
  });

  it('are all answered elsewhere when the instance dies under them', async () => {
    const doomed = await echoing((req) => {
      if ((req.url ?? '').startsWith('/die')) req.socket.resetAndDestroy();
    });
    const healthy = await echoing();
    const yard = await warmYard([doomed.origin, healthy.origin]);
    const { askMany } = crowd(yard.port, 32);

    const answers = await askMany([...paths(100), '/die', ...paths(100, '/y')]);

    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(yard.plane.stats().inFlight).toBe(0);
  });

  it('leave the connection to one whose answer is long or has no length', async () => {
    const { origin } = await echoing((req, res) => {
      if (req.url === '/long') res.end('z'.repeat(300_000));
      if (req.url === '/chunks') {
        res.write('a');
        res.end('b');
      }
    });
    const yard = await warmYard([origin]);
    const { askMany } = crowd(yard.port, 32);

    const answers = await askMany([...paths(50), '/long', ...paths(50, '/y'), '/chunks', ...paths(50, '/z')]);

    expect(answers[50]?.body.length).toBe(300_000);
    expect(answers[101]?.body).toBe('ab');
    for (const { status } of answers) expect(status).toBe(200);
    expect(yard.plane.stats().inFlight).toBe(0);
  });

  it('lose nothing when clients leave while they wait', async () => {
    const { origin } = await echoing((req, res) => {
      if ((req.url ?? '').startsWith('/slow')) setTimeout(() => res.end('slow'), 30);
    });
    const yard = await warmYard([origin]);
    const leaving = Array.from(
      { length: 20 },
      () =>
        new Promise<void>((resolve) => {
          const asked = request({ port: yard.port, host: '127.0.0.1', path: '/slow' });
          asked.on('error', () => resolve());
          asked.on('close', () => resolve());
          asked.end();
          setTimeout(() => asked.destroy(), 5);
        }),
    );

    const [answers] = await Promise.all([crowd(yard.port, 32).askMany(paths(400)), ...leaving]);

    answers.forEach(({ status, body }, i) => expect([status, body]).toEqual([200, `you asked /x${i}`]));
    expect(yard.targets[0]?.meter.errors).toBe(0);
  });
});

describe('the gauge', () => {
  const quick = (gauge: BatchGauge, count: number): void => {
    for (let i = 0; i < count; i += 1) gauge.answered(1, 100);
  };
  const on = (): BatchGauge => {
    const gauge = new BatchGauge();
    quick(gauge, 256);
    return gauge;
  };

  it('is on after enough quick, brief answers, while there is enough to share', () => {
    const gauge = new BatchGauge();
    quick(gauge, 255);
    expect(gauge.isOn(10)).toBe(false);
    quick(gauge, 1);
    expect([gauge.isOn(10), gauge.isOn(3)]).toEqual([true, false]);
  });

  it.each([
    ['slow', 500, 100],
    ['long', 1, BRIEF_BYTES + 1],
    ['unbounded', 1, -1],
  ] as const)('is off at the first %s answer, until there were enough quick ones again', (_what, tookMs, bytes) => {
    const gauge = on();
    gauge.answered(tookMs, bytes);
    expect(gauge.isOn(10)).toBe(false);
    quick(gauge, 255);
    expect(gauge.isOn(10)).toBe(false);
    quick(gauge, 1);
    expect(gauge.isOn(10)).toBe(true);
  });

  it('has one request of 500 held up at most, however the instance behaves', () => {
    const random = seededRandom();
    const gauge = new BatchGauge();
    let answers = 0;
    let heldUp = 0;
    for (let turn = 0; turn < 200_000; turn += 1) {
      const isOn = gauge.isOn(10);
      const isSlow = random.integer(1, 300) === 1;
      gauge.answered(isSlow ? 50 : 1, 100);
      answers += 1;
      if (!isSlow || !isOn) continue;
      const behind = random.integer(1, 31);
      gauge.heldUp(behind);
      heldUp += behind;
    }
    expect(heldUp).toBeGreaterThan(31);
    expect(heldUp / answers).toBeLessThan(1 / 490);
  });

  it('forgives an announced end soon, and a break late', () => {
    const closing = on();
    closing.closed(10);
    quick(closing, 256);
    expect(closing.isOn(10)).toBe(true);
    const breaking = on();
    breaking.broke();
    quick(breaking, 10_000);
    expect(breaking.isOn(10)).toBe(false);
    quick(breaking, 40_000);
    expect(breaking.isOn(10)).toBe(true);
  });
});
