// What happens in the group? Looks, probes, follows failovers, and keeps the view that the API serves.
import type { RedisGroupView } from '@switchyard/protocol';
import {
  defaultLimits,
  describeGroup,
  endpointOf,
  followerState,
  inTransition,
  noFindings,
  parseSentinelEvent,
  primaryVerdict,
  sightingOf,
  step,
  waitsFor,
  withFindings,
  type FollowerInput,
  type FollowerState,
} from '@switchyard/replication';
import type { SentinelMessage } from '@switchyard/redis';
import { createTicker, type Clock, type Component, type Health, type Logger } from '@switchyard/runtime';
import type { GroupMetrics } from './group-metrics.ts';
import type { GroupDefinition, GroupPart, GroupTools } from './group-part.ts';
import type { History } from './history.ts';
import { createWriteProbe } from './write-probe.ts';

/** One group under watch. */
export interface GroupWatch extends Component {
  readonly name: string;
  /** By the latest answers. */
  view(): RedisGroupView;
  /** For the observer: a message of a Sentinel. */
  hear(message: SentinelMessage): void;
  /** For the observer: somebody stopped answering, or answers again. */
  turn(): void;
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

/** What the watch works with. */
export interface GroupWatchOptions {
  readonly definition: GroupDefinition;
  readonly tools: Pick<GroupTools, 'observer' | 'connect'>;
  readonly history: History;
  readonly parts: readonly GroupPart[];
  readonly metrics: GroupMetrics;
  readonly health: Health;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** While a failover is under way. */
const transitionPollMs = 50;
/** What several Sentinels say alike is noise, but who saw the primary down or agreed to the switch is evidence. */
const tellingAgain = /^[+-](sdown|odown)$|^\+switch-master$/;

/** A watch; it looks once when it starts, then every `pollMs`. */
export const createGroupWatch = (options: GroupWatchOptions): GroupWatch => {
  const { definition, tools, history, parts, metrics, health, pollMs, clock, logger } = options;
  const { observer } = tools;
  const group = definition.name;
  let state: FollowerState = followerState(group);
  let lookedAtMs = -Infinity;
  let said = '';
  let waited: string | null = null;

  const feed = (input: FollowerInput): void => {
    const nowMs = clock.monotonicMs();
    const result = step(state, input, nowMs);
    state = result.state;
    const waits = waitsFor(state);
    if (waits !== waited) logger.info({ group, waitsFor: waits }, 'redis.failover_phase');
    waited = waits;
    if (state.known !== null) history.remember(state.known);
    if (result.finished === undefined) return;
    // The follower counts on the monotonic clock; people want the wall clock.
    const startedAtMs = Math.round(clock.unixMs() - (nowMs - result.finished.startedAtMs));
    const entry = { ...result.finished, startedAtMs };
    metrics.failover();
    logger.warn(
      { group, failover: entry.id, kind: entry.kind, from: entry.from?.name, to: entry.to.name, cause: entry.cause },
      'redis.failover',
    );
    const recorded = history.record(entry);
    if (recorded !== null) for (const part of parts) part.finished?.(recorded);
  };

  const viewNow = (): RedisGroupView => {
    const facts = describeGroup(observer.observe(), {
      nowMs: clock.monotonicMs(),
      promoting: state.attempt?.selected ?? null,
    });
    const view = withFindings(
      facts,
      parts.map((part) => part.findings?.() ?? noFindings),
    );
    const { manage, policy } = definition.input;
    return { ...view, manage, policy, observedAt: new Date(clock.unixMs()).toISOString() };
  };

  const probe = createWriteProbe({
    connect: (at) => tools.connect(at, { name: 'switchyard-probe' }),
    onOutcome(outcome) {
      metrics.probe(outcome.outcome === 'acked', clock.monotonicMs());
      feed({ type: 'probe', ...outcome });
    },
  });

  const look = (): void => {
    const observation = observer.observe();
    const nowMs = clock.monotonicMs();
    feed({ type: 'sighting', sighting: sightingOf(observation, nowMs) });
    const view = viewNow();
    metrics.view(view);
    const detail = [view.state, ...view.problems.map((problem) => problem.detail)].join('; ').slice(0, 500);
    health.set(`redis group ${group}`, { ok: view.state !== 'down', critical: false, detail });
    const codes = `${view.state} ${view.primary?.name ?? 'none'} ${[...new Set(view.problems.map(({ code }) => code))].join()}`;
    if (codes !== said) {
      const { primary, problems } = view;
      logger.info({ group, state: view.state, primary: primary?.name ?? null, problems }, 'redis.group_changed');
    }
    said = codes;
    // Also while it does not answer: the first failure and the first success are what counts.
    const verdict = primaryVerdict(observation, nowMs, defaultLimits);
    // A promoted node takes writes before it is named.
    const target = view.primary ?? (verdict.named && endpointOf(observation.nodes, verdict.named));
    // To observe is to change nothing: no key of ours in somebody else's data.
    if (target !== null && definition.input.manage === 'manage') probe.fire(target);
    for (const part of parts) part.look?.({ observation, verdict, view, follower: state, nowMs });
  };

  const ticker = createTicker({
    name: `redis-group-${group}`,
    everyMs: transitionPollMs,
    run: async () => {
      const nowMs = clock.monotonicMs();
      if (!inTransition(state, nowMs) && nowMs - lookedAtMs < pollMs - transitionPollMs / 2) return;
      lookedAtMs = nowMs;
      look();
      observer.poll();
    },
    clock,
    logger,
  });

  return {
    name: group,
    view: viewNow,
    hear({ sentinel, channel, message, first }) {
      const event = parseSentinelEvent(channel, message);
      if (first || tellingAgain.test(channel)) feed({ type: 'event', sentinel, event });
      for (const part of parts) part.hear?.({ sentinel, event, first });
    },
    turn() {
      lookedAtMs = -Infinity;
      ticker.wake();
    },
    async start(signal) {
      state = followerState(group, history.known());
      observer.start();
      observer.poll();
      await ticker.start(signal);
    },
    async stop() {
      await ticker.stop();
      probe.close();
      observer.close();
    },
  };
};
