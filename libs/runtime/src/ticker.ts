// How does periodic work run? One flight at a time, by signal, errors logged on change only; the only loop with a timer.
// Idea: PeriodicExportingMetricReader of opentelemetry-js; here the end of a run and not its start is never skipped.
import type { Clock } from './clock.ts';
import type { Component } from './component.ts';
import { withDeadline } from './deadline.ts';
import type { Logger } from './logger.ts';

/** Periodic work and its limits. */
export interface TickerOptions {
  readonly name: string;
  /** Ms from the start of one run to the start of the next; a longer run delays the next, runs are never made up for. */
  readonly everyMs: number;
  /** Must look at its signal after each await: it aborts at the deadline and at stop. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ms that one run may take; max(10 * everyMs, 10000) unless given. */
  readonly deadlineMs?: number;
  /** The part of `everyMs` (0..1) by which each wait is shortened at random, so that processes spread; 0 unless given. */
  readonly jitterRatio?: number;
  /** 0..1 (exclusive), Math.random unless given. */
  readonly random?: () => number;
  /** False: the first run comes after `everyMs` and not at once. */
  readonly immediate?: boolean;
}

/** A component that runs work again and again. */
export interface Ticker extends Component {
  /** Runs as soon as the current run ends, or now; many calls in the meantime count as one. */
  wake(): void;
  stop(): Promise<void>;
  start(signal: AbortSignal): Promise<void>;
}

/** Runs that passed their deadline and still go on; with so many of them no further one is started. */
const maxAbandoned = 4;
/** Different messages remembered in one series of failures. */
const maxMessages = 16;

/**
 * A ticker. `start` does not wait for the first run. `stop` aborts the run's signal and waits for its end. A run that passes
 * its deadline fails and its signal aborts; if it ignores the signal it may overlap the next one.
 */
export const createTicker = (options: TickerOptions): Ticker => {
  const { name, everyMs, clock, logger, random = Math.random, jitterRatio = 0 } = options;
  const deadlineMs = options.deadlineMs ?? Math.max(10 * everyMs, 10_000);
  const stopped = new AbortController();
  const failures = failureLog(name, logger);
  let nap = new AbortController();
  let woken = false;
  let abandoned = 0;
  let loop: Promise<void> | undefined;
  /** Ends with the run in flight; an abandoned one is nobody's any more. */
  let current: Promise<void> | undefined;

  const runOnce = async (): Promise<void> => {
    try {
      if (abandoned >= maxAbandoned) throw new Error(`${String(abandoned)} earlier runs have not ended`);
      let late = false;
      await withDeadline(
        (signal) => {
          const run = options.run(signal);
          const ended = (): void => {
            if (late) abandoned -= 1;
          };
          current = run.then(ended, ended);
          signal.addEventListener('abort', () => {
            if (stopped.signal.aborted) return;
            late = true;
            abandoned += 1;
            current = undefined;
          });
          return run;
        },
        deadlineMs,
        { what: `a run of ${name}`, signal: stopped.signal },
      );
      failures.worked();
    } catch (error) {
      if (!stopped.signal.aborted) failures.failed(error);
    }
  };

  const sleepUntil = async (atMs: number): Promise<void> => {
    if (woken) return;
    nap = new AbortController();
    try {
      await clock.sleep(atMs - clock.monotonicMs(), AbortSignal.any([nap.signal, stopped.signal]));
    } catch (error) {
      if (!nap.signal.aborted && !stopped.signal.aborted) throw error;
    }
  };

  const runForever = async (): Promise<void> => {
    let startedMs = clock.monotonicMs();
    const waitMs = (): number => everyMs * (1 - jitterRatio * random());
    if (options.immediate === false) await sleepUntil(startedMs + waitMs());
    while (!stopped.signal.aborted) {
      woken = false;
      startedMs = clock.monotonicMs();
      await runOnce();
      await sleepUntil(startedMs + waitMs());
    }
  };

  return {
    name,
    start: () => {
      loop ??= runForever();
      return Promise.resolve();
    },
    wake: () => {
      woken = true;
      nap.abort();
    },
    stop: async () => {
      stopped.abort(new Error(`${name} stops`));
      await loop;
      await current;
    },
  };
};

/** Says a failure when it begins or changes, and once when it is over: a Redis that is away for an hour is two lines. */
const failureLog = (ticker: string, logger: Logger): { failed(error: unknown): void; worked(): void } => {
  const seen = new Set<string>();
  let count = 0;
  return {
    failed: (error) => {
      count += 1;
      const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      if (seen.has(message) || seen.size >= maxMessages) return;
      seen.add(message);
      logger.warn({ ticker, err: error }, 'ticker.failed');
    },
    worked: () => {
      if (count > 0) logger.info({ ticker, failures: count }, 'ticker.recovered');
      count = 0;
      seen.clear();
    },
  };
};
