// What happens in the Redis Cluster? As group-watch.ts: looks, probes each shard, follows its failovers, keeps the view.
import type { RedisFailover, RedisGroupView } from '@switchyard/protocol';
import {
  clusterFollowerState,
  clusterInTransition,
  clusterWaitsFor,
  describeCluster,
  hasSlot,
  stepCluster,
  type ClusterFacts,
  type ClusterFollowerInput,
  type ClusterFollowerState,
} from '@switchyard/replication';
import { createTicker, type Clock, type Health, type Logger } from '@switchyard/runtime';
import type { ClusterObserver } from './cluster-observer.ts';
import type { ClusterMemory } from './cluster-memory.ts';
import { createClusterProbe } from './cluster-probe.ts';
import type { GroupMetrics } from '../group-metrics.ts';
import type { GroupDefinition } from '../group-part.ts';
import type { GroupWatch } from '../group-watch.ts';
import type { History } from '../history.ts';

/** One cluster under watch. */
export interface ClusterWatch extends GroupWatch {
  /** By the latest answers. */
  facts(): ClusterFacts;
}

/** What the watch works with. */
export interface ClusterWatchOptions {
  readonly definition: GroupDefinition;
  readonly observer: ClusterObserver;
  readonly history: History;
  readonly memory: ClusterMemory;
  readonly metrics: GroupMetrics;
  readonly health: Health;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A failover or switchover came to its end and has been recorded. */
  readonly onFinished: (entry: RedisFailover) => void;
}

/** While a failover is under way. */
const transitionPollMs = 50;

/** A watch; it looks once when it starts, then every `pollMs`. */
export const createClusterWatch = (options: ClusterWatchOptions): ClusterWatch => {
  const { definition, observer, history, memory, metrics, health, pollMs, clock, logger, onFinished } = options;
  const group = definition.name;
  const { manage, policy } = definition.input;
  let state: ClusterFollowerState = clusterFollowerState(group);
  let lookedAtMs = -Infinity;
  let said = '';
  let waited = '';

  const feed = (input: ClusterFollowerInput): void => {
    const nowMs = clock.monotonicMs();
    const result = stepCluster(state, input, nowMs);
    state = result.state;
    const waits = clusterWaitsFor(state).join();
    if (waits !== waited) logger.info({ group, waitsFor: waits }, 'redis.failover_phase');
    waited = waits;
    for (const finished of result.finished) {
      // no two promotions of a cluster share an epoch: another manager has told it already
      if (history.list().some(({ epoch, shard }) => epoch === finished.epoch && shard === finished.shard)) continue;
      // The follower counts on the monotonic clock; people want the wall clock.
      const entry = { ...finished, startedAtMs: Math.round(clock.unixMs() - (nowMs - finished.startedAtMs)) };
      metrics.failover();
      const { id, kind, shard, from, to, cause } = entry;
      logger.warn({ group, failover: id, kind, shard, from: from?.name, to: to.name, cause }, 'redis.failover');
      const recorded = history.record(entry);
      if (recorded !== null) onFinished(recorded);
    }
  };

  const probe = createClusterProbe({
    writerAt: (at) => observer.writerAt(at),
    onOutcome(outcome, shard) {
      const isHome = definition.homeSlot === undefined || hasSlot(shard.primary.slots, definition.homeSlot);
      if (isHome) metrics.probe(outcome.outcome === 'acked', clock.monotonicMs());
      feed({ type: 'probe', ...outcome });
    },
  });

  const facts = (): ClusterFacts => describeCluster(observer.cluster(), { nowMs: clock.monotonicMs() });
  const viewOf = ({ view }: ClusterFacts): RedisGroupView => ({
    ...view,
    manage,
    policy,
    observedAt: new Date(clock.unixMs()).toISOString(),
  });

  const look = (): void => {
    const now = facts();
    feed({ type: 'look', facts: now });
    const shards = Object.values(state.shards);
    if (shards.length > 0) memory.keep(shards);
    const view = viewOf(now);
    metrics.view(view);
    const detail = [view.state, ...view.problems.map((problem) => problem.detail)].join('; ').slice(0, 500);
    health.set(`redis group ${group}`, { ok: view.state !== 'down', critical: false, detail });
    const primaries = now.shards.map(({ primary }) => primary.name).join();
    const codes = `${view.state} ${primaries} ${[...new Set(view.problems.map(({ code }) => code))].join()}`;
    if (codes !== said) {
      logger.info({ group, state: view.state, primaries, problems: view.problems }, 'redis.group_changed');
    }
    said = codes;
    // a cluster that is only observed is never written to
    if (manage === 'manage') for (const shard of now.shards) probe.fire(shard);
  };

  const ticker = createTicker({
    name: `redis-group-${group}`,
    everyMs: transitionPollMs,
    run: async () => {
      const nowMs = clock.monotonicMs();
      if (!clusterInTransition(state, nowMs) && nowMs - lookedAtMs < pollMs - transitionPollMs / 2) return;
      lookedAtMs = nowMs;
      look();
      observer.poll();
    },
    clock,
    logger,
  });

  return {
    name: group,
    facts,
    view: () => viewOf(facts()),
    // there are no Sentinels to hear
    hear: () => undefined,
    turn() {
      lookedAtMs = -Infinity;
      ticker.wake();
    },
    async start(signal) {
      state = clusterFollowerState(group, await memory.read());
      observer.start();
      observer.poll();
      await ticker.start(signal);
    },
    async stop() {
      await ticker.stop();
      await memory.settled();
      observer.close();
    },
  };
};
