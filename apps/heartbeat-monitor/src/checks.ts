// Who fails the check that its owner asked for? The monitor that leads asks all the time: `fall` failures in a row make an instance
// suspect, `rise` answers end that. What its application says over HTTP or gRPC is a heartbeat, too: whoever is registered once
// stays while it is there, and comes back by answers until its record is reaped.
//
//   Only while this monitor leads, so while it reaches Redis; what began before a stall of its own counts for nothing.
import type { CatalogStore } from '@switchyard/catalog';
import { createCheckSchedule } from '@switchyard/failure-detection';
import type { CheckTurn, ProbeResult } from '@switchyard/failure-detection';
import { leases, memberOf } from '@switchyard/protocol';
import type { Instance } from '@switchyard/protocol';
import type { CatalogFeed, CheckBeat } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Logger, Metrics } from '@switchyard/runtime';
import { changeBy } from './check-changes.ts';
import { createCheckHeartbeats } from './check-heartbeats.ts';
import { createCheckResults } from './check-results.ts';
import type { CheckVerdict } from './check-results.ts';
import { checkedIn, hasHeir, versionOf } from './checked-instances.ts';
import type { Monitor } from './monitor.ts';

const LOOK_EVERY_MS = 50;
/** Changes of the catalog wait for so long: each is a look at all instances. */
const KEEP_EVERY_MS = 200;
/** A longer time between two looks was a stall of ours: answers may have waited for us. */
const MOST_GAP_MS = 500;
const MOST_AT_ONCE = 256;
/** How long a change may take from its commit to the view; until then the instance is not asked again. */
const VIEW_LAG_MS = 500;
/** An answer holds until the one after the next is overdue. */
const INTERVALS_TO_MISS = 2;

export interface ChecksStatus {
  /** instances that are checked all the time */
  readonly instances: number;
  readonly failing: readonly string[];
}

export interface Checks extends Component {
  status(): ChecksStatus;
}

