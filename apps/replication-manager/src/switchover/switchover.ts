// Who carries planned switchovers of a group out? Preflight, the gate, the drive, its journal; after a restart what was under
// way is taken back or finished, what is scheduled is kept.
import { join } from 'node:path';
import { ok, refuse, type Operation, type Refusal, type Result } from '@switchyard/protocol';
import {
  beginSwitchover,
  planSwitchover,
  preflight,
  sameAddress,
  switchoverWaits,
  type Endpoint,
  type Findings,
  type Preflight,
  type PreflightFacts,
  type SavedSetting,
  type SwitchoverState,
  type SwitchoverWait,
} from '@switchyard/replication';
import type { GroupLook, GroupPart, GroupTools } from '../group-part.ts';
import type { HeldGate } from './operation-gate.ts';
import { stoppingReason, type OperationRun } from '../redis-operations.ts';
import { driveSwitchover, resultOf } from './switchover-drive.ts';
import { createLeftovers } from './switchover-leftovers.ts';
import { createSwitchoverJournal, type ScheduledSwitchover } from './switchover-journal.ts';
import { mostLateMs } from './switchover-schedule.ts';
import { surveyGroup } from './switchover-survey.ts';

/** What may be set; for tests only. */
export interface SwitchoverSettings {
  /** The process kills itself when this step begins (`promoted`), or when its commands were sent (`promoted:sent`). */
  readonly testKillAt: string;
}

/** What the preflight found, with what it looked at. */
export interface SwitchoverSurvey {
  readonly facts: PreflightFacts;
  readonly found: Preflight;
}

/** Switchovers of one group. */
export interface Switchover {
  readonly part: GroupPart;
  /** Looks and changes nothing. */
  survey(to: string | null): Promise<SwitchoverSurvey>;
  /** Begins now, or at `atUnixMs`. Refuses with every failed check. */
  begin(request: { readonly to: string | null; readonly atUnixMs: number | null }): Promise<Result<Operation>>;
}

/** What it works with. */
export interface SwitchoverOptions {
  readonly tools: GroupTools;
  readonly settings: SwitchoverSettings;
  /** Why scheduled and requested work has to wait; null = it has not. */
  readonly maintenance: () => string | null;
  /** When the data of the nodes was compared last, ISO; null = never. */
  readonly comparedAt?: () => string | null;
  readonly maxLagBytes?: number;
}

const usualMaxLagBytes = 16 * 1_048_576;
const amendPatienceMs = 60_000;

