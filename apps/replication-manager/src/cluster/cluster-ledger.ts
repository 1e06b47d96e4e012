// Is a write lost while a shard changes its primary, and for how long does none get through? Numbers are written to the shard all
// the time; those that were acknowledged must be there afterwards.
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';

/** What was found. */
export interface LedgerReport {
  readonly acknowledged: number;
  /** Acknowledged, and not there afterwards; null when that could not be read. */
  readonly lost: number | null;
  /** The longest time between two acknowledgements. */
  readonly longestGapMs: number;
}

/** A ledger under way. */
export interface ShardLedger {
  /** Where it writes now. */
  readonly writes: number;
  /** Ends it, and looks at `primary` what is there. */
  end(primary: RedisNodeAdmin): Promise<LedgerReport>;
}

const paceMs = 3;
const ttlMs = 60_000;
/** A new primary may say MOVED or CLUSTERDOWN for a moment. */
const readAttempts = 20;
const readEveryMs = 100;

/** Begins to write to `from`; goes to `to` and back whenever one refuses. Both connections stay the caller's. */
export const startLedger = (options: {
  readonly from: RedisNodeAdmin;
  readonly to: RedisNodeAdmin;
  readonly key: string;
  readonly clock: Clock;
}): ShardLedger => {
  const { from, to, key, clock } = options;
  let at = from;
  let next = 0;
  let acknowledged = 0;
  let last = 0;
  let ackedAtMs = clock.monotonicMs();
  let longestGapMs = 0;
  const over = new AbortController();

  const write = async (): Promise<void> => {
    while (!over.signal.aborted) {
      next += 1;
      try {
        await at.call('SET', key, next, 'PX', ttlMs);
        const nowMs = clock.monotonicMs();
        longestGapMs = Math.max(longestGapMs, nowMs - ackedAtMs);
        ackedAtMs = nowMs;
        acknowledged += 1;
        last = next;
      } catch {
        // MOVED, gone or silent: whichever it is, the other one is asked next
        at = at === from ? to : from;
      }
      await clock.sleep(paceMs);
    }
  };
  const writing = write();
  return {
    get writes() {
      return acknowledged;
    },
    async end(primary) {
      over.abort();
      await writing;
      // what was not acknowledged in time counts, too: nobody could have written
      longestGapMs = Math.max(longestGapMs, clock.monotonicMs() - ackedAtMs - paceMs);
      let stored: unknown;
      for (let attempt = 1; attempt <= readAttempts && stored === undefined; attempt += 1) {
        stored = await primary.call('GET', key).catch(() => undefined);
        if (stored === undefined) await clock.sleep(readEveryMs);
      }
      return {
        acknowledged,
        // each overwrites the one before: a number that is smaller than the last acknowledged one tells how many are missing
        lost: stored === undefined ? null : Math.max(0, last - Number(stored ?? 0)),
        longestGapMs: Math.round(longestGapMs),
      };
    },
  };
};
