// Who waits for something newer (long-poll)? Each waits for one service, or for all; nobody waits longer than asked for.

interface Waiter {
  /** wakes it up when something newer than this happens */
  readonly after: number;
  readonly wake: () => void;
}

export interface WatchWaiters {
  /**
   * Resolves when the service (or any, when undefined) moved past the revision `after`, after `waitMs`, when the signal aborts or when
   * all are released; at once when too many wait already: then false.
   */
  wait(
    service: string | undefined,
    options: { readonly after: number; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<boolean>;
  /** Wakes those who wait for this service, or for any. Returns how many. */
  moved(service: string, revision: number): number;
  /** Wakes everybody. */
  wakeAll(): number;
  readonly size: number;
}

/** The key of those who wait for any service; no name of a service is empty. */
const ANY = '';

export function createWatchWaiters(mostWaiters: number): WatchWaiters {
  const waiting = new Map<string, Set<Waiter>>();
  let size = 0;

  const wakeAt = (key: string, revision: number): number => {
    let woken = 0;
    for (const waiter of waiting.get(key) ?? []) {
      if (waiter.after >= revision) continue;
      waiter.wake();
      woken += 1;
    }
    return woken;
  };

  return {
    wait(service, { after, waitMs, signal }) {
      if (signal.aborted) return Promise.resolve(true);
      if (size >= mostWaiters) return Promise.resolve(false);
      const key = service ?? ANY;
      const atKey = waiting.get(key) ?? new Set();
      waiting.set(key, atKey);
      return new Promise((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', wake);
          if (!atKey.delete(waiter)) return;
          size -= 1;
          if (atKey.size === 0 && waiting.get(key) === atKey) waiting.delete(key);
          resolve(true);
        };
        const waiter: Waiter = { after, wake };
        const timer = setTimeout(wake, waitMs);
        signal.addEventListener('abort', wake, { once: true });
        atKey.add(waiter);
        size += 1;
      });
    },
    moved: (service, revision) => wakeAt(service, revision) + wakeAt(ANY, revision),
    wakeAll() {
      const woken = size;
      for (const key of waiting.keys()) wakeAt(key, Infinity);
      return woken;
    },
    get size() {
      return size;
    },
  };
}
