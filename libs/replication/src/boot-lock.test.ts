import { countKeys, judgeBoot, lockConfig, type BootFacts } from './boot-lock.ts';

const facts = (name: string, more: Partial<BootFacts['info']> & { readonly keys?: number | null } = {}): BootFacts => {
  const { keys = 100, ...info } = more;
  return {
    name,
    host: '10.0.0.1',
    port: 1,
    keys,
    info: { lineage: 'L', previousLineage: null, sharedOffset: null, offset: 1_000, ...info },
  };
};
const survivors = [facts('r2'), facts('r3', { offset: 990 })];

describe('a primary that was restarted', () => {
  it.each([
    ['it is empty', facts('r1', { lineage: 'N', keys: 0, offset: 0 }), 'r1 is empty, r2 has 100 keys'],
    ['it loaded an old file of the same stream', facts('r1', { offset: 900 }), 'r2 has 100 bytes'],
    [
      'it remembers the stream, and less of it',
      facts('r1', { lineage: 'N', previousLineage: 'L', sharedOffset: 995, offset: 2_000 }),
      'r2 has 5 bytes',
    ],
    ['it has fewer keys and another stream', facts('r1', { lineage: 'N', keys: 99 }), 'r1 has 99 keys'],
  ])('is not trusted when %s', (_why, node, detail) => {
    const verdict = judgeBoot(node, survivors);
    expect(verdict.trusted).toBe(false);
    expect(verdict.detail).toContain(detail);
  });
  it.each([
    ['it has the same stream and is not behind', facts('r1')],
    ['it remembers the stream to the end', facts('r1', { lineage: 'N', previousLineage: 'L', sharedOffset: 1_000 })],
    ['it has as many keys, of a stream of its own', facts('r1', { lineage: 'N' })],
  ])('is trusted when %s', (_why, node) => {
    expect(judgeBoot(node, survivors).trusted).toBe(true);
  });
  it('is trusted when nobody is there, or nobody has anything', () => {
    expect(judgeBoot(facts('r1', { keys: 0 }), []).trusted).toBe(true);
    expect(judgeBoot(facts('r1', { lineage: 'N', keys: 0 }), [facts('r2', { lineage: 'M', keys: 0 })]).trusted).toBe(
      true,
    );
  });
});

it('counts the keys of all databases', () => {
  expect(countKeys('# Server\r\nx:1\r\n# Keyspace\r\ndb0:keys=5,expires=0,avg_ttl=0\r\ndb3:keys=7,expires=1\r\n')).toBe(
    12,
  );
  expect(countKeys('# Keyspace\r\n')).toBe(0);
  expect(countKeys('# Server\r\n')).toBeNull();
});

it('generates users that are out at the start, in a file that no failover rewrites', () => {
  const { aclFile, redisConf, sentinelConf } = lockConfig('main');
  expect(aclFile).toMatch(/^user switchyard-app off /m);
  expect(aclFile).toMatch(/^user switchyard-replica off /m);
  expect(aclFile).toMatch(/^user switchyard-manager on /m);
  expect(redisConf).toContain('aclfile');
  expect(redisConf).not.toMatch(/^user /m);
  expect(sentinelConf).toContain('sentinel auth-user main switchyard-sentinel');
});