/** The switchovers of a group; `part.start` takes up what an earlier process left. */
export const createSwitchover = (options: SwitchoverOptions): Switchover => {
  const { tools, settings, maintenance, maxLagBytes, comparedAt = (): null => null } = options;
  const { definition, gate, operations, clock, logger, observer, history } = tools;
  const group = definition.name;
  const journal = createSwitchoverJournal(join(tools.stateDir, 'switchovers.jsonl'), logger);
  const leftovers = createLeftovers(tools, (id) => journal.append({ type: 'restored', id }));
  let last: GroupLook | null = null;
  let running: SwitchoverState | null = null;
  let amendment: { readonly heir: Endpoint; readonly operation: string; readonly sinceMs: number } | null = null;
  const waiting = new Map<string, ScheduledSwitchover>();
  const keptForLater = new Set<string>();

  const survey = async (to: string | null, ours: string | null = null): Promise<SwitchoverSurvey> => {
    const underWay = gate.current();
    const since = history.list()[0]?.startedAtMs ?? null;
    const compared = comparedAt();
    const facts = await surveyGroup(tools, {
      to,
      primary: last?.view.primary ?? null,
      named: last?.verdict.named ?? null,
      epoch: last?.verdict.epoch ?? null,
      quorumOk: last?.verdict.quorum.ok ?? false,
      underWay: underWay === ours ? null : underWay,
      maintenance: maintenance(),
      flapping: last?.view.problems.find(({ code }) => code === 'flapping')?.detail ?? null,
      failoverUnderWay: (last?.follower.attempt ?? null) !== null && last?.follower.attempt?.progressAtMs !== null,
      lastFailoverAgoMs: since === null ? null : Math.max(0, clock.unixMs() - since),
      digestAgoMs: compared === null ? null : Math.max(0, clock.unixMs() - Date.parse(compared)),
      maxLagBytes: maxLagBytes ?? usualMaxLagBytes,
    });
    return { facts, found: preflight(facts) };
  };

  const hook = (waitsFor: SwitchoverWait, suffix: '' | ':sent'): void => {
    if (settings.testKillAt === `${waitsFor}${suffix}`) process.kill(process.pid, 'SIGKILL');
  };

  /** Drives to the end; from here on what happens is in the journal. */
  const carryOut = async (
    run: OperationRun,
    state: SwitchoverState,
    more: { readonly sentinels: readonly Endpoint[]; readonly resumed: boolean },
  ): Promise<Result<Readonly<Record<string, unknown>>>> => {
    running = state;
    const ended = await driveSwitchover({
      tools,
      state,
      ...more,
      run,
      journal,
      onWait: (waitsFor) => hook(waitsFor, ''),
      onSent: (waitsFor) => hook(waitsFor, ':sent'),
    }).finally(() => {
      running = null;
      tools.wake();
    });
    const { heir } = ended;
    if (heir !== null) amendment = { heir, operation: run.id, sinceMs: clock.monotonicMs() };
    leftovers.add(run.id, ended.left);
    const result = resultOf(ended);
    logger.info(
      {
        group,
        operation: run.id,
        outcome: ended.outcome,
        from: ended.plan.from.name,
        heir: heir?.name ?? null,
        notes: ended.notes,
      },
      'switchover.ended',
    );
    leftById.set(run.id, ended.left);
    return result;
  };
  const leftById = new Map<string, readonly SavedSetting[]>();

  /** Writes down how it ended, once the document says so, and lets others work. */
  const follow = (operation: Operation, held: HeldGate | null): void => {
    const finish = async (): Promise<void> => {
      const document = await operations.ended(operation.id, longestWaitMs);
      held?.release();
      if (document === undefined || document.finishedAt === null || keptForLater.has(operation.id)) return;
      const left = leftById.get(operation.id) ?? [];
      leftById.delete(operation.id);
      await journal.append({ type: 'ended', operation: document, group, left }, true);
    };
    void finish().catch((error: unknown) =>
      logger.error({ operation: operation.id, err: error }, 'switchover.journal_failed'),
    );
  };

  const steps = ['preflight', ...switchoverWaits];

  /** The preflight under the gate, then the drive. */
  const work = async (
    run: OperationRun,
    surveyed: SwitchoverSurvey,
  ): Promise<Result<Readonly<Record<string, unknown>>>> => {
    const { facts, found } = surveyed;
    const plan = planSwitchover(run.id, facts, found);
    if (plan === null) return refusalOf(group, found);
    run.step(
      'preflight',
      'done',
      `${plan.to.name}: ${found.because}; writes held for about ${String(found.predictedGapMs)} ms`,
    );
    const sentinels = facts.sentinels.map(({ name, host, port }) => ({ name, host, port }));
    return carryOut(run, beginSwitchover(plan, clock.monotonicMs()), { sentinels, resumed: false });
  };

  const now = async (to: string | null): Promise<Result<Operation>> => {
    const held = await gate.begin(`a switchover of ${group}`);
    if (!held.ok) return held;
    held.value.holds('all');
    let begun: Result<Operation>;
    try {
      await leftovers.settle();
      const surveyed = await survey(to, held.value.operation);
      const refusal = refusalOf(group, surveyed.found, leftovers.list());
      begun = refusal.ok
        ? operations.begin({ kind: 'switchover', subject: group, steps, work: async (run) => work(run, surveyed) })
        : refusal;
    } catch (error) {
      held.value.release();
      throw error;
    }
    if (begun.ok) follow(begun.value, held.value);
    else held.value.release();
    return begun;
  };

  const scheduled = (request: Omit<ScheduledSwitchover, 'id'> & { readonly id?: string }): Result<Operation> => {
    const { to, atUnixMs } = request;
    const begun = operations.begin({
      kind: 'switchover',
      subject: group,
      ...(request.id === undefined ? {} : { id: request.id }),
      steps: ['due', ...steps],
      work: async (run) => {
        waiting.set(run.id, { id: run.id, to, atUnixMs });
        run.step('due', 'running', `at ${new Date(atUnixMs).toISOString()}`);
        try {
          await sleepUntil(atUnixMs, run.signal);
        } catch {
          // The manager that stops keeps it; somebody who cancels it does not want it any more.
          if (isStopping(run.signal)) keptForLater.add(run.id);
          return refuse('cancelled', `the switchover of ${group} was cancelled before its time`);
        } finally {
          waiting.delete(run.id);
        }
        const lateMs = clock.unixMs() - atUnixMs;
        if (lateMs > mostLateMs) return missed(group, lateMs);
        run.step('due', 'done');
        const held = await gate.begin(`a switchover of ${group}`);
        if (!held.ok) return held;
        held.value.holds('all');
        try {
          await leftovers.settle();
          return await work(run, await survey(to, held.value.operation));
        } finally {
          held.value.release();
        }
      },
    });
    if (begun.ok) follow(begun.value, null);
    return begun;
  };

  /** By the wall clock: a machine that slept is late, not early. */
  const sleepUntil = async (atUnixMs: number, signal: AbortSignal): Promise<void> => {
    for (let leftMs = atUnixMs - clock.unixMs(); leftMs > 0; leftMs = atUnixMs - clock.unixMs()) {
      await clock.sleep(Math.min(leftMs, 1_000), signal);
    }
  };

  const takeUp = async (state: SwitchoverState, sentinels: readonly Endpoint[]): Promise<void> => {
    const { id } = state.plan;
    // It holds whatever others say: each of its steps compares before it acts, and it only mends or finishes.
    const held = await gate.begin(`a switchover of ${group}`, { takeOver: true });
    if (held.ok) held.value.holds('all');
    const begun = operations.begin({
      kind: 'switchover',
      subject: group,
      id,
      steps,
      work: async (run) => carryOut(run, state, { sentinels, resumed: true }),
    });
    if (begun.ok) follow(begun.value, held.ok ? held.value : null);
    else if (held.ok) held.value.release();
    logger.warn({ group, operation: id, at: state.waitsFor }, 'switchover.resumed');
  };

  const amend = (nowMs: number): void => {
    if (amendment === null) return;
    const { heir, operation, sinceMs } = amendment;
    const entry = history.list().find((one) => sameAddress(one.to, heir));
    if (entry !== undefined && entry.startedAtMs > clock.unixMs() - 2 * amendPatienceMs) {
      history.amend(entry.id, { operation });
      amendment = null;
    } else if (nowMs - sinceMs > amendPatienceMs) amendment = null;
  };

  const part: GroupPart = {
    name: 'switchover',
    async start() {
      try {
        const memory = await journal.open();
        for (const operation of memory.ended) operations.adopt(operation);
        // The journal keeps them with the last one that ended.
        leftovers.add(memory.ended.at(-1)?.id ?? 'earlier', memory.left);
        for (const request of memory.scheduled) scheduled(request);
        if (memory.underWay !== null) await takeUp(memory.underWay.state, memory.underWay.sentinels);
      } catch (error) {
        logger.error({ group, err: error }, 'switchover.journal_unusable');
      }
    },
    async stop() {
      leftovers.stop();
      await journal.close();
    },
    look(look) {
      last = look;
      amend(look.nowMs);
    },
    findings: (): Findings => ({
      problems: [
        ...[...waiting.values()].map(({ id, to, atUnixMs }) => ({
          code: 'switchover_scheduled',
          detail: `a switchover to ${to ?? 'the best replica'} is scheduled for ${new Date(atUnixMs).toISOString()}`,
          next: `cancel it: DELETE /v1/operations/${id}`,
          advice: true,
        })),
        ...(running === null
          ? []
          : [
              {
                code: 'switchover_under_way',
                detail: `${running.plan.to.name} is taking over from ${running.plan.from.name}`,
                next: `GET /v1/operations/${running.plan.id}`,
                advice: true,
              },
            ]),
        ...leftovers.findings(),
      ],
      nodes: [],
    }),
  };

  return {
    part,
    survey: async (to) => survey(to),
    begin: async ({ to, atUnixMs }) => {
      if (!tools.manages) return onlyObserved(group);
      if (observer.observe().kind === 'cluster') return ofCluster(group);
      if (atUnixMs === null) return now(to);
      const begun = scheduled({ to, atUnixMs });
      if (begun.ok) {
        await journal.append({ type: 'scheduled', request: { id: begun.value.id, to, atUnixMs } }, true);
      }
      return begun;
    },
  };
};

