// What does a monitor count?
import type { ProbeOutcome } from '@switchyard/failure-detection';
import type { EventType } from '@switchyard/protocol';
import type { Sweep } from '@switchyard/redis';
import type { Metrics } from '@switchyard/runtime';

export interface MonitorMetrics {
  sweep(
    seen: Sweep,
    monitor: { readonly gapMs: number; readonly suspected: number; readonly localHealth: number },
  ): void;
  /** By service; services that are not named have none. */
  phi(worst: ReadonlyMap<string, number>): void;
  verdict(type: EventType): void;
  probe(outcome: ProbeOutcome): void;
}

/** Declares the metrics of a monitor. */
export function createMonitorMetrics(metrics: Metrics): MonitorMetrics {
  const leader = metrics.gauge('monitor_leader', '1 while this monitor holds the lease');
  const known = metrics.gauge('monitor_deadlines', 'Instances whose deadline is watched');
  const passed = metrics.gauge(
    'monitor_deadlines_passed',
    'Instances that this monitor doubts: their deadline has passed, or somebody saw them fail',
  );
  const gap = metrics.gauge('monitor_sweep_gap_seconds', 'Seconds between the latest two sweeps');
  const health = metrics.gauge('monitor_local_health', 'How much this monitor doubts itself, 0 (healthy) to 8');
  const phis = metrics.gauge('monitor_phi_max', 'phi of the most surprising silence of each service; evicts nobody', [
    'service',
  ]);
  const verdicts = metrics.counter('monitor_verdicts_total', 'Changes of liveness that this monitor committed', [
    'type',
  ]);
  const probes = metrics.counter('monitor_probes_total', 'Probes by outcome', ['outcome']);
  return {
    sweep(seen, { gapMs, suspected, localHealth }) {
      leader.set(seen.leader ? 1 : 0);
      known.set(seen.known);
      passed.set(suspected);
      health.set(localHealth);
      gap.set(gapMs / 1000);
    },
    phi(worst) {
      phis.reset();
      for (const [service, phi] of worst) phis.set({ service }, phi);
    },
    verdict: (type) => verdicts.inc({ type }),
    probe: (outcome) => probes.inc({ outcome }),
  };
}
