// How does a monitor hear that somebody saw an instance fail? On a channel: what is lost there changes only how soon it looks.
import { channels, decodeJson, doubtSchema } from '@switchyard/protocol';
import { keepSubscribed } from '@switchyard/redis';
import type { Redis } from '@switchyard/redis';
import type { Clock, Component, Logger, Metrics } from '@switchyard/runtime';
import type { Monitor } from './monitor.ts';

/** More than any fleet has to say: each witness says one a second about an instance. Beyond it they are counted. */
const MOST_PER_SECOND = 1_000;
const LONGEST_CHARS = 4_096;
/** Somebody who sends nonsense must not fill a disk. */
const SAY_EVERY_MS = 10_000;

export interface DoubtsHeard {
  readonly heard: number;
  /** more came at once than are looked at */
  readonly dropped: number;
  /** no doubts at all */
  readonly refused: number;
}

export interface DoubtIntake extends Component {
  /** Since the start. */
  status(): DoubtsHeard;
}

/** Listens through `subscriber`, a connection of its own. */
export function createDoubtIntake(options: {
  readonly monitor: Pick<Monitor, 'doubt'>;
  readonly subscriber: Redis;
  readonly metrics: Metrics;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly logger: Logger;
}): DoubtIntake {
  const { monitor, subscriber, clock, logger } = options;
  const counter = options.metrics.counter(
    'monitor_doubts_total',
    'Doubts about instances that came to this monitor, by cause and by what became of them',
    ['cause', 'outcome'],
  );
  const total = { heard: 0, dropped: 0, refused: 0 };
  let secondFromMs = -Infinity;
  let inSecond = 0;
  let saidMs = -Infinity;

  const count = (outcome: keyof typeof total, cause: string): void => {
    total[outcome] += 1;
    counter.inc({ cause, outcome });
  };
  const say = (facts: object, event: string): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - saidMs < SAY_EVERY_MS) return;
    saidMs = nowMs;
    logger.warn({ ...facts, ...total }, event);
  };
  const isFull = (): boolean => {
    const nowMs = clock.monotonicMs();
    if (nowMs - secondFromMs >= 1_000) [secondFromMs, inSecond] = [nowMs, 0];
    inSecond += 1;
    return inSecond > MOST_PER_SECOND;
  };

  const onMessage = (channel: string, text: string): void => {
    if (channel !== channels.doubt) return;
    if (isFull()) {
      count('dropped', 'unread');
      return say({}, 'doubts.dropped');
    }
    const doubt = decodeJson(doubtSchema, text.slice(0, LONGEST_CHARS), 'the doubt');
    if (!doubt.ok) {
      count('refused', 'unread');
      return say({ detail: doubt.error.detail, why: doubt.error.why }, 'doubts.refused');
    }
    count('heard', doubt.value.because);
    monitor.doubt(doubt.value);
  };
  let unsubscribe: (() => void) | undefined;
  return {
    name: 'doubts',
    async start() {
      subscriber.on('message', onMessage);
      unsubscribe = keepSubscribed(subscriber, [channels.doubt]);
    },
    async stop() {
      subscriber.off('message', onMessage);
      unsubscribe?.();
    },
    status: () => ({ ...total }),
  };
}
