// How does a request for a rollback go from its first question to its result? Prepared, refused or carried through, and told.
import { ok, refuse, type Refusal, type RollbackRequest } from '@switchyard/protocol';
import type { RollbackCheck } from '@switchyard/backup';
import type { DirectOutcome, DirectWorkTools } from '../operations/operation-runner.ts';
import { createGroupContacts } from './group-contacts.ts';
import { prepareRollback, type PreparedRollback } from './prepare-rollback.ts';
import { carryThrough, newRecord, type CourseEnd } from './rollback-course.ts';
import type { RollbackRecord } from './rollback-journal.ts';
import { rollbackPlanOf } from './rollback-plan-of.ts';
import { surveyForRollback } from './rollback-survey.ts';
import type { RollbackTools } from './rollback-tools.ts';

const extraLeaseMs = 60_000;
/** A repository that hangs must not keep the managers and the lease waiting. */
const endDeadlineMs = 10_000;

/** Carries a request out, or says what it would do. */
export async function runRollback(
  tools: RollbackTools,
  request: RollbackRequest,
  work: DirectWorkTools,
): Promise<DirectOutcome> {
  const contacts = createGroupContacts(tools.settings);
  let prepared: PreparedRollback | null = null;
  let isHandedOn = false;
  try {
    const found = await prepareRollback(tools, contacts, { request, work });
    if (!found.ok) return found;
    prepared = found.value;
    const facts = factsOf(prepared, request);
    if (request.dryRun) return ok({ ...facts, state: 'planned', allowed: prepared.preflight.allowed });
    if (!prepared.preflight.allowed)
      return {
        ok: false,
        error: notAllowed(tools.group, prepared.preflight.checks),
        result: { ...facts, state: 'refused' },
      };
    work.signal.throwIfAborted();
    const plan = rollbackPlanOf(prepared, { id: work.id, group: tools.group });
    if (!plan.ok) return plan;
    const { loadMs } = plan.value.limits;
    const held = await tools.lease.take(work.id, loadMs + extraLeaseMs);
    if (held !== null) return busy(held);
    const announced = await tools.managers.announce(`rollback ${work.id}`, 2 * loadMs + extraLeaseMs);
    if (announced.refused !== null) {
      await tools.managers.end(announced.told);
      await tools.lease.give();
      return busy(announced.refused);
    }
    const { point, target, diff, warnings, survey } = prepared;
    const { marked, keys } = target;
    const record = newRecord(
      { request, point, marked, keys, diff, warnings, managers: announced.told, plan: plan.value },
      tools,
    );
    isHandedOn = true;
    const end = await carryThrough(tools, {
      record,
      resumed: false,
      prepared: target,
      credentials: survey.credentials,
      work,
    });
    return await finish(tools, end);
  } finally {
    contacts.close();
    if (!isHandedOn) await prepared?.target.materialised.close();
  }
}

/** Carries on what another process began. */
export async function resumeRollback(
  tools: RollbackTools,
  record: RollbackRecord,
  work: DirectWorkTools,
): Promise<DirectOutcome> {
  const contacts = createGroupContacts(tools.settings);
  const { credentials } = await surveyForRollback(contacts, tools.settings)
    .catch(() => ({ credentials: groupCredentials(tools) }))
    .finally(() => contacts.close());
  return finish(tools, await carryThrough(tools, { record, resumed: true, prepared: null, credentials, work }));
}

function groupCredentials({ settings: { username, password } }: RollbackTools): {
  username?: string;
  password?: string;
} {
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) };
}

