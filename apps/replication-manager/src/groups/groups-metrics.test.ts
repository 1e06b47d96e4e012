import { createMetrics } from '@switchyard/runtime';
import type { RedisGroupView } from '@switchyard/protocol';
import { createGroupMetrics } from '../group-metrics.ts';

const viewOf = (name: string, role: 'primary' | 'replica'): RedisGroupView => ({
  name,
  kind: 'sentinel',
  state: 'ok',
  primary: null,
  epoch: 1,
  quorum: { needed: 2, sentinels: 3, reachable: 3, agreeing: 3, ok: true },
  nodes: [
    {
      name: 'r1',
      host: '127.0.0.1',
      port: 1,
      role,
      state: 'ok',
      offset: 1,
      lagBytes: 7,
      link: null,
      persistence: null,
      version: null,
      eligible: true,
      reason: null,
      seenAgoMs: 0,
    },
  ],
  problems: [],
  observedAt: '2026-01-01T00:00:00.000Z',
});

describe('the metrics of two groups', () => {
  it('stand beside each other; one that changes or goes takes nothing of the other along', async () => {
    const metrics = createMetrics();
    const a = createGroupMetrics(metrics, 'a');
    const b = createGroupMetrics(metrics, 'b');
    a.view(viewOf('a', 'primary'));
    b.view(viewOf('b', 'primary'));
    a.view(viewOf('a', 'replica'));
    const text = await metrics.text();
    expect(text).toContain('switchyard_redis_role{group="a",node="r1",role="replica"} 1');
    expect(text).not.toContain('switchyard_redis_role{group="a",node="r1",role="primary"}');
    expect(text).toContain('switchyard_redis_role{group="b",node="r1",role="primary"} 1');
    a.forget();
    const after = await metrics.text();
    expect(after).not.toContain('group="a"');
    expect(after).toContain('switchyard_redis_replication_lag_bytes{group="b",node="r1"} 7');
  });
});
