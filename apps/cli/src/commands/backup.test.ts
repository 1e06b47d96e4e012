import type { Operation } from '@switchyard/protocol';
import { operation, problem, run, startAnswering, type Answering, type AnsweringServer } from '../world-fixture.ts';

let server: AnsweringServer;
beforeEach(async () => {
  server = await startAnswering();
});
afterEach(() => server.end());
const switchyard = (...args: string[]) => run(args, { url: server.url });

const timeline = '20260102T030000.000Z';
const base = '20260102T030000.000Z-full';
const point = {
  group: 'main',
  timeline,
  offset: 4_711,
  replicationId: 'a'.repeat(40),
  at: '2026-01-02T03:04:05.000Z',
  base,
  streamBytes: 700,
};
const diff = {
  now: 10,
  target: 200_000,
  added: 199_991,
  changed: 1,
  removed: 1,
  samples: { added: ['cart:1'], changed: ['counter'], removed: ['oops'] },
};
const checks = [{ name: 'quorum', ok: true, detail: 'three of three', next: '', blocking: true }];
const planned = { group: 'main', state: 'planned', allowed: true, point, diff, warnings: ['it is large'], checks };
const done = {
  ...planned,
  state: 'done',
  safetyPoint: { label: 'safety-1', at: point.at, offset: 9_000, timeline },
  undo: { command: 'switchyard backup rollback --group main --to label:safety-1 --yes' },
  unavailable: { writesMs: 850, readsMs: null },
  notes: [],
};

/** Answers rollbacks: dry runs with `plan`, others with `end`. */
const rollbacks = (plan: object, end: Partial<Operation>): Answering => {
  let last: Operation = operation();
  return ({ method, path, body }) => {
    if (method === 'POST' && path === '/v1/rollbacks') {
      const isDry = (body as { dryRun?: boolean }).dryRun === true;
      last = operation(isDry ? { state: 'succeeded', result: { ...plan } } : end);
      return { status: 202, body: operation() };
    }
    return path === '/v1/operations/op-1' ? [operation(), last] : undefined;
  };
};
const bodies = (): unknown[] => server.asked.filter(({ method }) => method === 'POST').map(({ body }) => body);

describe('backup rollback', () => {
  it('shows on a dry run what it would do, and begins nothing', async () => {
    server.answer = rollbacks(planned, {});
    const ran = await switchyard('backup', 'rollback', '--to', 'before:FLUSHALL', '--dry-run');
    expect(ran.code).toBe(0);
    expect(ran.stdout).toBe(
      [
        `moment   2026-01-02 03:04:05.000Z, offset 4711, from backup ${base}`,
        'keys     10 now, 200000 then',
        'returns  199991: cart:1, ...',
        'changes  1: counter',
        'goes     1: oops',
        'WARNING  it is large',
        '',
      ].join('\n'),
    );
    expect(bodies()).toEqual([{ group: 'main', to: { before: 'FLUSHALL' }, dryRun: true }]);
  });

  it('is refused, with the checks that speak against it', async () => {
    const open = {
      name: 'quorum',
      ok: false,
      detail: 'one of three answers',
      next: 'start the others',
      blocking: true,
    };
    server.answer = rollbacks({ ...planned, allowed: false, checks: [open] }, {});
    const ran = await switchyard('backup', 'rollback', '--to=-5m', '--dry-run');
    expect(ran).toMatchObject({
      code: 8,
      stderr: expect.stringMatching(/quorum: one of three answers\nnext: start the others/),
    });
    expect(ran.stdout).toContain('BLOCKED  quorum');
  });

  it('does nothing where nobody can be asked, unless it is told --yes', async () => {
    server.answer = rollbacks(planned, { state: 'succeeded', result: done });
    const refused = await switchyard('backup', 'rollback', '--to', '-5m');
    expect(refused).toMatchObject({
      code: 8,
      stdout: '',
      stderr: expect.stringContaining('--dry-run, then add --yes'),
    });
    expect(server.asked).toEqual([]);
    const ran = await switchyard('backup', 'rollback', '--to', '-5m', '--yes', '--match', 'cart:*', '--reason', 'oops');
    expect(ran.code).toBe(0);
    expect(bodies()).toEqual([{ group: 'main', to: { time: '-5m' }, match: 'cart:*', reason: 'oops' }]);
    expect(ran.stdout).toContain('held     writes for 850 ms, reads for -');
    expect(ran.stdout).toContain('safety   safety-1 keeps what was there before');
    expect(ran.stdout).toContain('undo     switchyard backup rollback --group main --to label:safety-1 --yes\n');
    expect(ran.stderr).toBe(' 40 %  load\n');
  });

  it('asks a person after it has shown the difference, and does exactly what was shown', async () => {
    server.answer = rollbacks(planned, { state: 'succeeded', result: done });
    const no = await run(['backup', 'rollback', '--to', '-5m'], { url: server.url, typed: 'n\n' });
    expect(no).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/200000 then[^]*Nothing was changed/),
    });
    expect(bodies()).toHaveLength(1);
    const yes = await run(['backup', 'rollback', '--to', '-5m'], { url: server.url, typed: 'y\n' });
    expect(yes).toMatchObject({ code: 0, stdout: expect.stringContaining('undo ') });
    expect(yes.stderr).toContain('[##########--------------]  40 %  load  1 min 15 s left, 3.0 MB');
    expect(bodies().at(-1)).toEqual({ group: 'main', to: { offset: 4_711, timeline } });
  });

  it('tells why it failed, and names the safety point there is', async () => {
    const failed = problem('not_restorable', 422, 'That moment cannot be restored.', ['Nearest before: ...']);
    server.answer = rollbacks(planned, {
      state: 'failed',
      problem: failed as Operation['problem'],
      result: { ...done, state: 'undone' },
    });
    expect(await switchyard('backup', 'rollback', '--to', 'now', '--yes')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /safety point: safety-1\nswitchyard: That moment cannot be restored.\n {2}- Nearest before/,
      ),
    });
  });
});