const longestWaitMs = 2_147_000_000;

const isStopping = ({ reason }: AbortSignal): boolean => reason instanceof Error && reason.message === stoppingReason;

const onlyObserved = (group: string): { readonly ok: false; readonly error: Refusal } =>
  refuse('refused_for_safety', `the group ${group} is only observed: nothing is changed there`, {
    next: `PUT /v1/redis/groups/${group} with "manage": "manage"`,
  });

const ofCluster = (group: string): { readonly ok: false; readonly error: Refusal } =>
  refuse('refused_for_safety', `${group} is a Redis Cluster: there a shard is switched over`, {
    next: 'name the shard: GET /v1/redis/groups/{group} lists them',
  });

const missed = (group: string, lateMs: number): { readonly ok: false; readonly error: Refusal } =>
  refuse(
    'timed_out',
    `the switchover of ${group} was missed by ${String(Math.round(lateMs / 1_000))} s: no manager was running`,
    {
      next: 'schedule it again if it is still wanted',
    },
  );

/** Every failed check as a line, or that there is none. */
const refusalOf = (
  group: string,
  { blockers, target }: Preflight,
  left: readonly SavedSetting[] = [],
): Result<Readonly<Record<string, unknown>>> => {
  const isUnknown = target === null && blockers.some(({ detail }) => detail.startsWith('there is no node'));
  const unsettled = left.map(({ at, name }) => `settings_restored: ${name} of ${at.name} is still to be put back`);
  if (blockers.length === 0 && unsettled.length === 0) return ok({});
  const first = blockers.find(({ code }) => code === 'target_exists') ?? blockers[0];
  return refuse(
    isUnknown ? 'not_found' : 'refused_for_safety',
    `${group} is not switched over: ${first?.detail ?? unsettled[0] ?? ''}`,
    {
      why: [
        ...blockers.map(({ code, detail, next }) => `${code}: ${detail}${next === '' ? '' : ` (${next})`}`),
        ...unsettled,
      ],
      next: first?.next ?? 'wait a moment: it is tried again every second',
    },
  );
};
