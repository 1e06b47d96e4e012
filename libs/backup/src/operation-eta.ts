// How long will long work still take? Measured: the pace of the step that runs now, and for the steps after it what the same steps took
// so far, here or in the last work of the same kind. Weights alone are only a first guess.
import type { OperationRecord, StepRecord } from './operation.ts';

/** A moment of a step: unix milliseconds, and the fraction that was done by then. */
export type ProgressSample = readonly [atMs: number, fraction: number];

const mostSamples = 40;
const closestMs = 100;
/** A pace is measured over at least so long. */
const shortestPaceMs = 400;
const newerPart = 0.5;
/** Before this, or with fewer percent of work behind it, a guess by weights would be noise. */
const etaFromMs = 250;
const etaFromPercent = 5;
/** How much of the whole has to be behind before its own pace counts as much as what was learned. */
const priorPart = 0.05;

/** Adds a moment; beyond 40, the one that is closest to its neighbours is dropped. */
export function withSample(samples: readonly ProgressSample[], atMs: number, fraction: number): ProgressSample[] {
  const last = samples.at(-1);
  if (last === undefined || fraction <= last[1]) return last === undefined ? [[atMs, fraction]] : [...samples];
  // Of a burst of reports only the newest counts; the first moment of the step stays.
  const isBurst = samples.length > 1 && atMs - last[0] < closestMs;
  const next: ProgressSample[] = [...(isBurst ? samples.slice(0, -1) : samples), [atMs, fraction]];
  if (next.length <= mostSamples) return next;
  let dropped = 1;
  for (let index = 2; index < next.length - 1; index += 1)
    if (spanMs(next.slice(index - 1, index + 2)) < spanMs(next.slice(dropped - 1, dropped + 2))) dropped = index;
  return next.filter((_, index) => index !== dropped);
}

/** Milliseconds that the rest will take, from `nowMs` (unix) on; null while there is nothing to go by. */
export function remainingMs(record: OperationRecord, percent: number, nowMs: number): number | null {
  if (record.state !== 'running' || record.startedAtMs === null) return null;
  const elapsedMs = nowMs - record.startedAtMs;
  const running = record.steps.find((step) => step.state === 'running');
  if (running?.startedAtMs === undefined) {
    if (percent < etaFromPercent || elapsedMs < etaFromMs) return null;
    return (elapsedMs * (100 - percent)) / percent;
  }
  const inStepMs = Math.max(0, nowMs - running.startedAtMs);
  let doneMs = 0;
  let doneWeight = 0;
  let waitingWeight = 0;
  for (const step of record.steps) {
    if (step.state === 'waiting') waitingWeight += step.weight;
    if (step.state !== 'done') continue;
    doneMs += (step.finishedAtMs ?? 0) - (step.startedAtMs ?? step.finishedAtMs ?? 0);
    doneWeight += step.weight;
  }
  const priorMs = (doneWeight + running.weight + waitingWeight) * priorPart;
  // Weights that were learned are milliseconds, until this time is known to be slower or faster than the last one.
  const pace = (doneMs + priorMs) / (doneWeight + priorMs);
  const measured = stepRemainingMs(running, { pace, nowMs });
  if (measured !== null) {
    const msPerWeight = (doneMs + inStepMs + measured) / (doneWeight + running.weight);
    return measured + waitingWeight * msPerWeight;
  }
  const isEnough = elapsedMs >= etaFromMs && percent >= etaFromPercent && doneMs >= etaFromMs;
  const guess = isEnough ? doneMs / doneWeight : null;
  const msPerWeight = record.hasLearnedWeights === true ? pace : guess;
  if (msPerWeight === null) return null;
  return Math.max(0, running.weight * msPerWeight - inStepMs) + waitingWeight * msPerWeight;
}

/** Weights as the last work of the same kind that succeeded took them, in milliseconds; the record as it was when there is none. */
export function learnWeights(record: OperationRecord, earlier: readonly OperationRecord[]): OperationRecord {
  const names = record.steps.map(({ name }) => name).join('\n');
  const last = earlier
    .filter((one) => one.kind === record.kind && one.state === 'succeeded')
    .filter((one) => one.steps.map(({ name }) => name).join('\n') === names)
    .toSorted((a, b) => (b.finishedAtMs ?? 0) - (a.finishedAtMs ?? 0))[0];
  const durations = last?.steps.map(durationMs);
  if (durations === undefined || durations.includes(null)) return record;
  const steps = record.steps.map((step, index) => {
    const [before, ms] = [last?.steps[index], durations[index] ?? 0];
    return { ...step, weight: Math.max(1, ms), ...(before === undefined ? {} : curveOf(before, ms)) };
  });
  return { ...record, steps, hasLearnedWeights: true };
}

