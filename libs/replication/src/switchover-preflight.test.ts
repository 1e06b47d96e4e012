import { preflight } from './switchover-preflight.ts';
import { planSwitchover } from './switchover-look.ts';
import type { PreflightFacts, SentinelReading } from './switchover-check.ts';
import { switchoverReading, type SwitchoverReading } from './switchover-reading.ts';

const at = (name: string): { name: string; host: string; port: number } => ({
  name,
  host: 'h',
  port: 4730 + Number(name.slice(1)),
});
const config = {
  'replica-priority': '100',
  'min-replicas-to-write': '0',
  'min-replicas-max-lag': '10',
  'repl-ping-replica-period': '10',
  maxmemory: '0',
  'maxmemory-policy': 'noeviction',
  appendonly: 'yes',
  save: '',
};
const common = (role: string, more: string): string =>
  `redis_version:7.0.15\r\nrole:${role}\r\nmaster_replid:${'a'.repeat(40)}\r\nmaster_repl_offset:1000\r\nloading:0\r\naof_enabled:1\r\nconnected_clients:7\r\n${more}`;
const primaryText = common(
  'master',
  'connected_slaves:2\r\nslave0:ip=h,port=4732,state=online,offset=1000,lag=0\r\nslave1:ip=h,port=4733,state=online,offset=1000,lag=0\r\n',
);
const replicaText = common(
  'slave',
  'master_host:h\r\nmaster_port:4731\r\nmaster_link_status:up\r\nslave_repl_offset:1000\r\nslave_priority:100\r\n',
);
const node = (
  name: string,
  info: string | null,
  more: Record<string, string> = {},
  mayPause: boolean | null = true,
): SwitchoverReading => switchoverReading(at(name), { info, config: { ...config, ...more }, mayPause });
const reported = (name: string, priority = 100): SentinelReading['replicas'][number] => ({
  ...at(name),
  flags: ['slave'],
  priority,
  offset: 1000,
  runId: name,
  linkDownMs: 0,
  lastReplyMs: 10,
  infoAgeMs: 100,
});
const sentinel = (name: string, more: Partial<SentinelReading> = {}): SentinelReading => ({
  name,
  host: 'h',
  port: 4740 + Number(name.slice(1)),
  reachable: true,
  tilted: false,
  names: at('r1'),
  epoch: 3,
  flags: ['master'],
  quorum: 2,
  downAfterMs: 1_000,
  failoverTimeoutMs: 15_000,
  replicas: [reported('r2'), reported('r3')],
  infoPeriodMs: 10_000,
  valkeyMajor: null,
  ...more,
});
const facts: PreflightFacts = {
  group: 'main',
  kind: 'sentinel',
  managed: true,
  to: null,
  primary: at('r1'),
  named: at('r1'),
  epoch: 3,
  quorumOk: true,
  nodes: [node('r1', primaryText), node('r2', replicaText), node('r3', replicaText)],
  sentinels: [sentinel('s1'), sentinel('s2'), sentinel('s3')],
  underWay: null,
  maintenance: null,
  flapping: null,
  failoverUnderWay: false,
  lastFailoverAgoMs: null,
  digestAgoMs: 1_000,
  maxLagBytes: 1_000_000,
};
const withNode = (name: string, reading: SwitchoverReading): Partial<PreflightFacts> => ({
  nodes: facts.nodes.map((one) => (one.name === name ? reading : one)),
});
const withSentinels = (more: Partial<SentinelReading>): Partial<PreflightFacts> => ({
  sentinels: facts.sentinels.map((one) => ({ ...one, ...more })),
});