describe('other backup commands', () => {
  it('follow work again after its stream broke off', async () => {
    let streams = 0;
    server.answer = ({ path }) => {
      if (path !== '/v1/operations/op-1') return undefined;
      streams += 1;
      return streams === 1 ? [operation()] : [operation({ state: 'succeeded' })];
    };
    expect(await switchyard('ops', 'wait', 'op-1')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('succeeded'),
    });
    expect(streams).toBe(2);
  });

  it('leave work alone when they are interrupted or out of time, and say how to go on', async () => {
    server.answer = ({ path }) => (path === '/v1/operations/op-1' ? [operation()] : undefined);
    const cut = new AbortController();
    const waiting = run(['ops', 'wait', 'op-1'], { url: server.url, signal: cut.signal });
    setTimeout(() => cut.abort(new Error('interrupted')), 100);
    expect(await waiting).toMatchObject({ code: 130, stderr: expect.stringContaining('switchyard ops wait op-1') });
    expect(await switchyard('ops', 'wait', 'op-1', '--timeout', '100ms')).toMatchObject({ code: 7 });
  });

  it('begin and do not wait, when told so', async () => {
    server.answer = ({ method }) =>
      method === 'POST' ? { status: 202, body: operation({ state: 'queued' }) } : undefined;
    const ran = await switchyard('backup', 'create', '--no-wait', '-o', 'json');
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(ran.stdout)).toMatchObject({ id: 'op-1', state: 'queued' });
  });

  it('show the window: stretches, gaps, and what undoes each event', async () => {
    const end = (at: string, offset: number): object => ({ at, offset });
    const window = {
      group: 'main',
      continuous: true,
      from: '2026-01-02T03:00:00.000Z',
      to: point.at,
      rpoMs: 400,
      points: [],
      timelines: [
        {
          timeline,
          reason: 'first',
          ranges: [{ from: end('2026-01-02T03:00:00.000Z', 1), to: end(point.at, 5_000), base }],
        },
      ],
      gaps: [
        {
          from: end('2026-01-02T02:00:00.000Z', 9),
          to: end('2026-01-02T03:00:00.000Z', 1),
          reason: 'gap: it was away',
        },
      ],
      events: [
        { kind: 'flush', command: 'FLUSHALL', at: point.at, detail: 'all keys went', to: { offset: 4_711, timeline } },
        { kind: 'failover', command: '', at: point.at, detail: 'another primary', to: null },
      ],
      moreEvents: 3,
    };
    server.answer = ({ path }) => (path === '/v1/backups/window?group=main' ? { body: window } : undefined);
    const { code, stdout } = await switchyard('backup', 'window');
    expect(code).toBe(0);
    expect(stdout).toContain(
      `main: from 2026-01-02 03:00:00.000Z to 2026-01-02 03:04:05.000Z; if all else were lost now, 400 ms`,
    );
    expect(stdout).toContain(`FLUSHALL  all keys went    offset:4711@${timeline}`);
    expect(stdout).toContain('gap: it was away');
    expect(JSON.parse((await switchyard('backup', 'window', '-o', 'json')).stdout)).toEqual(window);
  });

  it('restore: look first, ask before anything is overwritten', async () => {
    server.answer = ({ method, path }) => {
      if (path.startsWith('/v1/backups/locate?')) return { body: { point, notes: ['a note'] } };
      if (method === 'POST') return { status: 202, body: operation() };
      return [operation({ kind: 'restore', state: 'succeeded', result: { point } })];
    };
    const dry = await switchyard('backup', 'restore', '--to', 'offset:4711', '--directory', '/x', '--dry-run');
    expect(dry.stdout).toBe(
      `2026-01-02 03:04:05.000Z: offset 4711 of timeline ${timeline}, from backup ${base} and 700 B of stream\nnote: a note\n`,
    );
    expect(server.asked[0]?.path).toBe('/v1/backups/locate?group=main&offset=4711');
    const node = ['backup', 'restore', '--node', '10.0.0.9:6379', '--overwrite'];
    expect(await switchyard(...node)).toMatchObject({ code: 8 });
    expect(await switchyard(...node, '--yes')).toMatchObject({
      code: 0,
      stdout: '2026-01-02 03:04:05.000Z (offset 4711) is in 10.0.0.9:6379. It took 2.50 s.\n',
    });
    expect(bodies()).toEqual([
      { group: 'main', to: { time: 'now' }, target: { node: '10.0.0.9:6379', as: 'primary', overwrite: true } },
    ]);
  });

  it('prune: tells, asks, removes', async () => {
    const plan = { keep: [{ label: 'b', reason: 'new' }], remove: [{ label: 'a', reason: 'old' }] };
    server.answer = ({ path }) => (path === '/v1/backups/prune' ? { body: plan } : undefined);
    expect(await switchyard('backup', 'prune', '--dry-run')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/remove {2}a/),
    });
    expect(await switchyard('backup', 'prune')).toMatchObject({ code: 8 });
    expect(await switchyard('backup', 'prune', '--yes')).toMatchObject({ code: 0 });
    expect(bodies().map((body) => (body as { dryRun: boolean }).dryRun)).toEqual([true, true, true, false]);
  });
});
