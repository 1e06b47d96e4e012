// How does another node of a shard become its primary? Planned: CLUSTER FAILOVER, for which the primary stops its writers until
// its replica has everything. Assisted: FORCE or TAKEOVER, where the primary is gone and the cluster does not mend it by itself.
import { ok, refuse, type Operation, type Result } from '@switchyard/protocol';
import {
  planShardSwitchover,
  planShardTakeover,
  type ClusterMember,
  type ClusterShard,
  type ShardWish,
} from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import { startLedger, type LedgerReport } from './cluster-ledger.ts';
import { probeKeys } from './cluster-probe.ts';
import { blocked, mostLagBytes, untilHolds, type BeginWork, type ClusterWorkContext } from './cluster-context.ts';
import type { OperationRun } from '../redis-operations.ts';

/** Redis itself gives up a planned failover after 5 s and lets the writers go on. */
const manualTimeoutMs = 5_000;
const settleMs = 15_000;
const recordMs = 15_000;
const commandMs = 6_000;
/** From the first sign to the vote of the last change. */
const voteMarginMs = 1_500;
const longestVoteWaitMs = 35_000;
/** So long the ledger writes before and after. */
const ledgerMs = 150;

interface Change {
  readonly shard: ClusterShard;
  readonly from: ClusterMember;
  readonly to: ClusterMember;
  readonly epochBefore: number;
}

/** Planned. Refused with the failed checks, before anything is done. */
export const shardSwitchover = async (
  context: ClusterWorkContext,
  wish: ShardWish,
  begin: BeginWork,
): Promise<Result<Operation>> => {
  const planned = planShardSwitchover(context.facts(), wish, mostLagBytes);
  if (!planned.ok) return planned;
  const { shard, from, to, blockers } = planned.value;
  if (shard === null || from === null || to === null) return refuse('conflict', 'no shard was found');
  if (blockers.length > 0) return blocked(`a switchover of ${shard.name}`, blockers);
  const subject = `${context.tools.definition.name}/${to.name}`;
  const steps = ['preflight', 'hand-over', 'agreement', 'old-primary', 'probe', 'journal'];
  return begin({ kind: 'switchover', subject, steps, nodes: [from, to] }, async (run) => {
    if (!(await votesAgain(context, shard, run)))
      return refuse('cancelled', 'it was cancelled before anything was done');
    // the gate was waited for: what was true then has to be true now
    const again = planShardSwitchover(context.facts(), { to: to.name }, mostLagBytes);
    if (!again.ok) return again;
    if (again.value.blockers.length > 0) return blocked(`a switchover of ${shard.name}`, again.value.blockers);
    run.step('preflight', 'done', `${String(again.value.checks.length)} checks`);
    return change(context, { shard, from, to, epochBefore: from.epoch }, { run, words: [] });
  });
};

/**
 * The other primaries vote about the same shard once in two cluster-node-timeouts only (cluster.c,
 * clusterSendFailoverAuthIfNeeded): asked sooner, a primary would hold its writers back for 5 s and then give up.
 */
const votesAgain = async (context: ClusterWorkContext, shard: ClusterShard, run: OperationRun): Promise<boolean> => {
  const { history, clock } = context.tools;
  const timeouts = context.facts().nodes.map(({ member }) => member.observation?.settings?.nodeTimeoutMs ?? 0);
  const last = history.list().find((entry) => entry.shard === shard.name);
  if (last === undefined) return true;
  const leftMs = last.startedAtMs + 2 * Math.max(...timeouts) + voteMarginMs - clock.unixMs();
  if (leftMs <= 0) return true;
  const waitMs = Math.min(leftMs, longestVoteWaitMs);
  run.step('preflight', 'running', `the primaries vote about ${shard.name} again in ${String(waitMs)} ms`);
  await clock.sleep(waitMs, run.signal).catch(() => undefined);
  return !run.signal.aborted;
};

/** Assisted. `confirm` has to name the group and the node: acknowledged writes may be lost. */
export const shardTakeover = async (
  context: ClusterWorkContext,
  asked: ShardWish & { readonly confirm?: string | undefined; readonly takeover?: boolean },
  begin: BeginWork,
): Promise<Result<Operation>> => {
  const { takeover = false, confirm } = asked;
  const planned = planShardTakeover(context.facts(), asked, takeover);
  if (!planned.ok) return planned;
  const { shard, from, to, blockers } = planned.value;
  if (shard === null || from === null || to === null) return refuse('conflict', 'no shard was found');
  if (blockers.length > 0) return blocked(`a failover of ${shard.name}`, blockers);
  const wanted = `${context.tools.definition.name}/${to.name}`;
  if (confirm !== wanted) {
    return refuse(
      'refused_for_safety',
      `${to.name} takes over from ${from.name} without asking it: what ${from.name} alone had is lost`,
      {
        next: `the same with "confirm": "${wanted}"`,
      },
    );
  }
  const steps = ['take-over', 'agreement', 'probe', 'journal'];
  return begin({ kind: 'failover', subject: wanted, steps, nodes: [from, to] }, async (run) =>
    change(context, { shard, from, to, epochBefore: from.epoch }, { run, words: [takeover ? 'TAKEOVER' : 'FORCE'] }),
  );
};

const change = async (
  context: ClusterWorkContext,
  what: Change,
  how: { readonly run: OperationRun; readonly words: readonly string[] },
): Promise<Result<Readonly<Record<string, unknown>>>> => {
  const { tools } = context;
  const { from, to } = what;
  const options = { deadlineMs: commandMs, name: 'switchyard-switchover' };
  const old = tools.connect(from, options);
  const heir = tools.connect(to, options);
  const writer = { from: tools.connect(from, options), to: tools.connect(to, options) };
  try {
    return await changeOver(context, what, { ...how, old, heir, writer });
  } finally {
    for (const one of [old, heir, writer.from, writer.to]) one.close();
  }
};