export interface ChecksOptions {
  readonly id: string;
  readonly monitor: Pick<Monitor, 'doubt'> & {
    status(): { readonly leader: boolean; readonly fencingToken: number };
  };
  readonly store: Pick<CatalogStore, 'commit'>;
  readonly feed: Pick<CatalogFeed, 'view' | 'listen' | 'reached' | 'refresh'>;
  /** Never rejects; ends within the timeout. */
  readonly probe: (instance: Instance, timeoutMs: number) => Promise<ProbeResult & { readonly heard: boolean }>;
  readonly beat: (beats: readonly CheckBeat[]) => Promise<readonly (number | undefined)[]>;
  /** For a check that does not say, or the interval if that is shorter. */
  readonly timeoutMs: number;
  /** From 0 to 1, exclusive. */
  readonly random: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Nobody is asked yet. */
export function createChecks(options: ChecksOptions): Checks {
  const { id, monitor, store, feed, clock, logger } = options;
  const ends = options.metrics.counter('monitor_checks_total', 'Checks that are made all the time, by outcome', [
    'kind',
    'outcome',
  ]);
  const failing = options.metrics.gauge(
    'monitor_checks_failing',
    'Instances that fail the check that is made all the time',
  );
  let schedule = createCheckSchedule(options.random);
  let results = createCheckResults();
  let leading = false;
  let changed = true;
  let underWay = 0;
  let lookedMs = -Infinity;
  /** the end of our last stall */
  let steadyMs = -Infinity;
  let keptMs = -Infinity;
  let heartbeats = createCheckHeartbeats(options.beat);

  const carryOut = async (instance: Instance, { type, evidence }: CheckVerdict): Promise<void> => {
    const { leader, fencingToken } = monitor.status();
    // since the last look it may have become somebody else's token
    if (!leader) return;
    const complete = { ...evidence, fencingToken, monitor: id };
    const decision = changeBy[type](instance, complete, {
      nowMs: clock.unixMs(),
      settings: feed.view.policyOf(instance.service),
    });
    if (decision.type === 'unchanged') return;
    const outcome = await store.commit(decision.commit, { lease: leases.monitor, token: fencingToken });
    // a conflict means that it changed meanwhile: the next result decides anew
    logger.info(
      { member: memberOf(instance.service, instance.id), outcome: outcome.type, evidence: complete },
      decision.commit.event.type,
    );
    if (outcome.type === 'committed') await feed.reached(outcome.cursor.revision, VIEW_LAG_MS);
    else feed.refresh();
  };

  /** What a result is worth, and to whom. */
  const take = async (
    { checked, beganMs }: CheckTurn,
    { heard, ...result }: ProbeResult & { heard: boolean },
  ): Promise<void> => {
    const nowMs = clock.monotonicMs();
    const instance = feed.view.member(checked.member);
    if (!leading || beganMs < steadyMs || nowMs - lookedMs > MOST_GAP_MS) return;
    if (instance === undefined || versionOf(instance) !== checked.version) return;
    if (heard && instance.liveness !== 'dead') {
      heartbeats.answered(checked, INTERVALS_TO_MISS * checked.plan.intervalMs);
    }
    const verdict = results.record(checked, result, instance);
    if (verdict === undefined || (verdict.type === 'return' && hasHeir(feed.view, instance))) return;
    await carryOut(instance, verdict);
    if (verdict.type !== 'suspect' || (result.outcome !== 'refused' && result.outcome !== 'other')) return;
    // nobody is there, or somebody else: one more probe may evict it
    const { service, id: doubted } = instance;
    monitor.doubt({
      service,
      id: doubted,
      because: 'connect-failed',
      detail: result.detail.slice(0, 256),
      witness: `${id}:check`,
    });
  };

  const ask = async (turn: CheckTurn): Promise<void> => {
    const { member, plan } = turn.checked;
    const instance = feed.view.member(member);
    try {
      if (instance === undefined) return;
      underWay += 1;
      const result = await options
        .probe(instance, Math.min(options.timeoutMs, plan.intervalMs))
        .finally(() => (underWay -= 1));
      ends.inc({ kind: result.kind, outcome: result.outcome });
      await take(turn, result);
    } finally {
      schedule.end(turn, clock.monotonicMs(), results.isTurning(member));
    }
  };

  const follow = (): void => {
    const { leader } = monitor.status();
    if (leader === leading) return;
    leading = leader;
    changed = true;
    // whoever led meanwhile has written down what it found
    schedule = createCheckSchedule(options.random);
    results = createCheckResults();
    heartbeats = createCheckHeartbeats(options.beat);
    steadyMs = clock.monotonicMs();
    keptMs = -Infinity;
  };
  const keep = (nowMs: number): void => {
    changed = false;
    keptMs = nowMs;
    const all = [...checkedIn(feed.view)];
    results.keep(all);
    schedule.keep(
      all.map(({ checked }) => checked),
      nowMs,
    );
    heartbeats.retain((member) => feed.view.member(member) !== undefined);
  };
  const look = (): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedMs > MOST_GAP_MS) steadyMs = nowMs;
    lookedMs = nowMs;
    follow();
    if (!leading) return;
    if (changed && nowMs - keptMs >= KEEP_EVERY_MS) keep(nowMs);
    failing.set(results.failing().length);
    for (const turn of schedule.begin(nowMs, MOST_AT_ONCE - underWay)) {
      ask(turn).catch((error: unknown) => logger.warn({ err: error, member: turn.checked.member }, 'check.failed'));
    }
    heartbeats.tell().catch((error: unknown) => logger.debug({ err: error }, 'check.beat_lost'));
  };

  const ticker = createTicker({
    name: 'checks',
    everyMs: LOOK_EVERY_MS,
    run: () => Promise.resolve(look()),
    clock,
    logger,
  });
  let unlisten: (() => void) | undefined;
  return {
    name: 'checks',
    async start(signal) {
      unlisten = feed.listen(() => (changed = true));
      lookedMs = clock.monotonicMs();
      await ticker.start(signal);
    },
    async stop() {
      unlisten?.();
      await ticker.stop();
    },
    status: () => ({ instances: leading ? schedule.size : 0, failing: leading ? results.failing() : [] }),
  };
}
