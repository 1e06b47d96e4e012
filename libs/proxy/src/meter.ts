// What is counted for each instance? Plain numbers that the request path raises and the scrape reads.
import { createLatencyHistogram, type LatencyHistogram } from './latency-histogram.ts';

/** Counters of one instance at one dispatcher. Raised by the engine, read by anybody. */
export interface InstanceMeter {
  /** Attempts that were sent to it. */
  requests: number;
  inFlight: number;
  /** Upgraded connections open now. */
  tunnels: number;
  /** Attempts that failed by its fault: no connection, no answer, broken answer. */
  errors: number;
  /** Attempts here that came after a failure elsewhere. */
  retries: number;
  /** Kept connections that it closed at the moment of reuse: tried again, nobody's fault. */
  staleConnections: number;
  /** Answers with 5xx. */
  serverErrors: number;
  lastError: string | undefined;
  lastErrorUnixMs: number;
  /** Set by the owner of the engine: it has failures on record, so answers are of interest too. */
  watched: boolean;
  /** Set by the owner of the engine: it was left out and has not answered since. Gets one request at a time. */
  onTrial: boolean;
  /** Set by the engine: it says nothing at all while requests wait. */
  stalled: boolean;
  /** Monotonic ms when it said something, or got its first request while it had none. */
  heardMs: number;
  /** Until the head of the answer, since the start. */
  readonly latency: LatencyHistogram;
  /** The same for the last one to two minutes: what people want to see. */
  readonly recent: RecentLatency;
}

/** Two halves that take turns, so that old observations leave without being kept one by one. */
export interface RecentLatency {
  record(ms: number): void;
  quantileMs(quantile: number): number;
  readonly count: number;
  /** Forgets the older half; to be called once a minute. */
  turn(): void;
}

/** The meters of all instances, by service and id; they outlive a table change. */
export interface Meters {
  of(service: string, id: string): InstanceMeter;
  /** Forgets the meters of instances that are gone; `isKnown` gets service and id. */
  retain(isKnown: (service: string, id: string) => boolean): void;
  each(visit: (service: string, id: string, meter: InstanceMeter) => void): void;
  /** Forgets the older half of every recent latency. */
  turn(): void;
}

/** An empty meter. */
export function createInstanceMeter(): InstanceMeter {
  return {
    requests: 0,
    inFlight: 0,
    tunnels: 0,
    errors: 0,
    retries: 0,
    staleConnections: 0,
    serverErrors: 0,
    lastError: undefined,
    lastErrorUnixMs: 0,
    watched: false,
    onTrial: false,
    stalled: false,
    heardMs: 0,
    latency: createLatencyHistogram(),
    recent: createRecentLatency(),
  };
}

/** No meters. As many as instances: `retain` is called at each table change. */
export function createMeters(): Meters {
  const meters = new Map<string, { readonly service: string; readonly id: string; readonly meter: InstanceMeter }>();
  return {
    of(service, id) {
      const key = `${service}/${id}`;
      let entry = meters.get(key);
      if (entry === undefined) meters.set(key, (entry = { service, id, meter: createInstanceMeter() }));
      return entry.meter;
    },
    retain(isKnown) {
      for (const [key, { service, id, meter }] of meters) {
        if (meter.inFlight === 0 && meter.tunnels === 0 && !isKnown(service, id)) meters.delete(key);
      }
    },
    each(visit) {
      for (const { service, id, meter } of meters.values()) visit(service, id, meter);
    },
    turn() {
      for (const { meter } of meters.values()) meter.recent.turn();
    },
  };
}

function createRecentLatency(): RecentLatency {
  let older = createLatencyHistogram();
  let newer = createLatencyHistogram();
  return {
    record(ms) {
      older.record(ms);
      newer.record(ms);
    },
    // `older` holds everything of both halves: it began one turn earlier.
    quantileMs: (quantile) => older.quantileMs(quantile),
    get count() {
      return older.count;
    },
    turn() {
      older.clear();
      [older, newer] = [newer, older];
    },
  };
}
