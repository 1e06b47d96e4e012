// Which instances hang now, and what becomes of the requests that wait there? Looked at with every sweep of the engine; what a
// stall is says libs/failure-detection. Its idempotent requests are sent elsewhere while there is somebody else; others wait on.
import { isStalled, stallLimitMs } from '@switchyard/failure-detection';
import type { Target } from '../engine.ts';
import type { Attempt } from './attempt.ts';

/** A request that may have to be sent elsewhere. */
export interface Movable {
  /** Its attempt that waits for an answer; undefined when none does. */
  readonly waitingAttempt: Attempt | undefined;
  /** Sends it elsewhere if that is safe and possible; else it waits on. */
  moveOn(reason: string): void;
}

interface Observed {
  readonly target: Target;
  readonly limitMs: number;
  readonly movable: Movable[];
}

/** Finds the instances that hang. */
export class StallGuard {
  #stalled = new Set<Target['meter']>();

  /** Looks at all requests that are under way. */
  look(requests: Iterable<Movable | undefined>, nowMs: number): void {
    const seen = new Map<Target['meter'], Observed>();
    for (const request of requests) {
      const attempt = request?.waitingAttempt;
      if (request === undefined || attempt === undefined) continue;
      const { target } = attempt;
      let observed = seen.get(target.meter);
      if (observed === undefined) {
        const { recent } = target.meter;
        const limitMs = stallLimitMs(recent.quantileMs(0.99), recent.count);
        seen.set(target.meter, (observed = { target, limitMs, movable: [] }));
      }
      if (nowMs - attempt.startedMs > observed.limitMs) observed.movable.push(request);
    }
    const before = this.#stalled;
    this.#stalled = new Set();
    for (const [meter, { limitMs, movable }] of seen) {
      const silentMs = nowMs - meter.heardMs;
      // those that were a little younger than the others at the latest look must not be left behind
      const doubted = meter.onTrial || meter.stalled;
      meter.stalled = isStalled({ waiting: movable.length, silentMs, limitMs, doubted });
      if (meter.stalled) this.#stalled.add(meter);
    }
    for (const meter of before) if (!this.#stalled.has(meter)) meter.stalled = false;
    for (const meter of this.#stalled) {
      const { movable = [] } = seen.get(meter) ?? {};
      const silentMs = Math.round(nowMs - meter.heardMs);
      const reason = `it has said nothing for ${silentMs} ms while ${movable.length} requests waited`;
      for (const request of movable) request.moveOn(reason);
    }
  }
}
