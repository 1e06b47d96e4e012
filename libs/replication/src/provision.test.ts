import { isMorePatient, provisionChecks, provisionSteps, wantedWatch, type WatchingSentinel } from './provision.ts';
import type { SentinelView } from './sentinel-parser.ts';

const primary = { host: '10.0.0.1', port: 6379 };
const view = (changes: Partial<SentinelView> = {}): SentinelView => ({
  group: 'shop',
  primary,
  flags: ['master'],
  epoch: 3,
  quorum: 2,
  otherSentinels: 2,
  replicas: 1,
  downAfterMs: 5_000,
  failoverTimeoutMs: 180_000,
  ...changes,
});
const wanted = (input: Parameters<typeof wantedWatch>[0]['input'], views: readonly SentinelView[] = []) =>
  wantedWatch({ group: 'shop', input, primary, count: 3, views });

describe('a Sentinel that does not know the group', () => {
  it('is told what to watch, with settings that do not block for minutes, and no secret is shown', () => {
    const steps = provisionSteps(null, wanted({ username: 'sentinel', password: 'sesame' }));
    expect(steps.map(({ shown }) => shown)).toEqual([
      'SENTINEL MONITOR shop 10.0.0.1 6379 2',
      'SENTINEL SET shop down-after-milliseconds 1000 failover-timeout 15000 parallel-syncs 1 auth-user sentinel auth-pass ***',
    ]);
    expect(steps[1]?.words.at(-1)).toBe('sesame');
  });

  it('is told what the others do, where nothing was asked for', () => {
    const steps = provisionSteps(null, wanted({ quorum: 3 }, [view(), view(), view({ downAfterMs: 1 })]));
    expect(steps.map(({ shown }) => shown)).toEqual([
      'SENTINEL MONITOR shop 10.0.0.1 6379 3',
      'SENTINEL SET shop down-after-milliseconds 5000 failover-timeout 180000 parallel-syncs 1',
    ]);
  });
});

describe('a Sentinel that knows the group', () => {
  it('is left alone unless a setting was asked for and differs', () => {
    expect(provisionSteps(view(), wanted({}))).toEqual([]);
    expect(provisionSteps(view(), wanted({ downAfter: '5s', quorum: 2 }))).toEqual([]);
    expect(
      provisionSteps(view({ quorum: 1 }), wanted({ failoverTimeout: '20s', quorum: 2 })).map(({ shown }) => shown),
    ).toEqual(['SENTINEL SET shop quorum 2 failover-timeout 20000']);
  });

  it('is told user and password again when they were changed', () => {
    const changed = { ...wanted({ password: 'sesame' }), renewAuth: true };
    expect(provisionSteps(view(), changed).map(({ shown }) => shown)).toEqual(['SENTINEL SET shop auth-pass ***']);
    expect(provisionSteps(view(), wanted({ password: 'sesame' }))).toEqual([]);
  });

  it('is seen to wait longer together with all others, which is work of somebody, and not alone', () => {
    const asked = wanted({ downAfter: '2s' });
    const raised = view({ downAfterMs: 120_000 });
    const usual = view({ downAfterMs: 2_000 });
    expect(isMorePatient([raised, raised, raised], asked)).toBe(true);
    expect(isMorePatient([raised, usual, usual], asked)).toBe(false);
    expect(isMorePatient([usual, usual, usual], asked)).toBe(false);
    expect(isMorePatient([view({ downAfterMs: 500 }), view({ downAfterMs: 500 })], asked)).toBe(false);
    expect(isMorePatient([raised, raised, raised], wanted({}))).toBe(false);
    expect(isMorePatient([], asked)).toBe(false);
  });

  it('is not told another primary: that is for the Sentinels to agree on', () => {
    const strays = provisionSteps(view({ primary: { host: '10.0.0.2', port: 6379 } }), wanted({ downAfter: '5s' }));
    expect(strays).toEqual([]);
  });
});

describe('the look afterwards', () => {
  const replicas = [{ host: '10.0.0.2', port: 6379 }];
  const peer = (id: string) => ({ host: '10.0.0.9', port: 26_379, id, flags: [] });
  const seen = (name: string, changes: Partial<WatchingSentinel> = {}): WatchingSentinel => ({
    name,
    view: view(),
    peers: [peer('a'), peer('b')],
    replicas: [{ host: '10.0.0.2', port: 6379, flags: [], priority: 100 }],
    quorum: { ok: true, text: 'OK 3 usable Sentinels' },
    ...changes,
  });

  it('is content when all watch alike', () => {
    expect(provisionChecks([seen('s1'), seen('s2'), seen('s3')], { primary, replicas }).every(({ ok }) => ok)).toBe(
      true,
    );
  });

  it.each([
    ['one names another primary', { view: view({ primary: { host: '10.0.0.2', port: 6379 } }) }],
    ['one forgot the group', { view: null }],
    ['one knows too few others', { peers: [peer('a')] }],
    ['one knows no replica', { replicas: [] }],
    ['one has no quorum', { quorum: { ok: false, text: 'NOQUORUM' } }],
    ['one is at another epoch', { view: view({ epoch: 2 }) }],
  ])('finds that %s', (_what, changes) => {
    const checks = provisionChecks([seen('s1'), seen('s2'), seen('s3', changes)], { primary, replicas });
    expect(checks.some(({ ok }) => !ok)).toBe(true);
  });
});
