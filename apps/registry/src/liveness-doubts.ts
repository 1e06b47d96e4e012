// Who tells the monitors that an agent's connection ended without a goodbye? This, once for each end, and no more than Redis and
// the monitors can take: a doubt that is lost changes only how soon a death is seen.
import { channels, splitMember } from '@switchyard/protocol';
import type { Doubt } from '@switchyard/protocol';
import type { Redis } from '@switchyard/redis';
import type { Clock, Counter, Logger } from '@switchyard/runtime';

export interface LivenessDoubts {
  /** Publishes that the connection of `member` ended; never throws. */
  raise(member: string, detail: string): void;
}

const MOST_PER_SECOND = 1_000;

/** Publishes on `redis`, a `commands` connection; `witness` is this registry. */
export function createLivenessDoubts(options: {
  readonly redis: Redis;
  readonly witness: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly raised: Counter;
}): LivenessDoubts {
  const { redis, witness, clock, logger, raised } = options;
  let sinceMs = clock.monotonicMs();
  let published = 0;
  let failing = false;
  return {
    raise(member, detail) {
      const ref = splitMember(member);
      if (!ref) return;
      if (clock.monotonicMs() - sinceMs >= 1_000) {
        if (published > MOST_PER_SECOND) logger.warn({ kept: published - MOST_PER_SECOND }, 'liveness.doubts_kept');
        sinceMs = clock.monotonicMs();
        published = 0;
      }
      published += 1;
      if (published > MOST_PER_SECOND) return;
      raised.inc();
      const doubt: Doubt = { ...ref, because: 'connection-closed', detail, witness };
      redis.publish(channels.doubt, JSON.stringify(doubt)).then(
        () => (failing = false),
        (error: unknown) => {
          if (!failing) logger.warn({ err: error }, 'liveness.doubt_lost');
          failing = true;
        },
      );
    },
  };
}
