// What is one metric to the code that counts? Prometheus metrics behind plain interfaces, each with a bound on its series.
import type { Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram } from '@prometheus-io/client';

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

type AnyLabels = Readonly<Record<string, string | number>>;
/** Which label sets a metric keeps. */
export interface SeriesLimit {
  admit(labels: AnyLabels): Record<string, string | number>;
  forget(labels: AnyLabels): void;
  clear(): void;
}

/** Lets the first `max` label sets through and turns all others into one. */
export const seriesLimit = (labelNames: readonly string[], max: number, onOverflow: () => void): SeriesLimit => {
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

/** A counter of the Prometheus client within `limit`. */
export const wrapCounter = <L extends string>(counter: PromCounter<string>, limit: SeriesLimit): Counter<L> => ({
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

/** A gauge of the Prometheus client within `limit`. */
export const wrapGauge = <L extends string>(gauge: PromGauge<string>, limit: SeriesLimit): Gauge<L> => ({
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

/** A histogram of the Prometheus client within `limit`. */
export const wrapHistogram = <L extends string>(
  histogram: PromHistogram<string>,
  limit: SeriesLimit,
): Histogram<L> => ({
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
