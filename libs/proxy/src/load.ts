// What does an attempt leave behind in the counters of its instance?
import type { AttemptFailure } from './attempt.ts';
import type { Target } from './engine.ts';

/** The counting of one attempt at one instance. */
export interface Load {
  /** The head of an answer came. */
  answered(status: number, tookMs: number): void;
  /** It failed by the fault of the instance. */
  blamed(reason: string, unixMs: number): void;
  /** It is over; later calls change nothing. */
  close(): void;
}

/** Counts the attempt as under way until `close`. */
export function openLoad({ meter }: Target, isRetry: boolean): Load {
  let open = true;
  meter.requests += 1;
  meter.inFlight += 1;
  if (isRetry) meter.retries += 1;
  return {
    answered(status, tookMs) {
      meter.latency.record(tookMs);
      meter.recent.record(tookMs);
      if (status >= 500) meter.serverErrors += 1;
    },
    blamed(reason, unixMs) {
      meter.errors += 1;
      meter.lastError = reason;
      meter.lastErrorUnixMs = unixMs;
    },
    close() {
      if (!open) return;
      open = false;
      meter.inFlight -= 1;
    },
  };
}

/** True when the instance is to blame for the failure. */
export function isItsFault(failure: AttemptFailure): boolean {
  return !failure.ours && !failure.stale;
}
