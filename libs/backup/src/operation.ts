// How far is long work, how long will it still take, and how did it end? A record, changed by pure steps.
//
//   queued <-> running -> succeeded | failed | cancelled      (queued may also fail or be cancelled; an end is final)
//
// Work that was interrupted and will be tried again goes back from running to queued; its steps then begin anew.
import { problemOf, type Operation, type Refusal } from '@switchyard/protocol';
import { remainingMs, withSample, type ProgressSample } from './operation-eta.ts';

/** A step of a plan; weights are shares of the whole time, in any unit. */
export interface PlannedStep {
  readonly name: string;
  readonly weight: number;
}

/** Steps of taking a backup. The source forks, and by default waits 5 s for more replicas, before the first byte comes. */
export const backupPlan: readonly PlannedStep[] = Object.freeze([
  { name: 'choose the source', weight: 2 },
  { name: 'wait for its snapshot', weight: 8 },
  { name: 'copy, compress and hash', weight: 40 },
  { name: 'prove by loading', weight: 45 },
  { name: 'write the manifest', weight: 5 },
]);

/** Steps of verifying a backup that exists. */
export const verifyPlan: readonly PlannedStep[] = Object.freeze([
  { name: 'compare the hashes', weight: 15 },
  { name: 'prove by loading', weight: 35 },
  { name: 'prove the stream before it', weight: 47 },
  { name: 'record the outcome', weight: 3 },
]);

/** One step's record. */
export interface StepRecord extends PlannedStep {
  readonly state: Operation['steps'][number]['state'];
  /** 0 to 1. */
  readonly fraction: number;
  readonly detail: string | null;
  /** Unix milliseconds; absent while it has not begun, ended, or where nobody said when. */
  readonly startedAtMs?: number;
  readonly finishedAtMs?: number;
  /** How it went so far; at most 40. */
  readonly samples?: readonly ProgressSample[];
  /** How it went the last time: the part of its time, and the fraction that was done by then. */
  readonly curve?: readonly ProgressSample[];
}

/** All that is known about a piece of long work. Plain data: it can be stored as JSON. Times are unix milliseconds. */
export interface OperationRecord {
  readonly id: string;
  readonly kind: string;
  /** What it works on: a group, a label. */
  readonly subject: string;
  readonly state: Operation['state'];
  readonly createdAtMs: number;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  readonly steps: readonly StepRecord[];
  /** The weights are what each step took the last time, in milliseconds. */
  readonly hasLearnedWeights?: boolean;
  readonly result: Readonly<Record<string, unknown>> | null;
  readonly refusal: Refusal | null;
}

/** New work that waits for its turn. */
export function queuedOperation(
  facts: Pick<OperationRecord, 'id' | 'kind' | 'subject'> & { readonly plan: readonly PlannedStep[] },
  nowMs: number,
): OperationRecord {
  const { id, kind, subject, plan } = facts;
  const steps = plan.map(untouched);
  const start = { createdAtMs: nowMs, startedAtMs: null, finishedAtMs: null };
  return { id, kind, subject, state: 'queued', ...start, steps, result: null, refusal: null };
}

/** True once nothing can change any more. */
export function isFinished(record: OperationRecord): boolean {
  return record.state === 'succeeded' || record.state === 'failed' || record.state === 'cancelled';
}

/** The work begins, or begins anew. A finished one stays as it is. */
export function startOperation(record: OperationRecord, nowMs: number): OperationRecord {
  if (isFinished(record)) return record;
  return { ...record, state: 'running', startedAtMs: nowMs, steps: record.steps.map(untouched) };
}

/** The work stopped and waits to be tried again; `why` is shown with its first step. A finished one stays as it is. */
export function interruptOperation(record: OperationRecord, why: string): OperationRecord {
  if (isFinished(record)) return record;
  const steps = record.steps.map((step, at): StepRecord =>
    at === 0 ? { ...untouched(step), detail: why } : untouched(step),
  );
  return { ...record, state: 'queued', startedAtMs: null, steps };
}

/**
 * Step `index` is under way and `fraction` (0 to 1) of it is done; all before it are done. Never goes backwards. `atMs`: when that was,
 * unix milliseconds; without it the pace is not measured.
 */
