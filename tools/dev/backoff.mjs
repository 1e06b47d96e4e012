// How long to wait before a crashed process is started again, and how is its end told?

/** A process that has lived so long is healthy: its next crash is a new story. */
export const calmMs = 30_000;

/**
 * Waiting times that double from `firstMs` to `maxMs` and start over when the process had lived for `calmMs`.
 * `next(livedMs)` gives the time to wait after an end.
 */
export function restartDelay({ firstMs = 500, maxMs = 10_000 } = {}) {
  let delayMs = firstMs;
  return {
    next(livedMs) {
      if (livedMs >= calmMs) delayMs = firstMs;
      const waitMs = delayMs;
      delayMs = Math.min(delayMs * 2, maxMs);
      return waitMs;
    },
  };
}

/** "was killed by SIGKILL", "ended with code 1" */
export function describeEnd({ code, signal, error }) {
  if (error !== undefined) return `could not be started: ${error}`;
  return signal ? `was killed by ${signal}` : `ended with code ${code}`;
}

/** Whether the end of a process calls for a restart: anything but a clean exit of one that is free to leave. */
export function needsRestart({ code }, { mayLeave }) {
  return !(mayLeave && code === 0);
}
