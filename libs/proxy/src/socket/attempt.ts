// What does one attempt at one instance hold, and what does it leave in the counters?
import type { Target } from '../engine.ts';
import type { EngineState } from './engine-state.ts';
import type { Failure } from './failure.ts';
import type { SharedConnection, SharedUser } from './shared-connection.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';

/** An attempt under way; counted at its instance until `close`. */
export class Attempt {
  readonly target: Target;
  /** undefined while it shares a connection with others */
  upstream: UpstreamConnection | undefined;
  /** the instance sent something */
  heard = false;
  readonly #engine: EngineState;
  readonly #startedMs: number;
  readonly #blamable: boolean;
  #open = true;
  #giveUp: (() => void) | undefined;

  /** `blamable`: the request has not failed elsewhere, so what happens to it speaks about this instance. */
  constructor(engine: EngineState, at: { readonly target: Target; readonly blamable: boolean }, retry: boolean) {
    const { target, blamable } = at;
    const { meter } = target;
    meter.requests += 1;
    meter.inFlight += 1;
    if (retry) {
      meter.retries += 1;
      engine.counters.retriesTotal += 1;
    }
    this.target = target;
    this.#blamable = blamable;
    this.#engine = engine;
    this.#startedMs = engine.options.clock.monotonicMs();
  }

  /** On a connection of its own: a kept one, unless `fresh`. */
  alone(user: UpstreamUser, fresh: boolean): UpstreamConnection {
    const { pools } = this.#engine;
    const upstream = (fresh ? undefined : pools.take(this.target)) ?? pools.open(this.target);
    this.upstream = upstream;
    upstream.use(user);
    return upstream;
  }

  /** On a connection with others. */
  share(shared: SharedConnection, user: SharedUser, text: string): void {
    this.#giveUp = shared.add(user, text);
  }

  /** Breaks it off. */
  destroy(): void {
    this.upstream?.destroy();
    this.#giveUp?.();
  }

  get tookMs(): number {
    return this.#engine.options.clock.monotonicMs() - this.#startedMs;
  }

  /** The head of an answer came. `bodyBytes`: -1 when its length was not said; undefined for a request that never shares. */
  answered(status: number, bodyBytes: number | undefined): void {
    const { meter } = this.target;
    const nowMs = this.#engine.options.clock.monotonicMs();
    const tookMs = nowMs - this.#startedMs;
    if (bodyBytes !== undefined) this.#engine.pools.gauge(this.target).answered(tookMs, bodyBytes, nowMs);
    meter.latency.record(tookMs);
    meter.recent.record(tookMs);
    if (status >= 500) meter.serverErrors += 1;
    const { policy } = this.#engine.options;
    if (status >= 502 && status <= 504) {
      if (this.#blamable) policy.observe(this.target, 'gateway-error', `it answered ${status}`);
    } else if (meter.watched) policy.observe(this.target, 'answered', '');
  }

  /** It failed by the fault of the instance. */
  blame(reason: string): void {
    const { meter } = this.target;
    meter.errors += 1;
    meter.lastError = reason;
    meter.lastErrorUnixMs = this.#engine.options.clock.unixMs();
  }

  /** It failed before its answer: the owner hears of it when it speaks about the instance. */
  failed({ phase, reason, timedOut }: Failure): void {
    this.blame(reason);
    if (!this.#blamable) return;
    const outcome = phase === 'unsent' ? 'connect' : timedOut ? 'timeout' : 'reset';
    this.#engine.options.policy.observe(this.target, outcome, reason);
  }

  /** It is over; the connection is somebody else's to deal with. Later calls change nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.target.meter.inFlight -= 1;
  }
}
