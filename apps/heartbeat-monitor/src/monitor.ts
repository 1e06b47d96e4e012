// The shell around the detector: sweep, decide, then (only the leader, fenced) commit; probes run beside it.
import {
  announce,
  evictInstance,
  isSettled,
  memberOfInstance,
  removeInstance,
  reviveInstance,
  settleInstance,
  suspectInstance,
} from '@switchyard/catalog';
import type { CatalogStore, Decision } from '@switchyard/catalog';
import {
  defaultDetectorSettings,
  initialDetectorState,
  isReapable,
  membersToAsk,
  stepDetector,
} from '@switchyard/failure-detection';
import type {
  CatalogFacts,
  DetectorAction,
  DetectorSettings,
  DetectorState,
  Hold,
  ProbeResult,
} from '@switchyard/failure-detection';
import { defaultServicePolicy, leases, splitMember } from '@switchyard/protocol';
import type { Doubt, Evidence, Instance } from '@switchyard/protocol';
import { releaseMonitorLease, sweep } from '@switchyard/redis';
import type { CatalogFeed, Redis, Sweep } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import { createFleetIndex } from './fleet-index.ts';
import type { FleetIndex } from './fleet-index.ts';
import type { MonitorMetrics } from './monitor-metrics.ts';
import { createPhiSampling } from './phi-sampling.ts';
import { createProbeRunner } from './probe-runner.ts';

/** Of more suspects, `status` names the first. */
const MAX_SUSPECTS_TOLD = 512;
/** Deadlines looked at in one sweep; for more, the next one begins at once. */
const SWEEP_LIMIT = 512;
/** Suspects whose deadlines are read again in one sweep; of more, they take turns. */
const ASK_LIMIT = 512;
/** A sweep begins at once for so many; a crowd is judged in the usual rhythm, for each sweep costs as much as the crowd is large. */
const FEW = 16;
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
  /** how much it doubts itself: 0 (well) to 8 */
  readonly localHealth: number;
  readonly suspects: readonly { readonly member: string; readonly held: string | null }[];
}

export interface Monitor extends Component {
  /** Somebody saw an instance fail: looks again at once. Bounded; one that finds no room changes only latency. */
  doubt(doubt: Doubt): void;
  status(): MonitorStatus;
}

/** What the detector needs to know, read from the view. */
function factsFrom({ view }: CatalogFeed, index: FleetIndex): CatalogFacts {
  return {
    find(member) {
      const instance = view.member(member);
      if (!instance) return undefined;
      const { liveness, suspectedBy, sinceMs, ttlMs, check } = instance;
      return { liveness, suspectedBy, sinceMs, ttlMs, probes: check?.type !== 'none' };
    },
    count: (service) => index.count(service),
    maxUnhealthyPercent: (service) => (view.policyOf(service)?.document ?? defaultServicePolicy).maxUnhealthyPercent,
  };
}

/** A sweep is late when two in a row were left out. */
const settingsFor = (sweepMs: number): DetectorSettings => ({
  ...defaultDetectorSettings,
  lateSweepMs: Math.max(defaultDetectorSettings.lateSweepMs, 3 * sweepMs),
  maxGapMs: Math.max(defaultDetectorSettings.maxGapMs, 5 * sweepMs),
});

