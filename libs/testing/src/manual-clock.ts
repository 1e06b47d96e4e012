// What time is it in a test? Exactly what the test says: nothing moves until `advance`.

/** The clock that services take (same shape as `Clock` of @switchyard/runtime), driven by hand. */
export interface ManualClock {
  /** Wall clock, milliseconds since 1970. */
  unixMs(): number;
  /** Milliseconds since the clock was made; never goes back. */
  monotonicMs(): number;
  /** Resolves when `advance` has passed `ms`; rejects with the signal's reason when aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Moves both clocks, wakes sleepers in the order of their times and lets each run before the next. */
  advance(ms: number): Promise<void>;
  /** Moves the wall clock alone, as NTP or an operator would. May be negative. */
  jumpWallClock(ms: number): void;
  /** How many sleeps are pending: a test can wait for the code under test to fall asleep. */
  sleepers(): number;
}

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Makes a clock that stands still; `unixMs` is where its wall clock starts. */
export function manualClock(options: { readonly unixMs?: number } = {}): ManualClock {
  let monotonicMs = 0;
  let wallOffsetMs = options.unixMs ?? 1_800_000_000_000;
  let sleeping: Sleeper[] = [];

  return {
    unixMs: () => wallOffsetMs + monotonicMs,
    monotonicMs: () => monotonicMs,
    sleepers: () => sleeping.length,
    jumpWallClock(ms) {
      wallOffsetMs += ms;
    },
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(toError(signal.reason));
        const onAbort = (): void => {
          sleeping = sleeping.filter((other) => other !== sleeper);
          reject(toError(signal?.reason));
        };
        const sleeper: Sleeper = {
          atMs: monotonicMs + Math.max(0, ms),
          wake: () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        sleeping.push(sleeper);
      });
    },
    async advance(ms) {
      const untilMs = monotonicMs + Math.max(0, ms);
      await settle();
      for (let next = earliest(sleeping, untilMs); next; next = earliest(sleeping, untilMs)) {
        const due = next;
        sleeping = sleeping.filter((other) => other !== due);
        monotonicMs = Math.max(monotonicMs, due.atMs);
        due.wake();
        await settle();
      }
      monotonicMs = untilMs;
      await settle();
    },
  };
}

function earliest(sleeping: readonly Sleeper[], untilMs: number): Sleeper | undefined {
  let best: Sleeper | undefined;
  for (const sleeper of sleeping) {
    if (sleeper.atMs <= untilMs && (best === undefined || sleeper.atMs < best.atMs)) best = sleeper;
  }
  return best;
}

// One turn of the event loop drains every microtask, however long the chain of awaits behind a wake-up is.
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The sleep was aborted.', { cause: reason });
}
