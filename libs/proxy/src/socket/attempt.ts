// What does one attempt at one instance hold, and what does it leave in the counters?
import type { Target } from '../engine.ts';
import type { EngineState } from './engine-state.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';

/** An attempt under way; counted at its instance until `close`. */
export class Attempt {
  readonly target: Target;
  readonly upstream: UpstreamConnection;
  /** the instance sent something */
  heard = false;
  readonly #engine: EngineState;
  readonly #startedMs: number;
  #open = true;

  /** Takes a kept connection, unless `fresh`. */
  constructor(engine: EngineState, target: Target, how: { readonly fresh: boolean; readonly retry: boolean }) {
    const { meter } = target;
    meter.requests += 1;
    meter.inFlight += 1;
    if (how.retry) {
      meter.retries += 1;
      engine.counters.retriesTotal += 1;
    }
    this.target = target;
    this.upstream = (how.fresh ? undefined : engine.pools.take(target)) ?? engine.pools.open(target);
    this.#engine = engine;
    this.#startedMs = engine.options.clock.monotonicMs();
  }

  use(user: UpstreamUser): void {
    this.upstream.use(user);
  }

  get tookMs(): number {
    return this.#engine.options.clock.monotonicMs() - this.#startedMs;
  }

  /** The head of an answer came. */
  answered(status: number): void {
    const { meter } = this.target;
    const { tookMs } = this;
    meter.latency.record(tookMs);
    meter.recent.record(tookMs);
    if (status >= 500) meter.serverErrors += 1;
  }

  /** It failed by the fault of the instance. */
  blame(reason: string): void {
    const { meter } = this.target;
    meter.errors += 1;
    meter.lastError = reason;
    meter.lastErrorUnixMs = this.#engine.options.clock.unixMs();
  }

  /** It is over; the connection is somebody else's to deal with. Later calls change nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.target.meter.inFlight -= 1;
  }
}
