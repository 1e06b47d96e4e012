// How much may be read in one go, and how long is the pause after it? So that nobody else waits for long, whatever the data.
import type { Clock } from '@switchyard/runtime';

/** How hard a digest may lean on a node. */
export interface DigestPaceOptions {
  /** Of the time, 1 to 100: 100 reads without a pause. Default 100. */
  readonly dutyPercent?: number;
  /** Of keys and values; no limit unless given. */
  readonly bytesPerSecond?: number;
  /** Goal for one call, ms; default 1. What others wait for the digest is at most one call. */
  readonly goalMs?: number;
  readonly clock: Clock;
}

/** Sizes and pauses of one reader. */
export interface DigestPace {
  /** How many keys or elements to ask for next. */
  count(): number;
  /** A call took so long for so much; resolves after the pause that is due. */
  spent(
    call: { readonly ms: number; readonly asked: number; readonly bytes: number },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Ms of the slowest and of the usual (p99 of the latest 1024) call. */
  measured(): { readonly calls: number; readonly p99Ms: number; readonly longestMs: number };
}

const fewest = 16;
const most = 1_000;
const remembered = 16;
const measuredCalls = 1_024;

/** A pace that begins carefully. */
export const createDigestPace = (options: DigestPaceOptions): DigestPace => {
  const { dutyPercent = 100, bytesPerSecond, goalMs = 1, clock } = options;
  let costs: number[] = [];
  let count = 64;
  let calls = 0;
  let longestMs = 0;
  const latest = new Float64Array(measuredCalls);
  /** Pauses shorter than a timer can keep are saved up. */
  let owedMs = 0;

  return {
    count: () => count,
    async spent({ ms, asked, bytes }, signal) {
      latest[calls % measuredCalls] = ms;
      calls += 1;
      longestMs = Math.max(longestMs, ms);
      costs = [...costs, ms / Math.max(1, asked)].slice(-remembered);
      // Not the mean: what the digest itself waited for, because the node or this process was busy, is not its own cost.
      const cost = costs.toSorted((a, b) => a - b)[Math.floor(costs.length / 4)] ?? goalMs / count;
      count = Math.round(Math.min(most, Math.max(fewest, Math.min(goalMs / Math.max(cost, 1e-4), count * 2))));
      const byDuty = ms * (100 / Math.min(100, Math.max(1, dutyPercent)) - 1);
      const byBytes = bytesPerSecond === undefined ? 0 : (bytes / bytesPerSecond) * 1_000 - ms;
      owedMs += Math.max(0, byDuty, byBytes);
      if (owedMs < 2) return;
      const dueMs = owedMs;
      owedMs = 0;
      await clock.sleep(dueMs, signal);
    },
    measured() {
      const seen = latest.slice(0, Math.min(calls, measuredCalls)).toSorted();
      return { calls, p99Ms: seen[Math.floor(seen.length * 0.99)] ?? 0, longestMs };
    },
  };
};
