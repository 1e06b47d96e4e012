import { databasesNeeded, whatChanged, whyNotInto, type NodeWish, type RestoreNode } from './restore-node.ts';

const idle: RestoreNode = {
  name: '10.0.0.9:6379',
  mode: 'standalone',
  server: { kind: 'redis', version: '7.0.15' },
  runId: 'a',
  role: 'primary',
  primary: null,
  isLinkUp: false,
  replicas: 0,
  keys: 0,
  databases: 16,
  isLoading: false,
  needsTls: false,
  member: null,
  isGroupKnown: true,
};
const wish: NodeWish = {
  group: 'main',
  as: 'primary',
  overwrite: false,
  writer: { kind: 'redis', version: '7.0.15' },
  databases: 1,
};
const member = { role: 'replica', member: 'replica', primary: '10.0.0.1:6379', isLinkUp: true } as const;

describe('whyNotInto', () => {
  it.each<[string, Partial<RestoreNode>, Partial<NodeWish>]>([
    ['an empty server of its own', {}, {}],
    ['one with keys that may go', { keys: 5 }, { overwrite: true }],
    ['an empty one while nobody knows the group', { isGroupKnown: false }, {}],
    ['a replica of the group that stays one', { ...member, keys: 5 }, { as: 'replica', overwrite: true }],
    ['a member that was started again empty', { member: 'replica' }, { as: 'replica' }],
    ['a replica whose primary is gone', { role: 'replica', primary: '10.0.0.8:1' }, { as: 'replica' }],
  ])('lets %s be filled', (_what, facts, wished) => {
    expect(whyNotInto({ ...idle, ...facts }, { ...wish, ...wished })).toBeNull();
  });

  it.each<[string, Partial<RestoreNode>, Partial<NodeWish>, string, string]>([
    ['an older server', { server: { kind: 'redis', version: '6.2.1' } }, {}, 'not_restorable', 'older'],
    [
      'a foreign server',
      { server: { kind: 'valkey', version: '7.2.1' } },
      { writer: { kind: 'redis', version: '7.4.0' } },
      'not_restorable',
      'Valkey',
    ],
    ['one with too few databases', {}, { databases: 17 }, 'not_restorable', 'databases 17'],
    ['a cluster node', { mode: 'cluster' }, {}, 'not_restorable', 'Cluster'],
    ['a Sentinel', { mode: 'sentinel' }, {}, 'not_restorable', 'Sentinel'],
    ['one that replicates over TLS', { needsTls: true }, {}, 'not_implemented', 'TLS'],
    ['one with keys', { keys: 5 }, {}, 'refused_for_safety', '5 keys'],
    ['one with replicas', { replicas: 2 }, { overwrite: true }, 'refused_for_safety', '2 replicas'],
    [
      'the primary of the group',
      { member: 'primary' },
      { as: 'replica', overwrite: true },
      'refused_for_safety',
      'primary of main',
    ],
    ['a replica of the group', { member: 'replica' }, { overwrite: true }, 'refused_for_safety', 'replica of main'],
    [
      'a replica of somebody',
      { role: 'replica', primary: 'x:1' },
      { overwrite: true },
      'refused_for_safety',
      'replica of x:1',
    ],
    [
      'a replica of another group',
      { ...member, member: null },
      { as: 'replica', overwrite: true },
      'refused_for_safety',
      'not in main',
    ],
    ['one that loads', { isLoading: true }, {}, 'refused_for_safety', 'loading'],
    [
      'one with keys while nobody knows the group',
      { keys: 1, isGroupKnown: false },
      { overwrite: true },
      'refused_for_safety',
      'nobody can say',
    ],
  ])('refuses %s', (_what, facts, wished, code, text) => {
    const refused = whyNotInto({ ...idle, ...facts }, { ...wish, ...wished });
    expect(refused).toMatchObject({ ok: false, error: { code } });
    expect(JSON.stringify(refused)).toContain(text);
  });
});

describe('whatChanged', () => {
  it('sees nothing where nothing that matters changed', () => {
    expect(whatChanged(idle, idle)).toEqual([]);
    expect(whatChanged({ ...idle, keys: 5 }, { ...idle, keys: 9, isGroupKnown: false })).toEqual([]);
    expect(whatChanged({ ...idle, replicas: 1 }, idle)).toEqual([]);
  });

  it.each<[string, Partial<RestoreNode>]>([
    ['run id', { runId: 'b' }],
    ['role', { role: 'replica' }],
    ['its primary', { primary: '10.0.0.1:1' }],
    ['place in the group', { member: 'primary' }],
    ['replicas', { replicas: 1 }],
    ['keys', { keys: 1 }],
  ])('sees that its %s changed', (what, facts) => {
    expect(whatChanged(idle, { ...idle, ...facts })).toEqual([expect.stringContaining(what)]);
  });
});

describe('databasesNeeded', () => {
  it('counts from 0', () => {
    expect(databasesNeeded({})).toBe(1);
    expect(databasesNeeded({ '0': 5, '77': 1, '9': 2 })).toBe(78);
  });
});