/** Writes the end down and tells it; nothing of that can change how it ended. */
async function finish(tools: RollbackTools, end: CourseEnd): Promise<DirectOutcome> {
  const { logger, journal, managers, lease } = tools;
  const result = resultOf(end);
  const record = { ...end.record, result, writtenAtMs: tools.clock.unixMs() };
  await journal.write(record, AbortSignal.timeout(endDeadlineMs)).catch((error: unknown) => {
    logger.error({ operation: record.id, err: error }, 'rollback.end_not_written');
  });
  await managers.end(record.managers);
  await lease.give();
  await tools.onEnd?.({ record, safetyPoint: record.safetyPoint }).catch((error: unknown) => {
    logger.warn({ operation: record.id, err: error }, 'rollback.not_announced');
  });
  await journal.prune(AbortSignal.timeout(endDeadlineMs)).catch(() => undefined);
  const { state } = record;
  logger.info(
    {
      group: record.group,
      operation: record.id,
      state: state.outcome,
      reason: state.reason,
      unavailable: end.unavailable,
    },
    'rollback.ended',
  );
  if (state.outcome === 'done') return ok(result);
  return { ok: false, error: whyNotDone(record), result };
}

function resultOf({ record, unavailable, proof, resumed }: CourseEnd): Readonly<Record<string, unknown>> {
  const { state, safetyPoint, point, diff, warnings, group, steps } = record;
  const { outcome, plan, notes, left, heir, reason } = state;
  const wasTouched = state.takeAsked && safetyPoint !== null;
  return {
    state: outcome,
    group,
    point,
    safetyPoint:
      safetyPoint === null
        ? null
        : {
            label: safetyPoint.label,
            offset: safetyPoint.offset,
            timeline: safetyPoint.timeline,
            at: new Date(safetyPoint.atMs).toISOString(),
          },
    undo: wasTouched && outcome === 'done' ? undoOf(group, safetyPoint.label) : null,
    unavailable,
    diff,
    warnings,
    verification: { compared: proof !== null, keys: proof?.keys ?? record.keys.total, sampled: proof?.sampled ?? 0 },
    phases: phasesOf(steps),
    loads: plan.loads,
    primary: heir ?? plan.primary,
    reason,
    notes,
    resumed,
    settingsLeft: left.map(({ at, name, before }) => `${at.host}:${at.port}: ${name} ${before}`),
  };
}

/** The command and the request that take it back. */
export function undoOf(group: string, label: string): Readonly<Record<string, unknown>> {
  return {
    command: `switchyard backup rollback --group ${group} --to label:${label} --yes`,
    request: { method: 'POST', path: '/v1/rollbacks', body: { group, to: { label } } },
  };
}

/** Milliseconds of each step, in their order. */
function phasesOf(steps: RollbackRecord['steps']): Readonly<Record<string, number>> {
  const phases: Record<string, number> = {};
  for (const [at, { waitsFor, atMs }] of steps.entries()) {
    const next = steps[at + 1];
    if (next !== undefined) phases[waitsFor] = (phases[waitsFor] ?? 0) + next.atMs - atMs;
  }
  return phases;
}

function factsOf(prepared: PreparedRollback, request: RollbackRequest): Readonly<Record<string, unknown>> {
  const { point, diff, warnings, preflight, survey } = prepared;
  const { checks, loads } = preflight;
  return { group: request.group, point, diff, warnings, checks, loads, primary: survey.facts.named };
}

function notAllowed(group: string, checks: readonly RollbackCheck[]): Refusal {
  const failed = checks.filter(({ ok: isOk, blocking }) => isOk === false && blocking);
  return {
    code: 'refused_for_safety',
    detail: `${group} cannot be rolled back now; nothing was touched.`,
    why: failed.map(({ name, detail }) => `${name}: ${detail}`),
    next: failed[0]?.next ?? 'see the checks of a dry run',
  };
}

function busy(detail: string): DirectOutcome {
  return refuse('conflict', `Somebody else works on the group: ${detail}`, {
    next: 'wait for its end, then look again',
  });
}

function whyNotDone({ state, group }: RollbackRecord): Refusal {
  const { outcome, reason, notes, cancelled } = state;
  const untouched = outcome === 'refused';
  return {
    code: cancelled ? 'cancelled' : untouched ? 'conflict' : 'backup_failed',
    detail: `${group} ${untouched ? 'was not rolled back; its data were not touched' : 'has the data of before again'}: ${reason ?? 'unknown'}`,
    why: notes,
    next: cancelled ? 'nothing was changed' : 'mend what is named, then try again; dryRun shows every check',
  };
}
