// What time is it, how much time went by, and how does one wait? The only place of a process that asks the system.

/** Time as a service sees it. Intervals use `monotonicMs`, wall time (`unixMs`) is for people and for storage. */
export interface Clock {
  /** Wall time in ms since 1970; may jump in both directions. */
  unixMs(): number;
  /** Ms since some moment in the past; never goes back, not comparable between processes. */
  monotonicMs(): number;
  /** Resolves after `ms` (below 0 counts as 0); rejects with the signal's reason when the signal aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** setTimeout runs at once when asked for more than this; a longer sleep is made of several. */
const longestTimerMs = 2_147_483_647;

const sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
  let leftMs = Math.max(0, ms);
  do {
    const stepMs = Math.min(leftMs, longestTimerMs);
    await sleepOnce(stepMs, signal);
    leftMs -= stepMs;
  } while (leftMs > 0);
};

const sleepOnce = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });

/** The clock of this machine. */
export const systemClock: Clock = {
  unixMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep,
};
