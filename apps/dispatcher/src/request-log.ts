// Why did that request go wrong? The last requests that were refused, retried, cut or left, by their id.
import type { RequestOutcome } from '@switchyard/proxy';

/** The latest outcomes; older ones make room. */
export interface RequestLog {
  record(outcome: RequestOutcome): void;
  /** The latest one with this id. */
  find(requestId: string): RequestOutcome | undefined;
  /** Newest first. */
  latest(limit: number): RequestOutcome[];
  readonly capacity: number;
}

/** A ring of `capacity` outcomes. */
export function createRequestLog(capacity: number): RequestLog {
  const ring: RequestOutcome[] = [];
  let next = 0;
  const newestFirst = function* (): Generator<RequestOutcome> {
    for (let back = 1; back <= ring.length; back += 1) {
      yield ring[(next - back + ring.length) % ring.length] as RequestOutcome;
    }
  };
  return {
    capacity,
    record(outcome) {
      ring[next] = outcome;
      next = (next + 1) % capacity;
    },
    find(requestId) {
      for (const outcome of newestFirst()) if (outcome.requestId === requestId) return outcome;
      return undefined;
    },
    latest(limit) {
      const found: RequestOutcome[] = [];
      for (const outcome of newestFirst()) {
        if (found.length >= limit) break;
        found.push(outcome);
      }
      return found;
    },
  };
}
