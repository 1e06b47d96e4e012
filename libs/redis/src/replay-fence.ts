// May a keyed request be sent once more? One dispatcher in all is granted one repetition, by one SET NX.
//
// Redis answers for what it holds: a claim that was not replicated before an unplanned failover can be granted again.
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { keys } from '@switchyard/protocol';
import { withDeadline } from '@switchyard/runtime';
import { isRedisUnavailable } from './unavailable.ts';

export interface ReplayFenceOptions {
  /** A `commands` connection. */
  readonly redis: Pick<Redis, 'set'>;
  /** Names this dispatcher in its claims. */
  readonly holder: string;
  /** Ms that a claim is remembered; 86400000, a day. */
  readonly ttlMs?: number;
  /** Ms until a claim without an answer is refused; 300. */
  readonly deadlineMs?: number;
  /** Claims under way at once; one more is refused. 256. */
  readonly most?: number;
}

/** Never rejects: whoever cannot be asked has not granted it. */
export interface ReplayFence {
  /** `fingerprint`: what tells the request apart from all others; only its hash leaves the process. */
  claim(claim: {
    readonly service: string;
    readonly fingerprint: string;
    readonly requestId: string;
  }): Promise<{ readonly granted: boolean; readonly reason: string }>;
}

const dayMs = 86_400_000;

/** The fence. A claim whose answer comes too late counts as used up: better none than two. */
export function createReplayFence(options: ReplayFenceOptions): ReplayFence {
  const { redis, holder, ttlMs = dayMs, deadlineMs = 300, most = 256 } = options;
  let underWay = 0;
  const refused = (reason: string) => ({ granted: false, reason });

  return {
    async claim({ service, fingerprint, requestId }) {
      if (underWay >= most) return refused(`${most} other claims wait for Redis`);
      underWay += 1;
      const digest = createHash('sha256').update(`${service}\n${fingerprint}`).digest('hex');
      // the answer is the value that was there before, so one that lost learns to whom
      const asked = redis.set(keys.replay(digest), `${requestId} ${holder}`, 'PX', ttlMs, 'NX', 'GET');
      const ended = (): void => {
        underWay -= 1;
      };
      asked.then(ended, ended);
      try {
        const before = await withDeadline(asked, deadlineMs, 'the claim');
        if (before === null) return { granted: true, reason: `repeated under a claim of ${holder}` };
        const [request, dispatcher] = before.split(' ');
        return refused(`the one repetition for its Idempotency-Key was granted to request ${request} at ${dispatcher}`);
      } catch (error) {
        if (isRedisUnavailable(error)) return refused('Redis cannot be asked whether somebody else did');
        const detail = error instanceof Error ? error.message.slice(0, 200) : String(error);
        return refused(`Redis did not say whether somebody else did (${detail})`);
      }
    },
  };
}
