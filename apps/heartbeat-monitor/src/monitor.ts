// The shell around the detector: sweep, decide, then (only the leader, fenced) commit; probes run beside it.
import { evictInstance, memberOfInstance, removeInstance, reviveInstance, suspectInstance } from '@switchyard/catalog';
import type { CatalogStore, CatalogView, Decision } from '@switchyard/catalog';
import { initialDetectorState, isReapable, recordProbe, stepDetector } from '@switchyard/failure-detection';
import type { CatalogFacts, DetectorAction, DetectorState, ProbeResult } from '@switchyard/failure-detection';
import { defaultServicePolicy, leases } from '@switchyard/protocol';
import type { Evidence, Instance } from '@switchyard/protocol';
import { releaseMonitorLease, sweep } from '@switchyard/redis';
import type { CatalogFeed, Redis, Sweep } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { MonitorMetrics } from './monitor-metrics.ts';

/** Deadlines looked at in one sweep; more wait for the next, 50 ms later. */
const SWEEP_LIMIT = 512;
const MAX_PROBES_AT_ONCE = 64;
const REAP_EVERY_MS = 1_000;

export interface MonitorStatus {
  readonly leader: boolean;
  readonly fencingToken: number;
  /** null before the first sweep */
  readonly lastSweepAgoMs: number | null;
  readonly suspects: readonly { readonly member: string; readonly held: string | null }[];
}

export interface Monitor extends Component {
  status(): MonitorStatus;
}

/** What the detector needs to know, read from the view. */
function factsFrom(view: CatalogView): CatalogFacts {
  return {
    liveness: (member) => view.member(member)?.liveness,
    probes: (member) => view.member(member)?.check?.type !== 'none',
    living(service) {
      let living = 0;
      for (const { liveness } of view.instancesOf(service)) if (liveness !== 'dead') living += 1;
      return living;
    },
    maxUnhealthyPercent: (service) => (view.policyOf(service)?.document ?? defaultServicePolicy).maxUnhealthyPercent,
  };
}

const suspectsIn = (view: CatalogView): string[] =>
  [...view.all()]
    .filter(({ liveness }) => liveness === 'suspect')
    .map(memberOfInstance)
    .slice(0, SWEEP_LIMIT);

/** One monitor. Any number may run: all observe, the holder of the lease acts. */
export function createMonitor(options: {
  readonly id: string;
  readonly redis: Redis;
  readonly store: CatalogStore;
  readonly feed: CatalogFeed;
  readonly probe: (instance: Instance) => Promise<ProbeResult>;
  readonly sweepMs: number;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MonitorMetrics;
}): Monitor {
  const { id, redis, store, feed, clock, logger, metrics } = options;
  let state: DetectorState = initialDetectorState;
  let last: Sweep | undefined;
  let lastAtMs: number | undefined;
  let reapedAtMs = -Infinity;
  const probing = new Set<string>();
  /** changes on their way: the view does not show them yet, so the detector may ask for them again */
  const committing = new Set<string>();

  const commit = async (member: string, decision: Decision, seen: Sweep, evidence: object): Promise<void> => {
    if (decision.type === 'unchanged' || committing.has(member)) return;
    committing.add(member);
    try {
      const outcome = await store.commit(decision.commit, { lease: leases.monitor, token: seen.token });
      const { type } = decision.commit.event;
      // a conflict means that the instance changed meanwhile: the next sweep decides anew
      logger.info({ member, outcome: outcome.type, ...evidence }, type);
      if (outcome.type === 'committed') metrics.verdict(type);
      feed.refresh();
    } finally {
      committing.delete(member);
    }
  };

  const runProbe = async (member: string, instance: Instance): Promise<void> => {
    if (probing.has(member)) return;
    if (probing.size >= MAX_PROBES_AT_ONCE) {
      const detail = 'too many probes were under way';
      state = recordProbe(state, member, { kind: 'tcp', outcome: 'answered', tookMs: 0, detail });
      return;
    }
    probing.add(member);
    try {
      const result = await options.probe(instance);
      metrics.probe(result.outcome);
      state = recordProbe(state, member, result);
    } finally {
      probing.delete(member);
    }
  };

  const act = (action: DetectorAction, seen: Sweep): Promise<void> | undefined => {
    const instance = feed.view.member(action.member);
    if (!instance) return undefined;
    if (action.type === 'probe') return runProbe(action.member, instance);
    const evidence: Evidence = { ...action.evidence, fencingToken: seen.token, monitor: id };
    const decide = { suspect: suspectInstance, revive: reviveInstance, evict: evictInstance }[action.type];
    return commit(action.member, decide(instance, evidence, seen.nowMs), seen, { evidence });
  };

  const reap = async (seen: Sweep): Promise<void> => {
    if (seen.nowMs - reapedAtMs < REAP_EVERY_MS && seen.nowMs >= reapedAtMs) return;
    reapedAtMs = seen.nowMs;
    const { view } = feed;
    for (const instance of view.all()) {
      const policy = view.policyOf(instance.service)?.document ?? defaultServicePolicy;
      if (!isReapable(instance, policy, seen.nowMs)) continue;
      const reason = `dead since ${new Date(instance.sinceMs).toISOString()}: ${instance.livenessReason ?? 'evicted'}`;
      const decision = removeInstance(instance, instance, { type: 'instance.reaped', reason });
      if (decision.ok) await commit(memberOfInstance(instance), decision.value, seen, { reason });
    }
  };

  const tick = async (): Promise<void> => {
    if (!feed.status().loaded) return;
    const suspects = suspectsIn(feed.view);
    const seen = await sweep(redis, { holder: id, leaseMs: options.leaseMs, limit: SWEEP_LIMIT, suspects });
    if (seen.leader !== (last?.leader ?? false)) {
      logger.info({ leader: seen.leader, fencingToken: seen.token }, 'monitor.leadership');
    }
    const gapMs = lastAtMs === undefined ? 0 : clock.monotonicMs() - lastAtMs;
    metrics.sweep(seen, gapMs);
    last = seen;
    lastAtMs = clock.monotonicMs();
    const step = stepDetector(state, seen, factsFrom(feed.view));
    if (step.state.graceFromMs !== state.graceFromMs && state.lastSweepMs !== undefined) {
      logger.warn({ gapMs: seen.nowMs - state.lastSweepMs }, 'monitor.grace');
    }
    state = step.state;
    for (const { member, reason } of step.newHolds) logger.warn({ member, reason }, 'eviction.held');
    for (const action of step.actions) {
      act(action, seen)?.catch((error: unknown) =>
        logger.warn({ err: error, member: action.member, action: action.type }, 'monitor.action_failed'),
      );
    }
    if (seen.leader) await reap(seen);
  };

  const ticker = createTicker({ name: 'sweep', everyMs: options.sweepMs, run: tick, clock, logger, deadlineMs: 5_000 });
  return {
    name: 'monitor',
    start: (signal) => ticker.start(signal),
    async stop() {
      await ticker.stop();
      // best effort: without it the lease runs out by itself
      if (last?.leader) await releaseMonitorLease(redis, id).catch(() => undefined);
    },
    status: () => ({
      leader: last?.leader ?? false,
      fencingToken: last?.token ?? 0,
      lastSweepAgoMs: lastAtMs === undefined ? null : Math.round(clock.monotonicMs() - lastAtMs),
      suspects: suspectsIn(feed.view).map((member) => ({
        member,
        held: state.suspicions.get(member)?.held ?? null,
      })),
    }),
  };
}
