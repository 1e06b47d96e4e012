// What does the registry do about beats, whichever way they come? One batch for all of them; put together for registry.ts.
import type { Route, Upgrade } from '@switchyard/http';
import type { CatalogFeed, Redis } from '@switchyard/redis';
import type { Clock, Component, Logger, Metrics } from '@switchyard/runtime';
import { createHeartbeatBatch } from './heartbeat-batch.ts';
import type { HeartbeatBatch } from './heartbeat-batch.ts';
import { heartbeatRoutes } from './heartbeat-batch-routes.ts';
import { createLivenessDoubts } from './liveness-doubts.ts';
import { createLivenessLoads } from './liveness-loads.ts';
import type { LivenessLoads } from './liveness-loads.ts';
import { createLivenessSessions } from './liveness-sessions.ts';

export interface LivenessParts {
  readonly beats: HeartbeatBatch;
  readonly loads: LivenessLoads;
  readonly routes: readonly Route[];
  /** For the listener. */
  readonly upgrades: readonly Upgrade[];
  /** In the order of their start, after the feed. */
  readonly components: readonly Component[];
}

/** `redis` is a `commands` connection; `witness` names this registry. */
export function createLivenessParts(options: {
  readonly redis: Redis;
  readonly feed: CatalogFeed;
  readonly witness: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}): LivenessParts {
  const { redis, feed, witness, clock, logger, metrics } = options;
  const open = metrics.gauge('liveness_connections', 'Agents that hold a connection to this registry');
  const raised = metrics.counter('liveness_doubts_total', 'Connections of agents that ended without a goodbye');
  const beats = createHeartbeatBatch(redis);
  const loads = createLivenessLoads({ redis, feed, clock, logger });
  const doubts = createLivenessDoubts({ redis, witness, clock, logger, raised });
  const sessions = createLivenessSessions({ feed, beats, loads, doubts, clock, logger, open });
  return {
    beats,
    loads,
    routes: heartbeatRoutes(beats, loads),
    upgrades: [sessions.upgrade],
    components: [loads, sessions],
  };
}
