// What is a forwarded request waiting for, and how long may it? One deadline that moves from state to state.
import type { Deadlines } from './deadlines.ts';

/** The timeout of the state a request is in. */
export interface Watch {
  /** Enters a state that may last `ms`; `expire` ends it. */
  wait(ms: number, expire: () => void): void;
  /** Enters a state in which bytes move: each movement gives it `ms` more. */
  stream(ms: number, expire: () => void): void;
  /** Bytes moved. Means nothing outside a streaming state. */
  moved(): void;
  close(): void;
}

/** A watch in no state. */
export function createWatch(deadlines: Deadlines): Watch {
  let onExpire: (() => void) | undefined;
  let streamMs = 0;
  const deadline = deadlines.open(() => onExpire?.());
  return {
    wait(ms, expire) {
      streamMs = 0;
      onExpire = expire;
      deadline.set(ms);
    },
    stream(ms, expire) {
      streamMs = ms;
      onExpire = expire;
      deadline.set(ms);
    },
    moved() {
      if (streamMs > 0) deadline.set(streamMs);
    },
    close() {
      onExpire = undefined;
      deadline.close();
    },
  };
}
