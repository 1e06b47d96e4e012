// How do thousands of timeouts cost one timer? All deadlines sit in one set that is looked through every 100 ms; setting
// one is writing a number (undici's util/timers.js does the same with 500 ms).

/** One deadline that can be moved. */
export interface Deadline {
  /** Expires so many ms from now, and no longer when it was to. */
  set(ms: number): void;
  /** Is forgotten; never expires. */
  close(): void;
}

/** The deadlines of one engine. */
export interface Deadlines {
  /** `expire` runs once each time the deadline passes; until `close` it can be set again. */
  open(expire: () => void): Deadline;
  start(): void;
  stop(): void;
}

const sweepMs = 100;

/** No deadlines. At most two for each client connection, which are limited. */
export function createDeadlines(monotonicMs: () => number): Deadlines {
  const waiting = new Set<{ atMs: number; readonly expire: () => void }>();
  let timer: NodeJS.Timeout | undefined;

  const sweep = (): void => {
    const nowMs = monotonicMs();
    for (const entry of waiting) {
      if (entry.atMs > nowMs) continue;
      entry.atMs = Number.POSITIVE_INFINITY;
      entry.expire();
    }
  };

  return {
    open(expire) {
      const entry = { atMs: Number.POSITIVE_INFINITY, expire };
      waiting.add(entry);
      return {
        set(ms) {
          entry.atMs = monotonicMs() + ms;
        },
        close() {
          waiting.delete(entry);
        },
      };
    },
    start() {
      timer ??= setInterval(sweep, sweepMs).unref();
    },
    stop() {
      clearInterval(timer);
      timer = undefined;
      waiting.clear();
    },
  };
}
