import { parseInfo } from './info-parser.ts';
import { defaultLimits, type GroupObservation, type NodeObservation, type SentinelObservation } from './observation.ts';
import { primaryVerdict } from './primary-verdict.ts';
import { doctorState, examineSentinels, hearSentinel, noAnswers, type SentinelAnswers } from './sentinel-doctor.ts';
import { parseSentinelEvent, type SentinelView } from './sentinel-parser.ts';

const hosts = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const sentinelPort = 26_379;
const gone = { kind: 'silent', detail: 'no answer' } as const;

const viewAt = (changes: Partial<SentinelView> = {}): SentinelView => ({
  group: 'shop',
  primary: { host: '10.0.0.1', port: 6379 },
  flags: ['master'],
  epoch: 4,
  quorum: 2,
  otherSentinels: 2,
  replicas: 1,
  downAfterMs: 1_000,
  failoverTimeoutMs: 15_000,
  ...changes,
});

const sentinelAt = (host: string, changes: Partial<SentinelObservation> = {}): SentinelObservation => ({
  name: `s-${host}`,
  host,
  port: sentinelPort,
  view: viewAt(),
  tilted: false,
  replicas: [{ host: '10.0.0.2', port: 6379, flags: ['slave'], priority: 100 }],
  ghosts: 0,
  peers: hosts
    .filter((other) => other !== host)
    .map((other) => ({ host: other, port: sentinelPort, id: other, flags: ['sentinel'] })),
  answeredAtMs: 0,
  failure: null,
  ...changes,
});

const nodeAt = (host: string, info: string, changes: Partial<NodeObservation> = {}): NodeObservation => ({
  name: `r-${host}`,
  host,
  port: 6379,
  info: parseInfo(info),
  savePoints: null,
  answeredAtMs: 0,
  failure: null,
  ...changes,
});
const primary = nodeAt('10.0.0.1', 'role:master');
const replica = nodeAt('10.0.0.2', 'role:slave\nmaster_host:10.0.0.1\nmaster_port:6379\nslave_priority:100');

const wellGroup: GroupObservation = {
  name: 'shop',
  kind: 'sentinel',
  nodes: [primary, replica],
  sentinels: hosts.map((host) => sentinelAt(host)),
};

/** What is said when the group looks like this from 0 on, at each of the moments. */
const saidAt = (
  group: GroupObservation,
  moments: readonly number[],
  answers: SentinelAnswers = noAnswers,
): readonly string[] => {
  let state = doctorState;
  let codes: readonly string[] = [];
  for (const nowMs of moments) {
    const fresh = <T extends { readonly answeredAtMs: number | null }>(one: T): T =>
      one.answeredAtMs === null ? one : { ...one, answeredAtMs: nowMs };
    const now = { ...group, nodes: group.nodes.map(fresh), sentinels: group.sentinels.map(fresh) };
    const verdict = primaryVerdict(now, nowMs, defaultLimits);
    const examined = examineSentinels(state, { group: now, verdict, answers }, nowMs);
    ({ state } = examined);
    codes = examined.problems.map(({ code }) => code);
  }
  return codes;
};
const withSentinel = (changes: Partial<SentinelObservation>): GroupObservation => ({
  ...wellGroup,
  sentinels: wellGroup.sentinels.map((one, at) => (at === 2 ? { ...one, ...changes } : one)),
});

describe('a group whose Sentinels are well', () => {
  it('gives nothing to say, however long one looks', () => {
    expect(saidAt(wellGroup, [0, 20_000, 60_000])).toEqual([]);
  });

  it('is not judged by Sentinels when it has none', () => {
    expect(saidAt({ ...wellGroup, kind: 'single' }, [0, 60_000])).toEqual([]);
  });
});

