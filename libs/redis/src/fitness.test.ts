// Is every Redis that would betray the catalog recognised by its INFO, and is no other one refused?
import { permissionFault, serverNameOf, unfitnessOf, unfitnessText } from './fitness.ts';

const info = (changes: Record<string, string> = {}): string =>
  Object.entries({
    redis_version: '7.0.15',
    maxmemory_policy: 'noeviction',
    role: 'master',
    cluster_enabled: '0',
    ...changes,
  })
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join('');
const reasons = (text: string, kind: 'single' | 'sentinel' | 'cluster' = 'single'): string[] =>
  unfitnessOf(text, '10.0.0.1:6379', kind).map(({ because }) => because);

describe('the fitness of a Redis', () => {
  it.each([
    ['a primary of 7.0', info(), 'single'],
    ['a later version', info({ redis_version: '8.2.1' }), 'sentinel'],
    ['Valkey', info({ redis_version: '7.2.4', server_name: 'valkey', valkey_version: '8.1.0' }), 'single'],
    ['a node of a cluster used as one', info({ cluster_enabled: '1' }), 'cluster'],
    ['one that tells nothing', '', 'single'],
  ] as const)('is given for %s', (_what, text, kind) => {
    expect(reasons(text, kind)).toEqual([]);
  });

  it.each([
    ['6.2', info({ redis_version: '6.2.14' }), ['version']],
    ['an LRU policy', info({ maxmemory_policy: 'allkeys-lru' }), ['eviction']],
    ['a policy that takes leases only', info({ maxmemory_policy: 'volatile-ttl' }), ['eviction']],
    ['a replica', info({ role: 'slave', master_host: '10.0.0.2', master_port: '6379' }), ['replica']],
    ['a node of a cluster', info({ cluster_enabled: '1' }), ['cluster-node']],
    ['several at once', info({ redis_version: '5.0.0', maxmemory_policy: 'allkeys-random' }), ['version', 'eviction']],
  ])('is denied to %s', (_what, text, expected) => {
    expect(reasons(text)).toEqual(expected);
  });

  it('is denied with the node, what it is, why that matters and how to mend it', () => {
    const at = '10.0.0.1:6379';
    const text = unfitnessText(at, unfitnessOf(info({ maxmemory_policy: 'allkeys-lru' }), at, 'single'));

    expect(text).toContain('10.0.0.1:6379');
    expect(text).toContain('maxmemory-policy is allkeys-lru');
    expect(text).toContain('may throw the catalog, its events and leases away when memory is short');
    expect(text).toContain('redis-cli -h 10.0.0.1 -p 6379 CONFIG SET maxmemory-policy noeviction');
  });

  it('is denied to a user without rights, and an error of another kind says nothing about it', () => {
    expect(permissionFault(new Error("NOPERM User reader has no permissions to run the 'eval' command"))).toMatchObject(
      {
        because: 'permission',
      },
    );
    expect(permissionFault(new Error('LOADING Redis is loading the dataset in memory'))).toBeUndefined();
  });

  it('names Valkey as Valkey', () => {
    expect(serverNameOf(info({ valkey_version: '8.1.0' }))).toBe('Valkey 8.1.0');
    expect(serverNameOf(info())).toBe('Redis 7.0.15');
  });
});
