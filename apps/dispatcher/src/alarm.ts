// How is something done at a moment that keeps moving? One sleep at a time, on the clock that the rest of the process uses.
import type { Clock } from '@switchyard/runtime';

/** Rings at most once for each time it is set. */
export interface Alarm {
  /** Rings at this moment of the monotonic clock, and not at any earlier set one; Infinity for never. */
  set(atMs: number): void;
}

/** Not set. `ring` must not throw. */
export function createAlarm({ clock, ring }: { readonly clock: Clock; readonly ring: () => void }): Alarm {
  let setMs = Infinity;
  let sleep = new AbortController();
  return {
    set(atMs) {
      if (atMs === setMs) return;
      sleep.abort();
      setMs = atMs;
      if (atMs === Infinity) return;
      const own = (sleep = new AbortController());
      const ringOnce = (): void => {
        if (own.signal.aborted) return;
        setMs = Infinity;
        ring();
      };
      clock.sleep(atMs - clock.monotonicMs(), own.signal).then(ringOnce, () => undefined);
    },
  };
}
