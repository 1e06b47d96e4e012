// In which order do parts start and stop, and for how long may each take?
import type { Clock } from './clock.ts';
import type { Component } from './component.ts';
import { withDeadline } from './deadline.ts';
import type { Logger } from './logger.ts';

const defaultStopDeadlineMs = 5_000;
/** The part of the whole time that draining may take. */
const drainRatio = 0.6;

/** A part did not start; the service cannot run. */
export class StartError extends Error {
  override readonly name = 'StartError';
  readonly component: string;

  constructor(component: string, cause: unknown) {
    super(`${component} did not start: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.component = component;
  }
}

/**
 * Starts `components` one after the other and puts each that works into `started`. Rejects at the first that fails, or when
 * `signal` aborts. There is no deadline here: a part that waits for Redis says so through health and waits.
 */
export const startAll = async (
  components: readonly Component[],
  options: {
    readonly logger: Logger;
    readonly signal: AbortSignal;
    readonly started: Component[];
    /** Ms that a start may go on after `signal` aborted. */
    readonly abortedStartMs: number;
  },
): Promise<void> => {
  const { logger, signal, started, abortedStartMs } = options;
  for (const component of components) {
    signal.throwIfAborted();
    try {
      if (component.start) await unlessStuck(component.start(signal), signal, abortedStartMs);
    } catch (error) {
      throw signal.aborted ? error : new StartError(component.name, error);
    }
    started.push(component);
    logger.debug({ component: component.name }, 'component.started');
  }
};

/** Settles as `start` does, but rejects `ms` after `signal` aborted at the latest. */
const unlessStuck = async (start: Promise<void>, signal: AbortSignal, ms: number): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const stuck = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      timer = setTimeout(() => reject(new Error(`the start went on for ${String(ms)} ms after its signal`)), ms);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([start, stuck]);
  } finally {
    clearTimeout(timer);
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
};

/**
 * Drains all parts at the same time, then stops them one by one in reverse, each within its deadline and all within `graceMs`.
 * A failure is logged and the next part is stopped. Resolves to true when every part ended well.
 */
export const stopAll = async (
  started: readonly Component[],
  options: { readonly clock: Clock; readonly logger: Logger; readonly graceMs: number },
): Promise<boolean> => {
  const { clock, logger, graceMs } = options;
  const endMs = clock.monotonicMs() + graceMs;
  const attempt = async (component: Component, step: 'drain' | 'stop'): Promise<boolean> => {
    if (!component[step]) return true;
    // Those that are slow to drain leave time for the stops.
    const leftMs = Math.max(0, endMs - clock.monotonicMs()) * (step === 'drain' ? drainRatio : 1);
    const ms = Math.min(component.stopDeadlineMs ?? defaultStopDeadlineMs, leftMs);
    try {
      await withDeadline(async () => component[step]?.(), ms, `${step} of ${component.name}`);
      return true;
    } catch (error) {
      logger.error({ component: component.name, step, err: error }, 'component.unclean');
      return false;
    }
  };

  const drained = await Promise.all(started.map((component) => attempt(component, 'drain')));
  let clean = drained.every(Boolean);
  for (const component of started.toReversed()) {
    clean = (await attempt(component, 'stop')) && clean;
  }
  return clean;
};
