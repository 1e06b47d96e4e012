// How much may be read in one go, and how long is the pause after it? So that nobody else waits for long, whatever the data.
//
// A call is sized by the work that it means for the node, as far as what was read so far tells: that does not depend on how busy
// the machine or how far away the node is. How long calls took corrects it, by a quarter to the double.
import type { Clock } from '@switchyard/runtime';

/** How hard a digest may lean on a node. */
export interface DigestPaceOptions {
  /** Of the time, 1 to 100: 100 reads without a pause. Default 100. */
  readonly dutyPercent?: number;
  /** Of keys and values; no limit unless given. */
  readonly bytesPerSecond?: number;
  /** Goal for one call, ms; default 1. What others wait for the digest is about one call. */
  readonly goalMs?: number;
  /** Of a call that does nothing, ms: the way there and back. */
  readonly emptyCallMs?: number;
  readonly clock: Clock;
}

/** What a call read: whole keys, elements of one large key, or names alone. */
export type ReadUnit = 'key' | 'element' | 'name';

/** Sizes and pauses of one reader. */
export interface DigestPace {
  /** How many to ask for next. */
  count(unit: ReadUnit): number;
  /** Elements of another key may be of another size: begins carefully again. */
  nextKey(): void;
  /**
   * A call took `ms` for `asked` of them; `work` is what the script counted (bytes, and 64 an element). Resolves after the pause
   * that is due.
   */
  spent(
    call: { readonly ms: number; readonly unit: ReadUnit; readonly asked: number; readonly work: number },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Calls so far, and how long they took from here: the usual (p99 of the latest 1024) and the longest. */
  measured(): { readonly calls: number; readonly p99Ms: number; readonly longestMs: number };
}

/** Work that takes about a millisecond (Redis 7.0.15 on a 2.x GHz core: 160 strings of 90 bytes, or 800 small elements). */
const workOfMs = 65_536;
/** What one of them costs beside its bytes: the commands for it. */
const overhead = { key: 250, element: 0, name: 64 } as const;
/** Before anything was read. */
const firstGuess = { key: 1_024, element: 4_096, name: 64 } as const;
const most = 1_000;
const remembered = 16;
const measuredCalls = 1_024;
const slowest = 0.25;
const fastest = 2;

/** A pace that begins carefully. */
export const createDigestPace = (options: DigestPaceOptions): DigestPace => {
  const { dutyPercent = 100, bytesPerSecond, goalMs = 1, emptyCallMs = 0, clock } = options;
  const cost: Record<ReadUnit, number> = { ...firstGuess };
  let speed = 1;
  let times: number[] = [];
  let calls = 0;
  let longestMs = 0;
  const latest = new Float64Array(measuredCalls);
  /** Pauses shorter than a timer can keep are saved up. */
  let owedMs = 0;

  const learn = (unit: ReadUnit, each: number): void => {
    // Larger than thought counts at once, smaller little by little.
    cost[unit] = each > cost[unit] ? each : cost[unit] * 0.8 + each * 0.2;
  };
  const correct = (ms: number): void => {
    times.push(Math.max(0, ms - emptyCallMs));
    if (times.length < remembered) return;
    // Not the mean: what the call waited for, because the node or this process was busy, is not its own cost.
    const usual = times.toSorted((a, b) => a - b)[remembered / 4] ?? goalMs;
    times = [];
    if (usual > 1.5 * goalMs) speed = Math.max(slowest, speed * 0.7);
    if (usual < 0.7 * goalMs) speed = Math.min(fastest, speed * 1.2);
  };

  return {
    count: (unit) => Math.round(Math.min(most, Math.max(1, (goalMs * workOfMs * speed) / Math.max(1, cost[unit])))),
    nextKey() {
      cost.element = firstGuess.element;
    },
    async spent({ ms, unit, asked, work }, signal) {
      latest[calls % measuredCalls] = ms;
      calls += 1;
      longestMs = Math.max(longestMs, ms);
      learn(unit, overhead[unit] + work / Math.max(1, asked));
      correct(ms);
      const byDuty = ms * (100 / Math.min(100, Math.max(1, dutyPercent)) - 1);
      const byBytes = bytesPerSecond === undefined ? 0 : (work / bytesPerSecond) * 1_000 - ms;
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
