import type { RedisGroupView, RedisNodeView } from '@switchyard/protocol';
import { parseInfo } from './info-parser.ts';
import type { NodeObservation } from './observation.ts';
import { isLeaving, nowhere, planRefusal, type PlanGroup } from './rebuild-checks.ts';
import { rebuildPlan } from './rebuild-plan.ts';
import { olderRelease } from './replica-plan-version.ts';
import { addPlan, leadsToPrimary, removePlan, type AddCandidate } from './replica-plan.ts';

const hostOf = (name: string): string => `10.0.0.${name.slice(1)}`;
const at = (name: string) => ({ name, host: hostOf(name), port: 6379 });
/** `r2: 'r1'` = r2 follows r1; `r1: null` = r1 is primary. */
const observed = (name: string, follows: string | null, more: readonly string[] = []): NodeObservation => ({
  ...at(name),
  info: parseInfo(
    [
      'redis_version:7.0.15',
      `run_id:${name}`,
      ...(follows === null
        ? ['role:master']
        : ['role:slave', `master_host:${hostOf(follows)}`, 'master_port:6379', 'master_link_status:up']),
      ...more,
    ].join('\r\n'),
  ),
  savePoints: '',
  answeredAtMs: 0,
  failure: null,
});
const shown = (name: string, role: RedisNodeView['role'], more: Partial<RedisNodeView> = {}): RedisNodeView => ({
  ...at(name),
  role,
  state: 'ok',
  offset: 1,
  lagBytes: 0,
  link: role === 'replica' ? 'up' : null,
  persistence: null,
  version: '7.0.15',
  eligible: true,
  reason: null,
  seenAgoMs: 0,
  ...more,
});
const groupOf = (
  follows: Readonly<Record<string, string | null>>,
  more: { readonly view?: Partial<RedisGroupView>; readonly plan?: Partial<PlanGroup> } = {},
): PlanGroup => {
  const nodes = Object.entries(follows).map(([name, of]) => observed(name, of));
  return {
    observation: { name: 'main', kind: 'sentinel', nodes, sentinels: [] },
    view: {
      name: 'main',
      kind: 'sentinel',
      state: 'ok',
      primary: at('r1'),
      epoch: 1,
      quorum: { needed: 0, sentinels: 0, reachable: 0, agreeing: 0, ok: true },
      nodes: Object.entries(follows).map(([name, of]) => shown(name, of === null ? 'primary' : 'replica')),
      problems: [],
      observedAt: '2026-01-01T00:00:00.000Z',
      ...more.view,
    },
    underWay: false,
    byHand: null,
    pressed: new Set(),
    ...more.plan,
  };
};
const three = { r1: null, r2: 'r1', r3: 'r1' };
const failed = (checks: readonly { readonly name: string; readonly ok: boolean }[]): readonly string[] =>
  checks.filter(({ ok }) => !ok).map(({ name }) => name);

describe('a rebuild', () => {
  it('may begin when another replica could take over and nothing else goes on', () => {
    const plan = rebuildPlan(shown('r2', 'replica'), groupOf(three));
    expect(failed(plan.checks)).toEqual([]);
    expect(plan.source).toMatchObject({ name: 'r1' });
  });

  it.each([
    ['of the primary', shown('r1', 'primary'), groupOf(three), ['it is no primary']],
    ['of a node that is gone', shown('r2', 'unknown', { state: 'unreachable' }), groupOf(three), ['it answers']],
    ['without a primary', shown('r2', 'replica'), groupOf(three, { view: { primary: null } }), ['the primary serves']],
    [
      'within a failover',
      shown('r2', 'replica'),
      groupOf(three, { plan: { underWay: true } }),
      ['no failover is under way'],
    ],
    [
      'while somebody is at work by hand',
      shown('r2', 'replica'),
      groupOf(three, { plan: { byHand: 'new disk' } }),
      ['nobody is at work by hand'],
    ],
    [
      'while another one copies',
      shown('r2', 'replica'),
      groupOf(three, {
        view: { nodes: [shown('r1', 'primary'), shown('r2', 'replica'), shown('r3', 'replica', { state: 'syncing' })] },
      }),
      ['nobody else is copying'],
    ],
  ])('%s is refused, whatever is confirmed', (_what, node, group, names) => {
    const { checks } = rebuildPlan(node, group);
    expect(failed(checks)).toEqual(expect.arrayContaining(names));
    expect(planRefusal(checks, true)).not.toBeNull();
  });

  it.each([
    ['of the only replica', groupOf({ r1: null, r2: 'r1' }), 'another copy of the data exists'],
    [
      'when the primary lacks memory for a fork',
      groupOf(three, { plan: { pressed: new Set(['fork_headroom r1']) } }),
      'the source has memory for a snapshot',
    ],
  ])('%s has to be confirmed', (_what, group, name) => {
    const { checks } = rebuildPlan(shown('r2', 'replica'), group);
    expect(failed(checks)).toEqual([name]);
    expect(planRefusal(checks, false)).toMatchObject({ code: 'refused_for_safety' });
    expect(planRefusal(checks, true)).toBeNull();
  });

  it('of the only replica needs no confirmation when what it has is of no use', () => {
    const node = shown('r2', 'replica', { state: 'diverged', eligible: false });
    expect(planRefusal(rebuildPlan(node, groupOf({ r1: null, r2: 'r1' })).checks, false)).toBeNull();
  });

  it('copies from whom the node follows, and names who is cut off', () => {
    const group = groupOf({ ...three, r4: 'r2', r5: 'r4' });
    expect(rebuildPlan(shown('r4', 'replica'), group)).toMatchObject({
      source: { name: 'r2' },
      children: [{ name: 'r5' }],
    });
  });
});

