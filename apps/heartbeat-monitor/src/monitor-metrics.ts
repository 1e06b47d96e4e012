// What does a monitor count?
import type { ProbeOutcome } from '@switchyard/failure-detection';
import type { EventType } from '@switchyard/protocol';
import type { Sweep } from '@switchyard/redis';
import type { Metrics } from '@switchyard/runtime';

export interface MonitorMetrics {
  sweep(seen: Sweep, gapMs: number): void;
  verdict(type: EventType): void;
  probe(outcome: ProbeOutcome): void;
}

/** Declares the metrics of a monitor. */
export function createMonitorMetrics(metrics: Metrics): MonitorMetrics {
  const leader = metrics.gauge('monitor_leader', '1 while this monitor holds the lease');
  const known = metrics.gauge('monitor_deadlines', 'Instances whose deadline is watched');
  const passed = metrics.gauge(
    'monitor_deadlines_passed',
    'Instances whose deadline has passed and that are not evicted',
  );
  const gap = metrics.gauge('monitor_sweep_gap_seconds', 'Seconds between the latest two sweeps');
  const verdicts = metrics.counter('monitor_verdicts_total', 'Changes of liveness that this monitor committed', [
    'type',
  ]);
  const probes = metrics.counter('monitor_probes_total', 'Probes by outcome', ['outcome']);
  return {
    sweep(seen, gapMs) {
      leader.set(seen.leader ? 1 : 0);
      known.set(seen.known);
      passed.set(seen.passed.length);
      gap.set(gapMs / 1000);
    },
    verdict: (type) => verdicts.inc({ type }),
    probe: (outcome) => probes.inc({ outcome }),
  };
}
