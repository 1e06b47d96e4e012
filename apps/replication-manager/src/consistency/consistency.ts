// Is the data the same everywhere? The part of a group that compares it on request, after each failover, and slowly in the
// background; that remembers what was found, and says it in the view until a later check finds otherwise.
import type {
  Operation,
  RedisCheck,
  RedisCheckInput,
  RedisCheckSummary,
  RedisGroupView,
  Result,
} from '@switchyard/protocol';
import { ok, refuse } from '@switchyard/protocol';
import { noFindings, type Findings } from '@switchyard/replication';
import { openDigestReader } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import { runCheck, type CheckRequest } from './consistency-check.ts';
import { consistencyFindings } from './consistency-findings.ts';
import { createConsistencyMetrics } from './consistency-metrics.ts';
import type { GroupPart, GroupTools } from '../group-part.ts';
import type { OperationRun } from '../redis-operations.ts';

/** What may be set. */
export interface ConsistencySettings {
  /** How often the data is compared in the background; 0: never. */
  readonly checkEveryMs: number;
  /** Share of the time in which the background check reads from a node. */
  readonly checkDutyPercent: number;
}

/** What a check is asked for. */
export interface CheckOptions {
  readonly input: RedisCheckInput;
  readonly cause: string;
  readonly deadlineMs: number;
  readonly sampling?: CheckRequest['sampling'];
}

/** Checks of one group. */
export interface Consistency {
  readonly part: GroupPart;
  /** Begins a check. Refuses with `conflict` while one is under way, `no_primary` when there is nobody to compare with. */
  begin(options: CheckOptions): Result<Operation>;
  /** The same as a step of other work, which has its own document. */
  check(options: CheckOptions, run: Pick<OperationRun, 'signal' | 'progress'>): Promise<Result<RedisCheck>>;
  /** Newest first. */
  list(): readonly RedisCheck[];
  last(): RedisCheckSummary | null;
}

const mostKept = 20;
/** The rest is left to those whom the nodes are there for. */
const usualDutyPercent = 75;
/** A background check at full length; what takes longer says so and stops. */
const longestBackgroundMs = 6 * 3_600_000;
/** After it was found that data differs it is looked at again so soon: somebody may have mended it. */
const doubtEveryMs = 600_000;
/** Until the group has been calm for so long no background check begins. */
const calmMs = 30_000;

