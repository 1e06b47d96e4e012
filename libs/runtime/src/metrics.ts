// What does a service count? Prometheus text through its own registry; every metric has a bound on its label sets.
import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from '@prometheus-io/client';
import type { Counter, Gauge, Histogram } from './metric.ts';
import { seriesLimit, wrapCounter, wrapGauge, wrapHistogram } from './metric.ts';

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

const isList = <L>(given: readonly L[] | object | undefined): given is readonly L[] => Array.isArray(given);