describe('a fault', () => {
  it.each<readonly [string, GroupObservation, number]>([
    ['sentinel_epochs_differ', withSentinel({ view: viewAt({ epoch: 3 }) }), 10_000],
    ['sentinel_settings_differ', withSentinel({ view: viewAt({ quorum: 1 }) }), 3_000],
    ['sentinels_unacquainted', withSentinel({ peers: [] }), 10_000],
    ['sentinel_sees_primary_down', withSentinel({ view: viewAt({ flags: ['master', 's_down'] }) }), 3_000],
    [
      'stale_replica',
      withSentinel({ replicas: [{ host: '10.0.0.9', port: 6379, flags: ['slave', 's_down'], priority: 100 }] }),
      15_000,
    ],
    [
      'stale_sentinel',
      withSentinel({
        peers: [...sentinelAt('10.0.0.3').peers, { host: '10.0.0.9', port: 1, id: 'x', flags: ['s_down'] }],
      }),
      15_000,
    ],
    [
      'address_unreachable_here',
      { ...wellGroup, nodes: [primary, { ...replica, answeredAtMs: null, failure: gone }] },
      5_000,
    ],
  ])('is said when it lasts, not before: %s', (code, group, afterMs) => {
    expect(saidAt(group, [0, afterMs - 1_000])).not.toContain(code);
    expect(saidAt(group, [0, afterMs - 1_000, afterMs])).toContain(code);
    // One that went and came back begins anew.
    let state = doctorState;
    const look = (one: GroupObservation, nowMs: number): readonly string[] => {
      const verdict = primaryVerdict(one, 0, defaultLimits);
      const examined = examineSentinels(
        state,
        { group: one, verdict, answers: noAnswers, limits: { ...defaultLimits, staleAfterMs: 1e9 } },
        nowMs,
      );
      ({ state } = examined);
      return examined.problems.map((problem) => problem.code);
    };
    look(group, 0);
    look(wellGroup, afterMs - 1);
    expect(look(group, afterMs)).not.toContain(code);
  });

  it.each<readonly [string, GroupObservation]>([
    [
      'two_hosts_no_witness',
      {
        ...wellGroup,
        sentinels: [sentinelAt('10.0.0.1'), sentinelAt('10.0.0.2'), sentinelAt('10.0.0.2', { port: 26_380 })],
      },
    ],
    ['two_sentinels', { ...wellGroup, sentinels: wellGroup.sentinels.slice(1) }],
    ['one_sentinel', { ...wellGroup, sentinels: wellGroup.sentinels.slice(2) }],
    ['announced_by_name', withSentinel({ replicas: [{ host: 'redis-2', port: 6379, flags: [], priority: 100 }] })],
    ['short_failover_timeout', withSentinel({ view: viewAt({ downAfterMs: 30_000 }) })],
    ['down_after_too_short', withSentinel({ view: viewAt({ downAfterMs: 100 }) })],
    [
      'priority_zero_everywhere',
      { ...wellGroup, nodes: [primary, { ...replica, info: parseInfo('role:slave\nslave_priority:0') }] },
    ],
  ])('that is a matter of the layout is said at once: %s', (code, group) => {
    expect(saidAt(group, [0])).toContain(code);
  });

  it('that is one machine for everything is called so, and not a missing witness', () => {
    const here = (one: SentinelObservation): SentinelObservation => ({ ...one, host: '127.0.0.1' });
    const nodes = [primary, replica].map((node) => ({ ...node, host: '127.0.0.1' }));
    const codes = saidAt({ ...wellGroup, nodes, sentinels: wellGroup.sentinels.map(here) }, [0]);
    expect(codes).toContain('single_host');
    expect(codes).not.toContain('two_hosts_no_witness');
  });

  it('that a Sentinel told us of is said in its words', () => {
    const answers = { ...noAnswers, flush: { 's-10.0.0.1': 'ERR Failed to save config file' } };
    expect(saidAt(wellGroup, [0], answers)).toEqual(['sentinel_config_unwritable']);
    const named = { ...noAnswers, resolvesNames: { 's-10.0.0.3': false } };
    const group = withSentinel({ view: viewAt({ primary: { host: 'redis-1', port: 6379 } }) });
    expect(saidAt(group, [0], named)).toContain('names_not_resolved');
  });
});

describe('a failover that failed', () => {
  const hear = (state: typeof doctorState, channel: string, nowMs: number): typeof doctorState =>
    hearSentinel(
      state,
      { sentinel: 's-10.0.0.1', event: parseSentinelEvent(channel, 'master shop 10.0.0.1 6379') },
      nowMs,
    );
  const codesAt = (state: typeof doctorState, nowMs: number): readonly string[] => {
    const group = { ...wellGroup, sentinels: wellGroup.sentinels.map((one) => ({ ...one, answeredAtMs: nowMs })) };
    const verdict = primaryVerdict(group, nowMs, defaultLimits);
    return examineSentinels(state, { group, verdict, answers: noAnswers }, nowMs).problems.map(({ code }) => code);
  };

  it('blocks the next one for twice the timeout, counted from its begin; a success ends that', () => {
    const began = hear(doctorState, '+try-failover', 1_000);
    expect(codesAt(began, 2_000)).not.toContain('failover_blocked');
    const failed = hear(began, '-failover-abort-no-good-slave', 4_000);
    expect(codesAt(failed, 5_000)).toContain('failover_blocked');
    expect(codesAt(failed, 30_999)).toContain('failover_blocked');
    expect(codesAt(failed, 31_000)).not.toContain('failover_blocked');
    const switched = hearSentinel(
      failed,
      { sentinel: 's-10.0.0.2', event: parseSentinelEvent('+switch-master', 'shop 10.0.0.1 6379 10.0.0.2 6379') },
      6_000,
    );
    expect(codesAt(switched, 7_000)).not.toContain('failover_blocked');
  });
});
