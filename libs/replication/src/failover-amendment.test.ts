// Is what is learnt later added to an entry, and is its verdict corrected by it?
import type { RedisFailover } from '@switchyard/protocol';
import { withAmendment } from './failover-amendment.ts';

const at = { name: 'r1', host: '10.0.0.1', port: 6379 };
const entry: RedisFailover = {
  id: 'main-1',
  group: 'main',
  kind: 'failover',
  startedAtMs: 1,
  from: at,
  to: { ...at, name: 'r2', port: 6380 },
  epoch: 1,
  phases: [],
  cause: 'r1 does not answer',
  evidence: [],
  writesUnavailableMs: 1_500,
  dataLoss: { verdict: 'none-expected', detail: 'nothing that was seen is missing' },
};
const divergence = {
  node: 'r1',
  bytes: 12,
  keys: ['a'],
  truncated: false,
  detail: 'r1 has 12 bytes that nobody else has',
};

describe('what is learnt about a failover later', () => {
  it('is added: notes and log lines after those that were there', () => {
    const once = withAmendment(entry, { notes: ['one'], logs: [{ source: 's1', from: 's1.log', lines: ['a'] }] });
    const twice = withAmendment(once, { notes: ['two'], operation: 'redis-switchover-1' });
    expect(twice).toMatchObject({ notes: ['one', 'two'], logs: [{ source: 's1' }], operation: 'redis-switchover-1' });
    expect(twice.dataLoss).toEqual(entry.dataLoss);
  });

  it('corrects the verdict: what only the old primary had is lost', () => {
    expect(withAmendment(entry, { divergence }).dataLoss).toEqual({ verdict: 'possible', detail: divergence.detail });
    const nothing = { ...divergence, bytes: 0, keys: [] };
    expect(withAmendment(entry, { divergence: nothing }).dataLoss).toEqual(entry.dataLoss);
  });

  it('is bounded', () => {
    const notes = Array.from({ length: 100 }, (_, n) => String(n));
    expect(withAmendment(entry, { notes }).notes).toHaveLength(64);
  });
});
