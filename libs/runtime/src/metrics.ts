// What does a service count? Prometheus text through its own registry; every metric has a bound on its label sets.
import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from '@prometheus-io/client';

/** Label values; each metric keeps at most `maxSeries` different sets, further ones are counted as "other". */
export type Labels<L extends string> = Readonly<Record<L, string | number>>;

/** Only goes up. */
export interface Counter<L extends string = never> {
  inc(by?: number): void;
  inc(labels: Labels<L>, by?: number): void;
  /** The series of these labels, looked up once: for hot paths. */
  labels(labels: Labels<L>): { inc(by?: number): void };
  remove(labels: Labels<L>): void;
}

/** Goes up and down. */
export interface Gauge<L extends string = never> {
  set(value: number): void;
  set(labels: Labels<L>, value: number): void;
  inc(by?: number): void;
  inc(labels: Labels<L>, by?: number): void;
  dec(by?: number): void;
  dec(labels: Labels<L>, by?: number): void;
  /** The series of these labels, looked up once: for hot paths. */
  labels(labels: Labels<L>): { set(value: number): void; inc(by?: number): void; dec(by?: number): void };
  remove(labels: Labels<L>): void;
  /** Forgets all series, before they are set anew from a snapshot. */
  reset(): void;
}

/** Counts observations in buckets. */
export interface Histogram<L extends string = never> {
  observe(value: number): void;
  observe(labels: Labels<L>, value: number): void;
  /** The series of these labels, looked up once: for hot paths. */
  labels(labels: Labels<L>): { observe(value: number): void };
  remove(labels: Labels<L>): void;
}

/** More than the label names of a metric. */
export interface MetricOptions<L extends string> {
  readonly labels?: readonly L[];
  /** Different label sets; 1000 unless given. */
  readonly maxSeries?: number;
}

