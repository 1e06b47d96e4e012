// How surprising is the longest silence of each service? A number for people, sampled by the monitor that leads; it evicts nobody.
import { createPhiWatch } from '@switchyard/failure-detection';
import { readDeadlines } from '@switchyard/redis';
import type { CatalogFeed, Redis } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Logger, Ticker } from '@switchyard/runtime';
import type { MonitorMetrics } from './monitor-metrics.ts';

const SAMPLE_EVERY_MS = 2_000;
const MAX_MEMBERS = 10_000;
const MAX_SERVICES = 100;

/** Sets the metric every 2 s, from at most 10,000 deadlines, for at most 100 services. */
export function createPhiSampling(options: {
  readonly redis: Redis;
  readonly feed: Pick<CatalogFeed, 'view'>;
  readonly metrics: Pick<MonitorMetrics, 'phi'>;
  readonly isLeader: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}): Ticker {
  const { redis, feed, metrics, clock, logger } = options;
  const watch = createPhiWatch({ maxMembers: MAX_MEMBERS, maxServices: MAX_SERVICES });
  const sample = async (): Promise<void> => {
    if (!options.isLeader()) {
      metrics.phi(new Map());
      return;
    }
    const [[seconds, micros], deadlines] = await Promise.all([redis.time(), readDeadlines(redis, MAX_MEMBERS)]);
    const nowMs = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
    const beats = deadlines.flatMap(({ member, deadlineMs }) => {
      const instance = feed.view.member(member);
      if (!instance) return [];
      const { service, ttlMs } = instance;
      return [{ member, service, ttlMs, heardAtMs: deadlineMs - ttlMs }];
    });
    metrics.phi(watch.sample(nowMs, beats));
  };
  return createTicker({ name: 'phi', everyMs: SAMPLE_EVERY_MS, run: sample, clock, logger, deadlineMs: 5_000 });
}