// A step that was passed over took no time.
function durationMs(step: StepRecord): number | null {
  if (step.finishedAtMs === undefined) return null;
  return step.startedAtMs === undefined ? 0 : Math.max(0, step.finishedAtMs - step.startedAtMs);
}

interface Pace {
  /** How much slower than the last time it is so far. */
  readonly pace: number;
  readonly nowMs: number;
}

// Which part of its time had gone by when each fraction was reached: loading is followed by counting, of which nothing is heard.
function curveOf(
  { startedAtMs, samples = [] }: StepRecord,
  ms: number,
): { readonly curve?: readonly ProgressSample[] } {
  if (startedAtMs === undefined || samples.length < 3 || ms <= 0) return {};
  return { curve: samples.map(([atMs, fraction]) => [Math.min(1, (atMs - startedAtMs) / ms), fraction] as const) };
}

/** The part of the time that had gone by at a fraction the last time. */
function timePart(curve: readonly ProgressSample[], fraction: number): number {
  let [beforeTime, beforeFraction] = [0, 0];
  for (const [time, reached] of curve) {
    if (reached >= fraction) {
      const span = reached - beforeFraction;
      return span <= 0 ? time : beforeTime + ((time - beforeTime) * (fraction - beforeFraction)) / span;
    }
    [beforeTime, beforeFraction] = [time, reached];
  }
  return beforeTime + ((1 - beforeTime) * (fraction - beforeFraction)) / Math.max(1e-9, 1 - beforeFraction);
}

// As the last time, but faster or slower by as much as it was up to the last news.
function learnedRemainingMs(step: StepRecord, curve: readonly ProgressSample[], { pace, nowMs }: Pace): number {
  const startedAtMs = step.startedAtMs ?? nowMs;
  const [atMs, fraction] = step.samples?.at(-1) ?? [startedAtMs, 0];
  const tookMs = atMs - startedAtMs;
  const wholeMs = (tookMs + step.weight * pace * priorPart) / (timePart(curve, fraction) + priorPart);
  return Math.max(0, wholeMs - (nowMs - startedAtMs));
}

function stepRemainingMs(step: StepRecord, { pace, nowMs }: Pace): number | null {
  const samples = step.samples ?? [];
  const last = samples.at(-1);
  if (last === undefined) return null;
  if (step.curve !== undefined) return learnedRemainingMs(step, step.curve, { pace, nowMs });
  // Before the first byte there may have been a wait, which says nothing about the pace.
  const moving = samples.filter(([, fraction]) => fraction > 0);
  const first = moving.length >= 3 && spanMs(moving) >= shortestPaceMs ? moving[0] : samples[0];
  if (first === undefined) return null;
  // Only the newer part: a pace that changes is noticed, and a jump or two does not matter.
  const newerMs = last[0] - (last[0] - first[0]) * newerPart;
  const from = samples.findLast((sample) => sample[0] <= newerMs && sample[0] >= first[0]) ?? first;
  const [tookMs, done] = [last[0] - from[0], last[1] - from[1]];
  if (tookMs < shortestPaceMs || done <= 0) return null;
  const silentMs = Math.max(0, nowMs - last[0]);
  const expectedMs = ((1 - last[1]) * tookMs) / done - silentMs;
  // Longer silent than ever before: the pace is no longer what it was.
  return silentMs <= 2 * longestGapMs(samples) ? Math.max(0, expectedMs) : ((1 - last[1]) * (tookMs + silentMs)) / done;
}

function spanMs(samples: readonly ProgressSample[]): number {
  return (samples.at(-1)?.[0] ?? 0) - (samples[0]?.[0] ?? 0);
}

function longestGapMs(samples: readonly ProgressSample[]): number {
  let longest = closestMs;
  for (let index = 1; index < samples.length; index += 1)
    longest = Math.max(longest, (samples[index]?.[0] ?? 0) - (samples[index - 1]?.[0] ?? 0));
  return longest;
}
