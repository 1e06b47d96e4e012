// When is a rollback rehearsed next, and what do the rehearsals so far tell? Their last numbers and the middle of them, as a trend.
import type { Rehearsal } from '@switchyard/protocol';

/** What rehearsals told so far. Times are in ms; null where there is nothing to tell by. */
export interface RehearsalTrend {
  /** How long a rollback takes, from the order until the old data takes writes. */
  readonly rtoMs: { readonly median: number | null; readonly last: number | null };
  /** How much would be lost. */
  readonly rpoMs: { readonly median: number | null; readonly last: number | null };
  /** Unix ms. */
  readonly lastSuccessAtMs: number | null;
  /** Failures since the last success. */
  readonly failedInARow: number;
}

/** How often. */
export interface RehearsalPace {
  /** 0 = never by itself. */
  readonly everyMs: number;
  /** When this worker was started, unix ms. */
  readonly startedAtMs: number;
  /** 0 to 1: which share of the jitter is this worker's. */
  readonly jitter: number;
}

/** Of the period: rehearsals of many groups must not all begin at the same moment. */
const jitterShare = 0.05;
/** Of the period: after a failure it is tried again sooner, and a worker without any rehearsal has its first one soon. */
const soonShare = 1 / 24;
/** The median is over so many of the newest that succeeded. */
const medianOf = 30;

/** When the next one is due, unix ms; null for never. One that was missed is due at once, when the worker has run for a while. */
export function rehearsalDueMs(rehearsals: readonly Rehearsal[], pace: RehearsalPace): number | null {
  const { everyMs, startedAtMs, jitter } = pace;
  if (everyMs === 0) return null;
  const soonMs = everyMs * soonShare;
  const earliestMs = startedAtMs + soonMs * (1 + jitter * jitterShare);
  const last = newestFirst(rehearsals)[0];
  if (last === undefined) return earliestMs;
  // A clock that was set back must not put it off for longer than one period.
  const lastMs = Math.min(last.atMs, startedAtMs + everyMs);
  const dueMs = last.ok ? lastMs + everyMs * (1 + jitter * jitterShare) : lastMs + soonMs;
  return Math.max(earliestMs, dueMs);
}

/** The numbers; only rehearsals that succeeded count for them. */
export function rehearsalTrend(rehearsals: readonly Rehearsal[]): RehearsalTrend {
  const ordered = newestFirst(rehearsals);
  const good = ordered.filter(({ ok }) => ok);
  const failedInARow = ordered.findIndex(({ ok }) => ok);
  const numbers = (of: (rehearsal: Rehearsal) => number | null): RehearsalTrend['rtoMs'] => {
    const known = good.flatMap((rehearsal) => of(rehearsal) ?? []).slice(0, medianOf);
    return { median: median(known), last: known[0] ?? null };
  };
  return {
    rtoMs: numbers(({ rtoMs }) => rtoMs),
    rpoMs: numbers(({ rpoMs }) => rpoMs),
    lastSuccessAtMs: good[0]?.atMs ?? null,
    failedInARow: failedInARow === -1 ? ordered.length : failedInARow,
  };
}

function newestFirst(rehearsals: readonly Rehearsal[]): readonly Rehearsal[] {
  return rehearsals.toSorted((a, b) => b.atMs - a.atMs);
}

function median(numbers: readonly number[]): number | null {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}