export function advanceOperation(
  record: OperationRecord,
  index: number,
  progress: { readonly fraction?: number; readonly detail?: string; readonly atMs?: number },
): OperationRecord {
  if (record.state !== 'running') return record;
  const { atMs } = progress;
  const steps = record.steps.map((step, at): StepRecord => {
    if (at < index) return step.state === 'done' ? step : ended(step, 'done', atMs);
    if (at > index || step.state === 'done') return step;
    const fraction = Math.max(step.fraction, Math.min(1, Math.max(0, progress.fraction ?? 0)));
    const known = { ...step, state: 'running' as const, fraction, detail: progress.detail ?? step.detail };
    if (atMs === undefined) return known;
    return { ...known, startedAtMs: step.startedAtMs ?? atMs, samples: withSample(step.samples ?? [], atMs, fraction) };
  });
  return { ...record, steps };
}

/** The work is done. A finished one stays as it is. */
export function succeedOperation(
  record: OperationRecord,
  result: Readonly<Record<string, unknown>>,
  nowMs: number,
): OperationRecord {
  if (isFinished(record)) return record;
  const steps = record.steps.map((step): StepRecord => (step.state === 'done' ? step : ended(step, 'done', nowMs)));
  return { ...record, state: 'succeeded', finishedAtMs: nowMs, steps, result };
}

/**
 * The work ended without what was wanted: failed, or cancelled when that is the refusal's code. What was found all the same may
 * be given as `result`. A finished one stays as it is.
 */
export function failOperation(
  record: OperationRecord,
  outcome: { readonly refusal: Refusal; readonly result?: Readonly<Record<string, unknown>> },
  nowMs: number,
): OperationRecord {
  if (isFinished(record)) return record;
  const { refusal, result = null } = outcome;
  const steps = record.steps.map((step): StepRecord =>
    step.state === 'running' ? { ...step, state: 'failed' } : step,
  );
  const state = refusal.code === 'cancelled' ? 'cancelled' : 'failed';
  return { ...record, state, finishedAtMs: nowMs, steps, refusal, result };
}

/** How much of the work is done, 0 to 100; 100 only when it has succeeded. */
export function percentOf(record: OperationRecord): number {
  if (record.state === 'succeeded') return 100;
  let total = 0;
  let done = 0;
  for (const step of record.steps) {
    total += step.weight;
    done += step.weight * step.fraction;
  }
  return total === 0 ? 0 : Math.min(99, Math.floor((done / total) * 100));
}

/** The document that callers see. `etaSeconds` is null until there is something to measure by. */
export function viewOperation(record: OperationRecord, nowMs: number): Operation {
  const percent = percentOf(record);
  const { id, kind, subject, state, refusal } = record;
  return {
    id,
    kind,
    subject,
    state,
    percent,
    etaSeconds: etaSeconds(record, percent, nowMs),
    createdAt: iso(record.createdAtMs),
    startedAt: record.startedAtMs === null ? null : iso(record.startedAtMs),
    finishedAt: record.finishedAtMs === null ? null : iso(record.finishedAtMs),
    steps: record.steps.map((step) => ({ name: step.name, state: step.state, detail: step.detail })),
    result: record.result === null ? null : { ...record.result },
    problem: refusal === null ? null : problemOf(refusal, { instance: `/v1/operations/${id}` }),
  };
}

/** Ids that go so that at most `limit` are kept: the oldest finished ones. Unfinished work is never forgotten. */
export function forgettable(records: readonly OperationRecord[], limit: number): readonly string[] {
  const finished = records.filter(isFinished).toSorted((a, b) => (a.finishedAtMs ?? 0) - (b.finishedAtMs ?? 0));
  return finished.slice(0, Math.max(0, records.length - limit)).map((record) => record.id);
}

// How it went stays: the next work of the kind learns from it.
function ended({ curve: _curve, ...step }: StepRecord, state: 'done', atMs: number | undefined): StepRecord {
  return { ...step, state, fraction: 1, ...(atMs === undefined ? {} : { finishedAtMs: atMs }) };
}

function untouched({ name, weight, curve }: PlannedStep & Pick<StepRecord, 'curve'>): StepRecord {
  return { name, weight, state: 'waiting', fraction: 0, detail: null, ...(curve === undefined ? {} : { curve }) };
}

function etaSeconds(record: OperationRecord, percent: number, nowMs: number): number | null {
  const ms = remainingMs(record, percent, nowMs);
  return ms === null ? null : Math.ceil(ms / 1_000);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