interface Hands {
  readonly run: OperationRun;
  readonly words: readonly string[];
  readonly old: RedisNodeAdmin;
  readonly heir: RedisNodeAdmin;
  readonly writer: { readonly from: RedisNodeAdmin; readonly to: RedisNodeAdmin };
}

const changeOver = async (
  context: ClusterWorkContext,
  { shard, from, to, epochBefore }: Change,
  { run, words, old, heir, writer }: Hands,
): Promise<Result<Readonly<Record<string, unknown>>>> => {
  const { tools } = context;
  const { clock } = tools;
  const planned = words.length === 0;
  const first = planned ? 'hand-over' : 'take-over';
  const key = probeKeys()(shard);
  const ledger = key === null ? null : startLedger({ ...writer, key: `${key}:switchover`, clock });
  const isPrimary = async (): Promise<boolean> => {
    const role = await heir.role().catch(() => null);
    return Array.isArray(role) && role[0] === 'master';
  };
  await clock.sleep(ledgerMs);
  run.step(first, 'running', `CLUSTER FAILOVER ${words.join('')} on ${to.name}`.replace('  ', ' '));
  run.progress(20);
  run.commit();
  const askedAtMs = clock.monotonicMs();
  try {
    await heir.call('CLUSTER', 'FAILOVER', ...words);
  } catch (error) {
    await ledger?.end(old);
    run.step(first, 'failed');
    return refuse('conflict', `${to.name} did not begin: ${(error as Error).message}`, {
      next: 'nothing was changed; look at its log',
    });
  }
  const isDone = await untilHolds(context, isPrimary, { timeoutMs: manualTimeoutMs + 1_500, everyMs: 5 });
  const tookMs = Math.round(clock.monotonicMs() - askedAtMs);
  tools.wake();
  if (!isDone) {
    await ledger?.end(old);
    run.step(first, 'failed', `not within ${String(tookMs)} ms`);
    return refuse('timed_out', `${to.name} has not become primary of ${shard.name} within ${String(tookMs)} ms`, {
      next: `Redis gave it up by itself and ${from.name} serves on; look at the lag of ${to.name}, then try again`,
    });
  }
  run.step(first, 'done', `${to.name} is primary ${String(tookMs)} ms later`);
  run.progress(50);
  await clock.sleep(ledgerMs);
  const report = (await ledger?.end(heir)) ?? null;

  run.step('agreement', 'running');
  const epochOf = (): number => context.facts().shards.find(({ primary }) => primary.id === to.id)?.primary.epoch ?? 0;
  const isAgreed = await untilHolds(
    context,
    () => epochOf() > epochBefore && context.facts().topology.dissenting.length === 0,
    { timeoutMs: settleMs },
  );
  const epoch = epochOf();
  run.step(
    'agreement',
    isAgreed ? 'done' : 'failed',
    isAgreed ? `config epoch ${String(epoch)}` : 'some nodes do not agree yet',
  );
  run.progress(70);
  const follows = (): boolean => {
    const seen = context.facts().topology.members.find(({ id }) => id === from.id);
    return seen?.follows === to.id && seen.observation?.info?.link === 'up';
  };
  if (planned) {
    run.step('old-primary', 'running');
    const isBack = await untilHolds(context, follows, { timeoutMs: settleMs });
    run.step('old-primary', isBack ? 'done' : 'failed', `${from.name} ${isBack ? 'follows' : 'does not follow yet'}`);
  }
  const wrote = report !== null && report.acknowledged > 0;
  run.step('probe', report?.lost === 0 ? 'done' : 'failed', told(report));
  run.progress(90);
  const recorded = await recordIn(context, { epoch, operation: run.id, report });
  run.step('journal', recorded === null ? 'failed' : 'done', recorded ?? 'the history does not show it yet');
  const result = {
    group: tools.definition.name,
    shard: shard.name,
    from: from.name,
    to: to.name,
    epoch,
    tookMs,
    failover: recorded,
  };
  const writes = {
    gapMs: report?.longestGapMs ?? null,
    acknowledgedWrites: report?.acknowledged ?? 0,
    lostWrites: report?.lost ?? null,
  };
  if (planned && wrote && report.lost !== 0) {
    return refuse(
      'conflict',
      `${to.name} is primary of ${shard.name}, but ${String(report.lost ?? 'unknown')} acknowledged probe writes are not there`,
      {
        why: [told(report)],
        next: 'compare the nodes: POST /v1/redis/groups/{group}/check',
      },
    );
  }
  return ok({ ...result, ...writes, oldPrimaryFollows: follows() });
};

const told = (report: LedgerReport | null): string =>
  report === null
    ? 'no key was found for a probe'
    : `${String(report.acknowledged)} probe writes acknowledged, ${String(report.lost ?? 'unknown')} lost, longest gap ${String(report.longestGapMs)} ms`;

/** The entry of the follower gets what the operation knows; its id, or null when it does not come. */
const recordIn = async (
  context: ClusterWorkContext,
  {
    epoch,
    operation,
    report,
  }: { readonly epoch: number; readonly operation: string; readonly report: LedgerReport | null },
): Promise<string | null> => {
  const { history } = context.tools;
  const entryOf = () => history.list().find((entry) => entry.epoch === epoch);
  await untilHolds(context, () => entryOf() !== undefined, { timeoutMs: recordMs, everyMs: 50 });
  const entry = entryOf();
  if (entry === undefined) return null;
  // whether the data is the same everywhere is found out afterwards
  history.amend(entry.id, { operation, notes: [told(report)] });
  return entry.id;
};
