// The shell around the detector: sweep, decide, then (only the leader, fenced) commit; probes run beside it.
import { evictInstance, memberOfInstance, removeInstance, reviveInstance, suspectInstance } from '@switchyard/catalog';
import type { CatalogStore, CatalogView, Decision } from '@switchyard/catalog';
import { initialDetectorState, isReapable, recordProbe, stepDetector } from '@switchyard/failure-detection';
import type { CatalogFacts, DetectorAction, DetectorState, ProbeResult } from '@switchyard/failure-detection';
import { defaultServicePolicy, leases } from '@switchyard/protocol';
import type { Doubt, Evidence, Instance } from '@switchyard/protocol';
import { releaseMonitorLease, sweep } from '@switchyard/redis';
import type { CatalogFeed, Redis, Sweep } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { MonitorMetrics } from './monitor-metrics.ts';

/** Deadlines looked at in one sweep; more wait for the next, 50 ms later. */
const SWEEP_LIMIT = 512;
const MAX_PROBES_AT_ONCE = 64;
/** From as many instances and witnesses at once; more are dropped, deadlines find them too. */
const MAX_DOUBTS = 4_096;
const REAP_EVERY_MS = 1_000;
const MAX_REAPS_AT_ONCE = 64;
/** How long a change may take from its commit to the view; until then nothing else is decided about that instance. */
const VIEW_LAG_MS = 500;

export interface MonitorStatus {
  readonly leader: boolean;
  readonly fencingToken: number;
  /** null before the first sweep */
  readonly lastSweepAgoMs: number | null;
  readonly suspects: readonly { readonly member: string; readonly held: string | null }[];
}

export interface Monitor extends Component {
  /** Somebody saw an instance fail: looks again at once. Bounded; one that finds no room changes only latency. */
  doubt(doubt: Doubt): void;
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
  /** by instance and witness, until the next sweep takes them */
  const doubts = new Map<string, Doubt>();
  const probing = new Set<string>();
  /** suspects that wait for a probe, in their order; only such as are suspected still */
  const unprobed = new Set<string>();
  /** changes on their way: the view does not show them yet, so the detector may ask for them again */
  const committing = new Set<string>();

  const failed = (member: string, action: string) => (error: unknown) =>
    logger.warn({ err: error, member, action }, 'monitor.action_failed');
  const commit = async (member: string, decision: Decision, seen: Sweep, evidence: object): Promise<void> => {
    if (decision.type === 'unchanged' || committing.has(member)) return;
    committing.add(member);
    try {
      const outcome = await store.commit(decision.commit, { lease: leases.monitor, token: seen.token });
      const { type } = decision.commit.event;
      // a conflict means that the instance changed meanwhile: the next sweep decides anew
      logger.info({ member, outcome: outcome.type, ...evidence }, type);
      if (outcome.type === 'committed') {
        metrics.verdict(type);
        await feed.reached(outcome.cursor.revision, VIEW_LAG_MS);
      } else feed.refresh();
    } finally {
      committing.delete(member);
    }
  };

  const runProbe = async (member: string): Promise<void> => {
    unprobed.delete(member);
    const instance = feed.view.member(member);
    if (!instance || probing.has(member)) return;
    probing.add(member);
    try {
      const result = await options.probe(instance);
      metrics.probe(result.outcome);
      state = recordProbe(state, member, result);
    } finally {
      probing.delete(member);
      startProbes();
    }
  };
  const startProbes = (): void => {
    for (const member of unprobed) {
      if (probing.size >= MAX_PROBES_AT_ONCE) return;
      if (!state.suspicions.has(member)) unprobed.delete(member);
      else runProbe(member).catch((error: unknown) => logger.warn({ err: error, member }, 'monitor.probe_failed'));
    }
  };

  const act = async (action: DetectorAction, seen: Sweep): Promise<void> => {
    const instance = feed.view.member(action.member);
    if (!instance) return;
    if (action.type === 'probe') {
      unprobed.add(action.member);
      return;
    }
    const evidence: Evidence = { ...action.evidence, fencingToken: seen.token, monitor: id };
    const decide = { suspect: suspectInstance, revive: reviveInstance, evict: evictInstance }[action.type];
    await commit(action.member, decide(instance, evidence, seen.nowMs), seen, { evidence });
  };

  /** A few at a time and beside the sweeps: a crowd that is reaped must not look like a stall. */
  const reap = (seen: Sweep): void => {
    if (seen.nowMs - reapedAtMs < REAP_EVERY_MS && seen.nowMs >= reapedAtMs) return;
    reapedAtMs = seen.nowMs;
    const { view } = feed;
    let begun = 0;
    for (const instance of view.all()) {
      const policy = view.policyOf(instance.service)?.document ?? defaultServicePolicy;
      if (!isReapable(instance, policy, seen.nowMs)) continue;
      const member = memberOfInstance(instance);
      const reason = `dead since ${new Date(instance.sinceMs).toISOString()}: ${instance.livenessReason ?? 'evicted'}`;
      const decision = removeInstance(instance, instance, { type: 'instance.reaped', reason });
      if (decision.ok) commit(member, decision.value, seen, { reason }).catch(failed(member, 'reap'));
      begun += 1;
      if (begun >= MAX_REAPS_AT_ONCE) return;
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
    const heard = [...doubts.values()];
    doubts.clear();
    const step = stepDetector(state, { ...seen, doubts: heard }, factsFrom(feed.view));
    if (step.state.graceFromMs !== state.graceFromMs && state.lastSweepMs !== undefined) {
      logger.warn({ gapMs: seen.nowMs - state.lastSweepMs }, 'monitor.grace');
    }
    state = step.state;
    for (const { member, reason } of step.newHolds) logger.warn({ member, reason }, 'eviction.held');
    for (const action of step.actions) act(action, seen).catch(failed(action.member, action.type));
    startProbes();
    if (seen.leader) reap(seen);
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
    doubt(doubt) {
      if (doubts.size >= MAX_DOUBTS) return;
      doubts.set(JSON.stringify([doubt.service, doubt.id, doubt.witness]), doubt);
      ticker.wake();
    },
    status() {
      const lastSweepAgoMs = lastAtMs === undefined ? null : Math.round(clock.monotonicMs() - lastAtMs);
      const suspects = suspectsIn(feed.view).map((member) => ({
        member,
        held: state.suspicions.get(member)?.held ?? null,
      }));
      // who has not swept for as long as a lease lasts has none
      const leader = (last?.leader ?? false) && lastSweepAgoMs !== null && lastSweepAgoMs < options.leaseMs;
      return { leader, fencingToken: last?.token ?? 0, lastSweepAgoMs, suspects };
    },
  };
}
