// What of the comparison of data is worth a graph or an alarm?
import type { RedisCheck } from '@switchyard/protocol';
import type { Metrics } from '@switchyard/runtime';

/** Metrics of one group's checks. */
export interface ConsistencyMetrics {
  checked(check: RedisCheck): void;
  /** Ms since the data was compared last; null: not yet. */
  age(ms: number | null): void;
  /** The group is gone. */
  forget(): void;
}

/** Declares them for `group`. */
export const createConsistencyMetrics = (metrics: Metrics, group: string): ConsistencyMetrics => {
  const same = metrics.gauge(
    'redis_data_same',
    '1 when the data of the node was the same as its primary in the latest check, 0 when it differed; nothing when it was not read',
    ['group', 'node'],
  );
  const keys = metrics.gauge('redis_differing_keys', 'Keys that differed from the primary in the latest check', [
    'group',
    'node',
  ]);
  const age = metrics.gauge('redis_check_age_seconds', 'Seconds since the data was compared last', ['group']);
  const checks = metrics.counter('redis_checks_total', 'Checks by their verdict', ['group', 'verdict']);
  const seen = new Set<string>();
  const verdicts = ['same', 'different', 'unsure', 'unknown'] as const;
  return {
    checked({ nodes, verdict }) {
      checks.inc({ group, verdict });
      for (const node of nodes) {
        if (node.role === 'primary') continue;
        seen.add(node.node);
        if (node.verdict === 'same' || node.verdict === 'different') {
          same.set({ group, node: node.node }, node.verdict === 'same' ? 1 : 0);
          keys.set({ group, node: node.node }, node.differing);
        }
      }
    },
    age(ms) {
      if (ms !== null) age.set({ group }, ms / 1_000);
    },
    forget() {
      for (const node of seen) for (const gauge of [same, keys]) gauge.remove({ group, node });
      age.remove({ group });
      for (const verdict of verdicts) checks.remove({ group, verdict });
    },
  };
};