describe('the preflight of a switchover', () => {
  it('finds nothing wrong with a group that is well, in twenty checks and more', () => {
    const found = preflight(facts);
    expect(found.blockers).toEqual([]);
    expect(found.checks.filter(({ ok }) => ok === false)).toEqual([]);
    expect(found.checks.length).toBeGreaterThanOrEqual(30);
    expect(new Set(found.checks.map(({ code }) => code)).size).toBe(found.checks.length);
    expect(found).toMatchObject({ way: 'sentinel', target: { name: 'r2' }, acting: { name: 's1' } });
  });

  it.each<[string, Partial<PreflightFacts>]>([
    ['group_managed', { managed: false }],
    ['kind_supported', { kind: 'cluster' }],
    ['primary_confirmed', { primary: null }],
    ['primary_not_forking', withNode('r1', node('r1', `${primaryText}rdb_bgsave_in_progress:1\r\n`))],
    [
      'no_backup_running',
      withNode('r1', node('r1', `${primaryText}slave2:ip=h,port=0,state=wait_bgsave,offset=0,lag=0\r\n`)),
    ],
    ['no_rollback_running', { maintenance: 'main is under maintenance until then: rollback rollback-1' }],
    ['no_handover_under_way', withNode('r1', node('r1', `${primaryText}master_failover_state:waiting-for-sync\r\n`))],
    ['pause_permitted', withNode('r1', node('r1', primaryText, {}, false))],
    ['others_in_sync', withNode('r3', node('r3', replicaText.replace('link_status:up', 'link_status:down')))],
    ['gate_free', { underWay: 'a rebuild' }],
    ['not_in_maintenance', { maintenance: 'new disk' }],
    ['not_flapping', { flapping: 'three in a minute' }],
    ['quorum', { quorumOk: false }],
    ['sentinels_not_tilted', withSentinels({ tilted: true })],
    ['sentinels_agree', { sentinels: [sentinel('s1'), sentinel('s2', { names: at('r3') })] }],
    ['no_failover_under_way', withSentinels({ flags: ['master', 'failover_in_progress'] })],
    ['acting_sentinel', withSentinels({ reachable: false })],
    ['target_known_to_sentinel', withSentinels({ replicas: [reported('r3')] })],
    ['target_can_be_preferred', withSentinels({ replicas: [reported('r2'), reported('r3', 1)] })],
    ['target_exists', { to: 'r9' }],
    ['target_reachable', { to: 'r2', ...withNode('r2', node('r2', null)) }],
    ['target_is_replica', { to: 'r1' }],
    [
      'target_follows_primary',
      { to: 'r2', ...withNode('r2', node('r2', replicaText.replace('master_port:4731', 'master_port:4733'))) },
    ],
    ['same_lineage', { to: 'r2', ...withNode('r2', node('r2', replicaText.replace('a'.repeat(40), 'b'.repeat(40)))) }],
    ['target_link_up', { to: 'r2', ...withNode('r2', node('r2', replicaText.replace('status:up', 'status:down'))) }],
    [
      'target_lag',
      {
        to: 'r2',
        maxLagBytes: 10,
        ...withNode('r2', node('r2', replicaText.replace('slave_repl_offset:1000', 'slave_repl_offset:900'))),
      },
    ],
    ['target_not_loading', { to: 'r2', ...withNode('r2', node('r2', replicaText.replace('loading:0', 'loading:1'))) }],
    [
      'target_priority',
      { to: 'r2', ...withNode('r2', node('r2', replicaText.replace('slave_priority:100', 'slave_priority:0'))) },
    ],
    ['target_saves_well', { to: 'r2', ...withNode('r2', node('r2', `${replicaText}rdb_last_bgsave_status:err\r\n`)) }],
    ['target_not_forking', { to: 'r2', ...withNode('r2', node('r2', `${replicaText}aof_rewrite_in_progress:1\r\n`)) }],
    ['version_not_older', { to: 'r2', ...withNode('r2', node('r2', replicaText.replace('7.0.15', '7.0.9'))) }],
    [
      'maxmemory_not_smaller',
      { to: 'r2', ...withNode('r2', node('r2', replicaText, { maxmemory: '1000000' })), ...withNodes() },
    ],
    [
      'min_replicas_satisfiable',
      { to: 'r2', ...withNode('r2', node('r2', replicaText, { 'min-replicas-to-write': '3' })) },
    ],
  ])('forbids it for %s, with what helps, and makes no plan', (code, more) => {
    const changed = { ...facts, ...more };
    const found = preflight(changed);
    const check = found.blockers.find((one) => one.code === code);
    expect(check).toMatchObject({ code, ok: false, blocking: true });
    expect(check?.detail).not.toBe('');
    expect(check?.next).not.toBe('');
    expect(planSwitchover('redis-1', changed, found)).toBeNull();
  });

  it('does not wait for the archive, which follows for ever', () => {
    const follower = node('r2', `${replicaText}slave0:ip=h,port=0,state=online,offset=1000,lag=1\r\n`);
    expect(preflight({ ...facts, to: 'r2', ...withNode('r2', follower) }).blockers).toEqual([]);
    const copying = node('r2', `${replicaText}slave0:ip=h,port=0,state=online,offset=0,lag=9\r\n`);
    const codes = preflight({ ...facts, to: 'r2', ...withNode('r2', copying) }).blockers.map(({ code }) => code);
    expect(codes).toEqual(['no_backup_running']);
  });

  it('plans with everything that has to be put back', () => {
    const plan = planSwitchover('redis-1', facts, preflight(facts));
    expect(plan).toMatchObject({
      from: { name: 'r1' },
      to: { name: 'r2' },
      prefer: true,
      bound: 2,
      epoch: 3,
      acting: { name: 's1' },
    });
    expect(plan?.saved.map(({ at: { name }, name: setting, value }) => `${name} ${setting} ${value}`)).toEqual([
      'r2 replica-priority 100',
      'r1 min-replicas-to-write 0',
      'r1 repl-ping-replica-period 10',
      's1 INFO-PERIOD 10000',
      's2 INFO-PERIOD 10000',
      's3 INFO-PERIOD 10000',
      's1 failover-timeout 15000',
    ]);
  });

  it('leaves the priority alone when the Sentinel would choose the target anyway', () => {
    const sure = { ...facts, ...withSentinels({ replicas: [reported('r2', 50), reported('r3')] }) };
    expect(planSwitchover('redis-1', sure, preflight(sure))).toMatchObject({ prefer: false, hurried: [] });
  });

  it.each([
    ['Redis', null, 'sentinel'],
    ['Valkey 8', 8, 'sentinel'],
    ['Valkey 9', 9, 'coordinated'],
  ] as const)('chooses the way by the Sentinel: %s', (_name, valkeyMajor, way) => {
    expect(preflight({ ...facts, ...withSentinels({ valkeyMajor }) }).way).toBe(way);
  });

  it('needs no Sentinels where there are none', () => {
    const alone = { ...facts, kind: 'single' as const, sentinels: [], epoch: null };
    const found = preflight(alone);
    expect(found.blockers).toEqual([]);
    expect(planSwitchover('redis-1', alone, found)).toMatchObject({
      way: 'direct',
      acting: null,
      prefer: false,
      bound: 0,
      saved: [],
    });
  });
});

/** A primary that holds more than the target may. */
function withNodes(): Partial<PreflightFacts> {
  return {
    nodes: [
      node('r1', `${primaryText}used_memory:5000000\r\n`),
      node('r2', replicaText, { maxmemory: '1000000' }),
      node('r3', replicaText),
    ],
  };
}
