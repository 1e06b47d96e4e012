// Who else should look at an instance that failed here? Monitors: they ask it themselves, and evict it for all when nobody is there.
// A doubt that is lost changes only how soon; so nothing waits for one, and none is kept for a Redis that is away.
import { channels, type Doubt, type DoubtCause } from '@switchyard/protocol';
import type { InstanceOutcome, Target } from '@switchyard/proxy';
import type { Redis } from '@switchyard/redis';
import type { Clock, Metrics } from '@switchyard/runtime';

/** Tells monitors about failures. */
export interface Doubts {
  /** Takes in what an attempt says about its instance. Returns at once, and never throws. */
  observe(seen: {
    readonly target: Pick<Target, 'service' | 'id'>;
    readonly outcome: InstanceOutcome;
    readonly reason: string;
  }): void;
}

/** A witness repeats itself no sooner. */
const quietMs = 1_000;
/** Instances remembered as told; beyond it they are told of later. */
const mostTold = 4_096;
/** Messages on their way at once: a Redis that hangs owes no more answers than that. */
const mostUnderWay = 64;
const longestDetail = 256;

const causes: Readonly<Partial<Record<InstanceOutcome, DoubtCause>>> = {
  connect: 'connect-failed',
  // what a process leaves behind that was killed while it had requests
  reset: 'connection-closed',
  timeout: 'request-timeout',
};

/** `redis` is a connection for commands; `witness` names this dispatcher. */
export function createDoubts(options: {
  readonly redis: Pick<Redis, 'publish' | 'status'>;
  readonly witness: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly metrics: Metrics;
}): Doubts {
  const { redis, witness, clock } = options;
  const doubts = options.metrics.counter(
    'dispatcher_doubts_total',
    'Failures of instances told to the monitors, by cause and by what became of the message',
    ['cause', 'outcome'],
  );
  /** service/id -> until when nothing more is said of it; the oldest first */
  const told = new Map<string, number>();
  let underWay = 0;

  const isQuiet = (key: string, nowMs: number): boolean => {
    if ((told.get(key) ?? -Infinity) > nowMs) return true;
    for (const [old, untilMs] of told) {
      if (untilMs > nowMs) break;
      told.delete(old);
    }
    return told.size >= mostTold;
  };
  const publish = async (doubt: Doubt): Promise<void> => {
    underWay += 1;
    const heard = await redis.publish(channels.doubt, JSON.stringify(doubt)).catch(() => undefined);
    underWay -= 1;
    doubts.inc({ cause: doubt.because, outcome: heard === undefined ? 'lost' : heard === 0 ? 'unheard' : 'heard' });
  };

  return {
    observe({ target: { service, id }, outcome, reason }) {
      const because = causes[outcome];
      if (because === undefined) return;
      const [key, nowMs] = [`${service}/${id}`, clock.monotonicMs()];
      if (isQuiet(key, nowMs)) return;
      if (redis.status !== 'ready' || underWay >= mostUnderWay) return doubts.inc({ cause: because, outcome: 'lost' });
      told.set(key, nowMs + quietMs);
      void publish({ service, id, because, detail: reason.slice(0, longestDetail), witness });
    },
  };
}