/** The metrics of one service. The same name and labels twice give the same metric; other labels or another type throw. */
export interface Metrics {
  counter<const L extends string = never>(
    name: string,
    help: string,
    labels?: readonly L[] | MetricOptions<L>,
  ): Counter<L>;
  /** `collect` runs at each scrape and sets the gauge. */
  gauge<const L extends string = never>(
    name: string,
    help: string,
    labels?: readonly L[] | (MetricOptions<L> & { readonly collect?: (gauge: Gauge<L>) => void }),
  ): Gauge<L>;
  /** `buckets`: upper bounds in the metric's unit; those of a request in seconds unless given. */
  histogram<const L extends string = never>(
    name: string,
    help: string,
    labels?: readonly L[] | (MetricOptions<L> & { readonly buckets?: readonly number[] }),
  ): Histogram<L>;
  /** All metrics in the Prometheus text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** What each metric of Switchyard begins with; put before names that lack it. */
const prefix = 'switchyard_';
const defaultMaxSeries = 1000;
/** From 1 ms to 10 s. */
const requestSeconds: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Metrics with an own registry. `processMetrics` adds those of the process (CPU, memory, event loop lag, GC). */
export const createMetrics = (options: { readonly processMetrics?: boolean } = {}): Metrics => {
  const registry = new Registry();
  const made = new Map<string, { readonly shape: string; readonly metric: unknown }>();
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry });
  const overflow = new PromCounter({
    name: `${prefix}metrics_overflow_total`,
    help: 'Observations counted under the labels "other" because their metric has too many series',
    labelNames: ['metric'],
    registers: [registry],
  });

  const once = <M>(shape: string, name: string, make: () => M): M => {
    const known = made.get(name);
    if (known === undefined) {
      const metric = make();
      made.set(name, { shape, metric });
      return metric;
    }
    if (known.shape !== shape) throw new Error(`the metric ${name} exists already as ${known.shape}, not ${shape}`);
    return known.metric as M;
  };

  const settingsOf = <L extends string, O extends MetricOptions<L>>(
    name: string,
    help: string,
    given: readonly L[] | O | undefined,
  ) => {
    const more = (isList(given) ? { labels: given } : (given ?? {})) as O;
    const fullName = name.startsWith(prefix) ? name : prefix + name;
    const labelNames = [...(more.labels ?? [])];
    const limit = seriesLimit(labelNames, more.maxSeries ?? defaultMaxSeries, () => overflow.inc({ metric: fullName }));
    return { more, fullName, labelNames, limit, base: { name: fullName, help, labelNames, registers: [registry] } };
  };

  return {
    counter: (name, help, given) => {
      const { fullName, labelNames, limit, base } = settingsOf(name, help, given);
      return once(`counter(${labelNames.join()})`, fullName, () => wrapCounter(new PromCounter<string>(base), limit));
    },
    gauge: (name, help, given) => {
      const { more, fullName, labelNames, limit, base } = settingsOf(name, help, given);
      return once(`gauge(${labelNames.join()})`, fullName, () => {
        const collect = 'collect' in more ? (more.collect as (gauge: unknown) => void) : undefined;
        const gauge: Gauge = wrapGauge<never>(
          new PromGauge<string>({ ...base, ...(collect && { collect: () => collect(gauge) }) }),
          limit,
        );
        return gauge;
      });
    },
    histogram: (name, help, given) => {
      const { more, fullName, labelNames, limit, base } = settingsOf(name, help, given);
      return once(`histogram(${labelNames.join()})`, fullName, () => {
        const buckets = [...(('buckets' in more ? more.buckets : undefined) ?? requestSeconds)];
        return wrapHistogram(new PromHistogram<string>({ ...base, buckets }), limit);
      });
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
};

type AnyLabels = Readonly<Record<string, string | number>>;
interface Limit {
  admit(labels: AnyLabels): Record<string, string | number>;
  forget(labels: AnyLabels): void;
  clear(): void;
}

const isList = <L>(given: readonly L[] | object | undefined): given is readonly L[] => Array.isArray(given);

/** Lets the first `max` label sets through and turns all others into one. */
const seriesLimit = (labelNames: readonly string[], max: number, onOverflow: () => void): Limit => {
  const known = new Set<string>();
  const other = Object.fromEntries(labelNames.map((label) => [label, 'other']));
  const keyOf = (labels: AnyLabels): string => labelNames.map((label) => String(labels[label])).join('\u0000');
  return {
    admit: (labels) => {
      const key = keyOf(labels);
      if (known.has(key)) return labels;
      if (known.size >= max) {
        onOverflow();
        return other;
      }
      known.add(key);
      return labels;
    },
    forget: (labels) => void known.delete(keyOf(labels)),
    clear: () => known.clear(),
  };
};

/** Sorts out `(value)` and `(labels, value)`. */
const call = <T>(
  a: AnyLabels | number | undefined,
  b: number | undefined,
  bare: (value?: number) => T,
  labelled: (labels: AnyLabels, value?: number) => T,
): T => (typeof a === 'object' ? labelled(a, b) : bare(a));

const wrapCounter = <L extends string>(counter: PromCounter<string>, limit: Limit): Counter<L> => ({
  inc: (a?: Labels<L> | number, b?: number) =>
    call(
      a,
      b,
      (by) => counter.inc(by),
      (labels, by) => counter.inc(limit.admit(labels), by),
    ),
  labels: (labels) => counter.labels(limit.admit(labels)),
  remove: (labels) => {
    limit.forget(labels);
    counter.remove(labels);
  },
});

const wrapGauge = <L extends string>(gauge: PromGauge<string>, limit: Limit): Gauge<L> => ({
  set: (a: Labels<L> | number, b?: number) =>
    call(
      a,
      b,
      (value = 0) => gauge.set(value),
      (labels, value = 0) => gauge.set(limit.admit(labels), value),
    ),
  inc: (a?: Labels<L> | number, b?: number) =>
    call(
      a,
      b,
      (by) => gauge.inc(by),
      (labels, by) => gauge.inc(limit.admit(labels), by),
    ),
  dec: (a?: Labels<L> | number, b?: number) =>
    call(
      a,
      b,
      (by) => gauge.dec(by),
      (labels, by) => gauge.dec(limit.admit(labels), by),
    ),
  labels: (labels) => gauge.labels(limit.admit(labels)),
  remove: (labels) => {
    limit.forget(labels);
    gauge.remove(labels);
  },
  reset: () => {
    limit.clear();
    gauge.reset();
  },
});

const wrapHistogram = <L extends string>(histogram: PromHistogram<string>, limit: Limit): Histogram<L> => ({
  observe: (a: Labels<L> | number, b?: number) =>
    call(
      a,
      b,
      (value = 0) => histogram.observe(value),
      (labels, value = 0) => histogram.observe(limit.admit(labels), value),
    ),
  labels: (labels) => histogram.labels(limit.admit(labels)),
  remove: (labels) => {
    limit.forget(labels);
    histogram.remove(labels);
  },
});
