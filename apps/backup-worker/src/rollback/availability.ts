// For how long could nobody write, and for how long could nobody read? Measured from outside, by a writer and a reader of our own that
// ask every 5 ms over a connection each. Neither leaves anything behind: deleting a key that is not there is a write to the server.
import { redisProbeKey } from '@switchyard/protocol';
import type { RollbackAddress } from '@switchyard/backup';
import type { RedisSettings } from '@switchyard/redis';
import { withDeadline, type Clock } from '@switchyard/runtime';
import { createGroupContacts } from './group-contacts.ts';

/** What was measured; null while nothing was. */
export interface Unavailability {
  /** Longest time between two answers that were no errors, in ms. */
  readonly writesMs: number | null;
  readonly readsMs: number | null;
}

/** A measurement that runs. */
export interface AvailabilityProbe {
  /** Waits until both are answered again, at most `patienceMs`; then it ends. */
  finish(patienceMs: number): Promise<Unavailability>;
  stop(): void;
}

const everyMs = 5;
/** A held writer is answered when it is let go. */
const longestAnswerMs = 60_000;

/** Begins at once. */
export function probeAvailability(at: RollbackAddress, settings: RedisSettings, clock: Clock): AvailabilityProbe {
  const life = new AbortController();
  const writer = gauge(['UNLINK', `${redisProbeKey}:absent`]);
  const reader = gauge(['GET', `${redisProbeKey}:absent`]);

  function gauge(words: readonly string[]): { longestMs(): number | null; lastOkMs(): number; over: Promise<void> } {
    const contacts = createGroupContacts(settings);
    // Clients were answered until now.
    let lastOkMs = clock.monotonicMs();
    let longestMs: number | null = null;
    const run = async (): Promise<void> => {
      while (!life.signal.aborted) {
        try {
          await contacts.node(at, words, { deadlineMs: longestAnswerMs });
          const nowMs = clock.monotonicMs();
          longestMs = Math.max(longestMs ?? 0, nowMs - lastOkMs);
          lastOkMs = nowMs;
        } catch {
          // Counted by its absence.
        }
        await clock.sleep(everyMs, life.signal).catch(() => undefined);
      }
    };
    life.signal.addEventListener('abort', () => contacts.close(), { once: true });
    return { longestMs: () => longestMs, lastOkMs: () => lastOkMs, over: run() };
  }

  const stop = (): void => life.abort();
  return {
    stop,
    finish: async (patienceMs) => {
      const sinceMs = clock.monotonicMs();
      const answered = async (): Promise<void> => {
        while (!life.signal.aborted && (writer.lastOkMs() < sinceMs || reader.lastOkMs() < sinceMs))
          await clock.sleep(everyMs, life.signal).catch(() => undefined);
      };
      await withDeadline(answered(), patienceMs, 'the probes').catch(() => undefined);
      stop();
      await Promise.all([writer.over, reader.over]);
      const round = (ms: number | null): number | null => (ms === null ? null : Math.round(ms));
      return { writesMs: round(writer.longestMs()), readsMs: round(reader.longestMs()) };
    },
  };
}