/** The consistency of a group; `view` is asked when a check begins. */
export const createConsistency = (
  tools: GroupTools,
  settings: ConsistencySettings,
  view: () => RedisGroupView,
): Consistency => {
  const { clock, logger, definition } = tools;
  const group = definition.name;
  const { username, password, tls } = definition.settings;
  const access = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
  const metrics = createConsistencyMetrics(tools.metrics, group);
  const kept: RedisCheck[] = [];
  let busy: string | null = null;
  let comparedMs: number | null = null;
  let attemptedMs = clock.monotonicMs();
  let calmSinceMs: number | null = null;
  let findings: Findings = noFindings;

  const keep = (check: RedisCheck): void => {
    const before = kept[0]?.verdict;
    kept.unshift(check);
    kept.splice(mostKept);
    if (check.nodes.some(({ digest, verdict }) => digest !== null || verdict === 'different')) {
      comparedMs = clock.monotonicMs();
    }
    findings = consistencyFindings(kept, view());
    metrics.checked(check);
    const { verdict, cause, tookMs, callsP99Ms } = check;
    const nodes = check.nodes.map(({ node, verdict: of, detail }) => `${node}: ${of}, ${detail}`);
    if (verdict === 'different') logger.error({ group, cause, nodes, tookMs }, 'redis.data_differs');
    else if (verdict !== before)
      logger.info({ group, verdict, cause, nodes, tookMs, callsP99Ms }, 'redis.data_checked');
  };

  const check: Consistency['check'] = async (options, run) => {
    const { input, cause, deadlineMs, sampling } = options;
    if (busy !== null) return refuse('conflict', `the data of ${group} is being compared already: ${busy}`);
    busy = cause;
    const deadline = AbortSignal.timeout(deadlineMs);
    const signal = AbortSignal.any([run.signal, deadline]);
    try {
      const seen = view();
      if (seen.primary === null && seen.shards === undefined) {
        return refuse('no_primary', `${group} has no primary to compare the others with`);
      }
      const found = await runCheck(
        {
          view: seen,
          input,
          cause,
          signal,
          ...(sampling === undefined ? {} : { sampling }),
          onProgress: (percent) => run.progress(percent),
        },
        {
          group,
          clock,
          connect: (at) => tools.connect(at, { deadlineMs: 2_000, name: 'switchyard-check' }),
          open: (at, until) =>
            openDigestReader(
              { ...at, access, cluster: definition.settings.kind === 'cluster', logger, clock },
              {
                signal: until,
                dutyPercent: input.dutyPercent ?? usualDutyPercent,
                ...(input.bytesPerSecond === undefined ? {} : { bytesPerSecond: input.bytesPerSecond }),
              },
            ),
        },
      );
      if (primariesOf(seen) !== primariesOf(view())) {
        return refuse('conflict', `the primary changed from ${primariesOf(seen)} while the data was compared`, {
          next: 'ask again',
        });
      }
      keep(found);
      return ok(found);
    } catch (error) {
      if (deadline.aborted)
        return refuse('timed_out', `the data was not compared within ${String(deadlineMs / 1_000)} s`);
      if (run.signal.aborted) return refuse('cancelled', 'the check was cancelled');
      throw error;
    } finally {
      busy = null;
    }
  };

  const begin = (options: CheckOptions): Result<Operation> => {
    if (busy !== null) return refuse('conflict', `the data of ${group} is being compared already: ${busy}`);
    return tools.operations.begin({
      kind: 'check',
      subject: group,
      steps: ['compare'],
      async work(run) {
        run.step('compare', 'running', options.cause);
        const found = await check(options, run);
        if (!found.ok) {
          run.step('compare', 'failed', found.error.detail);
          return found;
        }
        run.step('compare', 'done', found.value.verdict);
        return ok({ ...found.value });
      },
    });
  };

  const isDue = (nowMs: number): boolean => {
    if (settings.checkEveryMs === 0 || busy !== null || tools.gate.current() !== null) return false;
    const everyMs =
      kept[0]?.verdict === 'different' ? Math.min(doubtEveryMs, settings.checkEveryMs) : settings.checkEveryMs;
    const lastMs = Math.max(comparedMs ?? attemptedMs, attemptedMs);
    const isCalm = calmSinceMs !== null && nowMs - calmSinceMs >= Math.min(calmMs, settings.checkEveryMs);
    return isCalm && nowMs - lastMs >= everyMs;
  };

  // On its own, not with the looks: of a cluster there are none.
  const ticker = createTicker({
    name: `redis-consistency-${group}`,
    everyMs: 1_000,
    run: async () => {
      const nowMs = clock.monotonicMs();
      const { nodes, shards, primary } = view();
      metrics.age(comparedMs === null ? null : nowMs - comparedMs);
      const calm =
        (primary !== null || shards?.every(({ state }) => state !== 'down') === true) &&
        nodes.every(({ state }) => state === 'ok' || state === 'diverged');
      if (!calm) calmSinceMs = null;
      calmSinceMs ??= calm ? nowMs : null;
      if (!isDue(nowMs)) return;
      // Also when it fails: the next one is as far away as ever.
      attemptedMs = nowMs;
      const input = { digest: true, dutyPercent: settings.checkDutyPercent };
      begin({ input, cause: 'background', deadlineMs: longestBackgroundMs });
    },
    clock,
    logger,
  });

  return {
    part: {
      name: 'consistency',
      start: (signal) => ticker.start(signal),
      async stop() {
        await ticker.stop();
        metrics.forget();
      },
      findings: () => findings,
    },
    begin,
    check,
    list: () => kept,
    last: () => {
      const [newest] = kept;
      if (newest === undefined) return null;
      const { at, verdict, nodes } = newest;
      return { at, verdict, nodes: nodes.map(({ node, verdict: of }) => ({ node, verdict: of })) };
    },
  };
};

/** Names of all primaries: one, or one of each shard. */
const primariesOf = ({ primary, shards }: RedisGroupView): string =>
  shards === undefined ? (primary?.name ?? 'none') : shards.map((shard) => shard.primary.name).join(', ');
