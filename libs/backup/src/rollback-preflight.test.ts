import {
  rollbackPreflight,
  rollbackWarnings,
  type RollbackFacts,
  type RollbackNodeFacts,
} from './rollback-preflight.ts';

const at = { host: '10.0.0.1', port: 6379 };
const history = 'a'.repeat(40);
const node = (facts: Partial<RollbackNodeFacts> = {}): RollbackNodeFacts => ({
  ...at,
  reachable: true,
  role: 'primary',
  replicationId: history,
  offset: 1_000,
  follows: null,
  link: null,
  loading: false,
  version: '7.0.15',
  usedMemoryBytes: 1_000,
  totalMemoryBytes: 1_000_000,
  forking: false,
  failingOver: false,
  lastSaveOk: true,
  lastAofWriteOk: true,
  ...facts,
});
const replica = (facts: Partial<RollbackNodeFacts> = {}): RollbackNodeFacts =>
  node({ host: '10.0.0.2', role: 'replica', follows: at, link: 'up', offset: 990, ...facts });
const sentinel = (facts: Partial<RollbackFacts['sentinels'][number]> = {}): RollbackFacts['sentinels'][number] => ({
  at: { host: '10.0.1.1', port: 26379 },
  reachable: true,
  tilted: false,
  names: at,
  inProgress: false,
  downAfterMs: 1_000,
  ...facts,
});
const facts = (changed: Partial<RollbackFacts> = {}): RollbackFacts => ({
  group: 'main',
  kind: 'sentinel',
  primary: node(),
  replicas: [replica()],
  named: at,
  epoch: 3,
  sentinels: [sentinel(), sentinel(), sentinel()],
  archive: { offset: 990, replicationId: history },
  underWay: [],
  unreadable: [],
  target: { keys: 10, memoryBytes: 1_000, version: '7.0.15' },
  servedHost: '10.0.0.9',
  freeDiskBytes: 1_000,
  neededDiskBytes: 10,
  maxLagBytes: 100,
  ...changed,
});

const failed = (changed: Partial<RollbackFacts>): string[] =>
  rollbackPreflight(facts(changed)).checks.flatMap(({ name, ok }) => (ok === false ? [name] : []));

describe('rollbackPreflight', () => {
  it('allows a rollback of a healthy group, and tells each check', () => {
    const { checks, allowed, loads } = rollbackPreflight(facts());
    expect({ allowed, loads }).toEqual({ allowed: true, loads: 'swapdb' });
    expect(checks.every(({ ok, next }) => ok === true && next === '')).toBe(true);
    expect(checks.length).toBeGreaterThan(12);
  });

  it.each<[string, Partial<RollbackFacts>]>([
    ['primary', { primary: null }],
    ['primary', { primary: node({ role: 'replica' }) }],
    ['replicas', { replicas: [replica({ reachable: false })] }],
    ['replicas', { replicas: [replica({ link: 'down' })] }],
    ['replicas', { replicas: [replica({ offset: 1 })] }],
    ['replicas', { replicas: [replica({ follows: { host: '10.0.0.7', port: 1 } })] }],
    ['sentinels-reachable', { sentinels: [sentinel(), sentinel(), sentinel({ reachable: false, names: null })] }],
    ['sentinels-agree', { named: null }],
    ['sentinels-agree', { sentinels: [sentinel(), sentinel(), sentinel({ names: { host: '10.0.0.2', port: 6379 } })] }],
    ['sentinels-untilted', { sentinels: [sentinel(), sentinel(), sentinel({ tilted: true })] }],
    ['no-failover', { sentinels: [sentinel(), sentinel(), sentinel({ inProgress: true })] }],
    ['safety-point', { archive: null }],
    ['safety-point', { archive: { offset: 1, replicationId: 'b'.repeat(40) } }],
    ['nothing-under-way', { underWay: ['another rollback'] }],
    ['nothing-under-way', { primary: node({ failingOver: true }) }],
    ['settings', { unreadable: ['down-after-milliseconds'] }],
    ['version', { target: { keys: 1, memoryBytes: 1, version: '7.2.0' } }],
    ['disk', { freeDiskBytes: 1 }],
    ['node-reaches-us', { servedHost: '127.0.0.1' }],
  ])('refuses for %s: %j', (name, changed) => {
    expect(failed(changed)).toContain(name);
    const { allowed, checks } = rollbackPreflight(facts(changed));
    expect(allowed).toBe(false);
    expect(checks.find((check) => check.name === name)?.next).not.toBe('');
  });

  it('loads in the plain way where both data sets may not fit, and says so without refusing', () => {
    const full = facts({ primary: node({ usedMemoryBytes: 900_000 }) });
    expect(rollbackPreflight(full)).toMatchObject({ allowed: true, loads: 'plain' });
    expect(failed({ primary: node({ usedMemoryBytes: 900_000 }) })).toEqual(['memory']);
  });

  it('needs no Sentinels where there are none', () => {
    const single = facts({ kind: 'single', sentinels: [], replicas: [], named: at, epoch: null });
    expect(rollbackPreflight(single).allowed).toBe(true);
  });
});

describe('rollbackWarnings', () => {
  it('names a moment without keys, and one that takes nearly all of them', () => {
    expect(rollbackWarnings({ now: 50, target: 0, removed: 50 })[0]).toContain('NO key');
    expect(rollbackWarnings({ now: 100, target: 200, removed: 95 })[0]).toContain('95 of 100');
    expect(rollbackWarnings({ now: 100, target: 5, removed: null })[0]).toContain('95 of 100');
    expect(rollbackWarnings({ now: 100, target: 90, removed: 90 })).toEqual([]);
    expect(rollbackWarnings({ now: 0, target: 0, removed: 0 })).toEqual([]);
  });
});
