// What is counted about a group of Redis nodes?
import type { RedisGroupView } from '@switchyard/protocol';
import type { Gauge, Labels, Metrics } from '@switchyard/runtime';

/** The metrics of one group. */
export interface GroupMetrics {
  /** Sets every gauge from a fresh view. */
  view(view: RedisGroupView): void;
  /** One probe write; time without acknowledgement adds up from one failed probe to the next. */
  probe(acked: boolean, nowMs: number): void;
  failover(): void;
  /** The group is not looked after any more: its series go. */
  forget(): void;
}

/** Declares the metrics of `group`; they are shared by all groups, so each touches its own series alone. */
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
  /** What the last view set: a node that left, or changed its role, leaves a series behind. */
  let shown: readonly (() => void)[] = [];

  return {
    view(view) {
      for (const remove of shown) remove();
      shown = [
        ...view.nodes.flatMap((node) => [
          shows(role, { group, node: node.name, role: node.role }, 1),
          ...(node.lagBytes === null ? [] : [shows(lag, { group, node: node.name }, node.lagBytes)]),
        ]),
        shows(state, { group, state: view.state }, 1),
      ];
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
    forget() {
      for (const remove of shown) remove();
      shown = [];
      for (const count of ['known', 'reachable', 'agreeing', 'needed']) sentinels.remove({ group, count });
      quorum.remove({ group });
      failovers.remove({ group });
      unavailable.remove({ group });
    },
  };
};

const shows = <L extends string>(gauge: Gauge<L>, labels: Labels<L>, value: number): (() => void) => {
  gauge.set(labels, value);
  return () => gauge.remove(labels);
};