/** One monitor. Any number may run: all observe, the holder of the lease acts. */
export function createMonitor(options: {
  readonly id: string;
  readonly redis: Redis;
  readonly store: CatalogStore;
  readonly feed: CatalogFeed;
  /** `patience`, 1 to 9: how many times as long as usual it may take. Never rejects. */
  readonly probe: (instance: Instance, patience: number) => Promise<ProbeResult>;
  readonly sweepMs: number;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MonitorMetrics;
}): Monitor {
  const { id, redis, store, feed, clock, logger, metrics } = options;
  const settings = settingsFor(options.sweepMs);
  const index = createFleetIndex(feed);
  let { epoch } = feed.view;
  let state: DetectorState = initialDetectorState;
  let last: Sweep | undefined;
  let lastAtMs: number | undefined;
  let reapedAtMs = -Infinity;
  /** by instance and witness, until the next sweep takes them */
  const doubts = new Map<string, Doubt>();
  /** changes on their way: the view does not show them yet, so the detector may ask for them again */
  const committing = new Set<string>();
  /** what was to be changed while another change of the same was on its way */
  const waiting = new Set<string>();

  const probes = createProbeRunner({
    find: (member) => feed.view.member(member),
    isWanted: (member) => state.suspicions.has(member),
    probe: options.probe,
    ended(result, left) {
      metrics.probe(result.outcome);
      // an answer is no news
      if (result.outcome !== 'answered' && left < FEW) ticker.wake();
    },
    logger,
  });

  const failed = (member: string, action: string) => (error: unknown) =>
    logger.warn({ err: error, member, action }, 'monitor.action_failed');
  /** `key`: what is changed, one change at a time. */
  const commit = async (key: string, decision: Decision, seen: Sweep, evidence: object): Promise<void> => {
    if (decision.type === 'unchanged') return;
    if (committing.has(key)) {
      waiting.add(key);
      return;
    }
    committing.add(key);
    try {
      const outcome = await store.commit(decision.commit, { lease: leases.monitor, token: seen.token });
      const { type, subject } = decision.commit.event;
      // a conflict means that the instance changed meanwhile: the next sweep decides anew
      logger.info({ member: subject, outcome: outcome.type, ...evidence }, type);
      if (outcome.type === 'committed') {
        metrics.verdict(type);
        await feed.reached(outcome.cursor.revision, VIEW_LAG_MS);
      } else feed.refresh();
    } finally {
      committing.delete(key);
      if (waiting.delete(key) && committing.size < FEW) ticker.wake();
    }
  };

  const act = async (action: DetectorAction, seen: Sweep): Promise<void> => {
    const { member } = action;
    const instance = feed.view.member(member);
    if (!instance) return;
    if (action.type === 'probe') {
      probes.ask(member, action.patience);
      return;
    }
    const evidence: Evidence = { ...action.evidence, fencingToken: seen.token, monitor: id };
    const decision = {
      suspect: () => suspectInstance(instance, evidence, seen.nowMs, action.type === 'suspect' ? action.by : undefined),
      revive: () => reviveInstance(instance, evidence, seen.nowMs),
      evict: () => evictInstance(instance, evidence, seen.nowMs),
    }[action.type]();
    await commit(member, decision, seen, { evidence });
  };

  /** Said once for each: what is not done is an event, too. */
  const tellHold = async ({ member, reason, evidence }: Hold, seen: Sweep): Promise<void> => {
    const ref = splitMember(member);
    logger.warn({ member, reason }, 'eviction.held');
    if (!ref) return;
    const data = { ...ref, reason, evidence: { ...evidence, fencingToken: seen.token, monitor: id } };
    const event = announce({ type: 'instance.held', subject: member, data });
    await commit(`held ${member}`, { type: 'commit', commit: event }, seen, { reason });
  };

  /** Those that flapped and have been quiet since. */
  const settle = (seen: Sweep): void => {
    for (const member of index.damped) {
      const instance = feed.view.member(member);
      if (!instance || !isSettled(instance, seen.nowMs) || committing.has(member)) continue;
      const decision = settleInstance(instance, seen.nowMs);
      commit(member, decision, seen, { dampedUntilMs: instance.dampedUntilMs }).catch(failed(member, 'settle'));
    }
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
      // where only suspects are left, the dead still show that the last of them is not the only one that ever was
      const { living, alive } = index.count(instance.service);
      if (living > 0 && alive === 0) continue;
      const member = memberOfInstance(instance);
      const reason = `dead since ${new Date(instance.sinceMs).toISOString()}: ${instance.livenessReason ?? 'evicted'}`;
      const decision = removeInstance(instance, instance, { type: 'instance.reaped', reason });
      if (decision.ok) commit(member, decision.value, seen, { reason }).catch(failed(member, 'reap'));
      begun += 1;
      if (begun >= MAX_REAPS_AT_ONCE) return;
    }
  };

  /** Whose suspicion a heartbeat ends. */
  const revivable = function* (): Generator<string> {
    for (const member of index.suspects) {
      if (feed.view.member(member)?.suspectedBy !== 'check') yield member;
    }
  };

  const tick = async (): Promise<void> => {
    if (!feed.status().loaded) return;
    // a Redis that took over may have lost heartbeats: a grace, as at the start
    if (feed.view.epoch !== epoch) state = { ...state, lastSweepMs: undefined };
    epoch = feed.view.epoch;
    const startedAtMs = clock.monotonicMs();
    const seen = await sweep(redis, {
      holder: id,
      leaseMs: options.leaseMs,
      limit: SWEEP_LIMIT,
      cursorMs: state.cursorMs,
      // two heartbeats missed of three
      horizonMs: index.shortestTtlMs() / 3,
      sweptMs: last?.nowMs,
      asked: last?.leader === true ? membersToAsk(state, revivable(), ASK_LIMIT) : [],
    });
    if (seen.leader !== (last?.leader ?? false)) {
      logger.info({ leader: seen.leader, fencingToken: seen.token }, 'monitor.leadership');
    }
    const nowAtMs = clock.monotonicMs();
    const gapMs = lastAtMs === undefined ? 0 : nowAtMs - lastAtMs;
    last = seen;
    lastAtMs = nowAtMs;
    const heard = { doubts: [...doubts.values()], probed: probes.take(), roundTripMs: nowAtMs - startedAtMs };
    doubts.clear();
    const step = stepDetector(state, { ...seen, ...heard }, factsFrom(feed, index), settings);
    if (step.state.graceFromMs !== state.graceFromMs && state.lastSweepMs !== undefined) {
      logger.warn({ gapMs: seen.nowMs - state.lastSweepMs }, 'monitor.grace');
    }
    state = step.state;
    metrics.sweep(seen, { gapMs, suspected: state.suspicions.size, localHealth: state.health.score });
    for (const action of step.actions) act(action, seen).catch(failed(action.member, action.type));
    for (const hold of step.newHolds) tellHold(hold, seen).catch(failed(hold.member, 'hold'));
    probes.run();
    if (!seen.leader) return;
    settle(seen);
    reap(seen);
    // more have passed than one sweep reads
    if (seen.cursorMs < seen.nowMs) ticker.wake();
  };

  const ticker = createTicker({ name: 'sweep', everyMs: options.sweepMs, run: tick, clock, logger, deadlineMs: 5_000 });
  const phi = createPhiSampling({ redis, feed, metrics, clock, logger, isLeader: () => last?.leader === true });
  return {
    name: 'monitor',
    async start(signal) {
      await Promise.all([ticker.start(signal), phi.start(signal)]);
    },
    async stop() {
      await Promise.all([ticker.stop(), phi.stop()]);
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
      const suspects = [...index.suspects].slice(0, MAX_SUSPECTS_TOLD).map((member) => ({
        member,
        held: state.suspicions.get(member)?.held ?? null,
      }));
      // who has not swept for as long as a lease lasts has none
      const leader = (last?.leader ?? false) && lastSweepAgoMs !== null && lastSweepAgoMs < options.leaseMs;
      return { leader, fencingToken: last?.token ?? 0, lastSweepAgoMs, localHealth: state.health.score, suspects };
    },
  };
}
