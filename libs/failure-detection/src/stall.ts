// When does one dispatcher stop to trust an instance that says nothing at all? A process that hangs (SIGSTOP, a blocked event loop,
// a black hole in the network) still accepts connections, so only its silence speaks: several requests wait, all for longer than
// its answers ever take, and nothing else has come from it meanwhile. Long before a health check would notice.

/** What the dispatcher knows about one instance now. */
export interface Silence {
  /** Requests without a byte of an answer that have waited for longer than `stallLimitMs`. */
  readonly waiting: number;
  /** Ms since it answered anything, or since it had nothing to do. */
  readonly silentMs: number;
  readonly limitMs: number;
  /** It was left out, or had stalled, and has not answered since. */
  readonly doubted: boolean;
}

/** Shorter silences are garbage collections. */
const SHORTEST_MS = 250;
/** While little is known about its answers. */
const UNKNOWN_MS = 1_000;
const KNOWN_FROM = 50;
const USUAL_TIMES = 4;
/** One or two may be slow requests of their own; one that is doubted gets no more than that. */
const WAITING_FROM = 3;

/** Ms of waiting beyond which a request says something. `p99Ms` of the last `observations` answers. */
export function stallLimitMs(p99Ms: number, observations: number): number {
  return observations < KNOWN_FROM
    ? Math.max(UNKNOWN_MS, USUAL_TIMES * p99Ms)
    : Math.max(SHORTEST_MS, USUAL_TIMES * p99Ms);
}

/** True when the instance has stalled: its requests are better off elsewhere. */
export function isStalled({ waiting, silentMs, limitMs, doubted }: Silence): boolean {
  return silentMs > limitMs && waiting >= (doubted ? 1 : WAITING_FROM);
}