describe('a new replica', () => {
  const fresh = (more: Partial<AddCandidate> = {}): AddCandidate => ({
    at: at('r9'),
    failure: null,
    info: observed('r9', null).info,
    vitals: null,
    settings: null,
    sentinels: 0,
    samePassword: null,
    ...more,
  });
  const info = (...lines: readonly string[]) =>
    parseInfo(['redis_version:7.0.15', 'role:master', ...lines].join('\r\n'));

  it('may be an empty server that nobody knows', () => {
    const plan = addPlan(fresh(), groupOf(three), null);
    expect(failed(plan.checks)).toEqual([]);
    expect(plan).toMatchObject({ source: { name: 'r1' }, cascading: false });
  });

  it.each<readonly [string, Partial<AddCandidate>, string]>([
    ['is a member under another address', { info: info('run_id:r3') }, 'it is no member yet'],
    ['does not answer', { failure: { kind: 'gone', detail: 'refused' }, info: null }, 'it can be reached'],
    ['is of a cluster', { info: info('redis_mode:cluster') }, 'it is a plain server'],
    ['is loading', { info: info('loading:1') }, 'it is not loading'],
    [
      'has replicas',
      { info: info('slave0:ip=10.1.1.1,port=6379,state=online,offset=1,lag=0') },
      'it belongs to no other group',
    ],
    ['follows somebody', { info: observed('r9', 'r8').info }, 'it belongs to no other group'],
    ['is watched by Sentinels', { sentinels: 3 }, 'no Sentinel watches it'],
    ['is older', { info: parseInfo('redis_version:6.2.1\r\nrole:master') }, 'it can read the snapshot'],
    ['has another password', { samePassword: false }, 'it asks for the same password'],
    ['lets clients write', { settings: { 'replica-read-only': 'no' } }, 'it takes no writes as a replica'],
  ])('that %s is refused', (_what, more, name) => {
    const { checks } = addPlan(fresh(more), groupOf(three), null);
    expect(failed(checks)).toContain(name);
    expect(planRefusal(checks, true)).not.toBeNull();
  });

  it('that was removed before may come back, although Sentinels are not asked to let go of it', () => {
    const left = parseInfo(
      ['run_id:r3', 'role:slave', `master_host:${nowhere.host}`, `master_port:${String(nowhere.port)}`].join('\r\n'),
    );
    expect(isLeaving({ info: left })).toBe(true);
    expect(failed(addPlan(fresh({ info: left, sentinels: 1 }), groupOf(three), null).checks)).toEqual([]);
  });

  it('follows another replica only when that leads to the primary', () => {
    const group = groupOf({ ...three, r4: 'r5', r5: 'r4' });
    expect(addPlan(fresh(), group, shown('r2', 'replica'))).toMatchObject({ cascading: true });
    expect(leadsToPrimary(at('r2'), group)).toBe(true);
    expect(leadsToPrimary(at('r4'), group)).toBe(false);
    expect(failed(addPlan(fresh(), group, shown('r4', 'replica')).checks)).toEqual(['its source leads to the primary']);
  });
});

describe('a replica that leaves', () => {
  const refusalOf = (name: string, group: PlanGroup, confirmed = false) => {
    const node = group.view.nodes.find((one) => one.name === name) ?? shown(name, 'unknown');
    return planRefusal(removePlan(node, group).checks, confirmed);
  };

  it('may, when another one stays and nobody copies from it', () => {
    expect(refusalOf('r2', groupOf(three))).toBeNull();
  });

  it('may not as the primary, with replicas of its own, or while a Sentinel would not be told', () => {
    expect(refusalOf('r1', groupOf(three), true)).toMatchObject({ code: 'conflict' });
    expect(refusalOf('r2', groupOf({ ...three, r4: 'r2' }), true)?.detail).toContain('r4 would be cut off');
    const sentinels = [
      { ...at('s1'), view: null, tilted: null, replicas: [], ghosts: 0, peers: [], answeredAtMs: null, failure: null },
    ];
    const deaf = groupOf(three);
    expect(refusalOf('r2', { ...deaf, observation: { ...deaf.observation, sentinels } }, true)).toMatchObject({
      code: 'conflict',
    });
  });

  it('may as the last one only when that is confirmed', () => {
    const group = groupOf({ r1: null, r2: 'r1' });
    expect(refusalOf('r2', group)).toMatchObject({ code: 'refused_for_safety' });
    expect(refusalOf('r2', group, true)).toBeNull();
  });
});

describe('releases', () => {
  it.each([
    ['7.0.15', '7.2.0', true],
    ['6.2.14', '7.0.0', true],
    ['7.0.1', '7.0.15', false],
    ['8.0.0', '7.4.1', false],
    [null, '7.0.0', false],
  ])('%s is older than %s: %s', (a, b, older) => {
    expect(olderRelease(a, b)).toBe(older);
  });
});
