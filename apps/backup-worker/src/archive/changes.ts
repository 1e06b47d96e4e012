// How does one part wait until another has moved on? A bell: whoever waits hears the next ring.

/** A bell. */
export interface Changes {
  /** Wakes everybody who waits now. */
  ring(): void;
  /** Resolves at the next ring; rejects with the signal's reason. */
  next(signal: AbortSignal): Promise<void>;
}

/** A bell that nobody waits for yet. */
export function createChanges(): Changes {
  let waiting = new Set<() => void>();
  return {
    ring: () => {
      const woken = waiting;
      waiting = new Set();
      for (const wake of woken) wake();
    },
    next: (signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const wake = (): void => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
        const onAbort = (): void => {
          waiting.delete(wake);
          reject(signal.reason instanceof Error ? signal.reason : new Error('The wait was given up.'));
        };
        waiting.add(wake);
        signal.addEventListener('abort', onAbort, { once: true });
      }),
  };
}
