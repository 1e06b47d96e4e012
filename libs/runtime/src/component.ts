// What is a part of a service that starts and stops? Implemented by servers, tickers, connections, feeds.

/**
 * A part with a life. Nothing happens before `start`. `start` resolves when the part works, or rejects (then the service does
 * not start); it gives up when its signal aborts. A part whose `start` did not resolve cleans up by itself: `stop` is not called.
 */
export interface Component {
  readonly name: string;
  start?(signal: AbortSignal): Promise<void>;
  /**
   * Takes no new work and finishes what is in flight, while all other parts still run. All parts drain at the same time,
   * before the first one is stopped.
   */
  drain?(): Promise<void>;
  /** Releases everything. Called once, after `drain`, in the reverse order of the start. */
  stop?(): Promise<void>;
  /** Ms that `drain` and `stop` may take, each; 5000 unless given. Past it the service goes on and its exit is unclean. */
  readonly stopDeadlineMs?: number;
}
