// What is counted about a group of Redis nodes?
import type { RedisGroupView } from '@switchyard/protocol';
import type { Metrics } from '@switchyard/runtime';

/** The metrics of one group. */
export interface GroupMetrics {
  /** Sets every gauge from a fresh view. */
  view(view: RedisGroupView): void;
  /** One probe write; time without acknowledgement adds up from one failed probe to the next. */
  probe(acked: boolean, nowMs: number): void;
  failover(): void;
}

/** Declares the metrics of `group`. */
export const createGroupMetrics = (metrics: Metrics, group: string): GroupMetrics => {
  const role = metrics.gauge('redis_role', '1 for the role that the node has', ['group', 'node', 'role']);
  const lag = metrics.gauge('redis_replication_lag_bytes', 'Bytes that the primary has and the replica has not', [
    'group',
    'node',
  ]);
  const state = metrics.gauge('redis_group_state', '1 for the state that the group is in', ['group', 'state']);
  const sentinels = metrics.gauge(
    'redis_sentinels',
    'Sentinels: known; reachable; agreeing = reachable, not tilted, of one mind; needed for a failover',
    ['group', 'count'],
  );
  const quorum = metrics.gauge('redis_quorum_ok', '1 while the failure of the primary would be mended', ['group']);
  const failovers = metrics.counter('redis_failovers_total', 'Failovers and switchovers that this manager saw', [
    'group',
  ]);
  const unavailable = metrics.counter(
    'redis_write_unavailable_seconds_total',
    'Seconds in which probe writes to the primary were not acknowledged',
    ['group'],
  );
  failovers.inc({ group }, 0);
  unavailable.inc({ group }, 0);
  let failingSinceMs: number | null = null;

  return {
    view(view) {
      role.reset();
      lag.reset();
      state.reset();
      for (const node of view.nodes) {
        role.set({ group, node: node.name, role: node.role }, 1);
        if (node.lagBytes !== null) lag.set({ group, node: node.name }, node.lagBytes);
      }
      state.set({ group, state: view.state }, 1);
      sentinels.set({ group, count: 'known' }, view.quorum.sentinels);
      sentinels.set({ group, count: 'reachable' }, view.quorum.reachable);
      sentinels.set({ group, count: 'agreeing' }, view.quorum.agreeing);
      sentinels.set({ group, count: 'needed' }, view.quorum.needed);
      quorum.set({ group }, view.quorum.ok ? 1 : 0);
    },
    probe(acked, nowMs) {
      if (failingSinceMs !== null) unavailable.inc({ group }, Math.max(0, nowMs - failingSinceMs) / 1_000);
      failingSinceMs = acked ? null : nowMs;
    },
    failover: () => failovers.inc({ group }),
  };
};
