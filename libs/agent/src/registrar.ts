// Through what does an agent speak to the catalog? A port: over HTTP, straight to Redis, or one after the other.
import type { DrainView, LoadReport, Result } from '@switchyard/protocol';

/**
 * Keeps one instance in the catalog. A method rejects when nobody could be reached; a refusal (`ok: false`) is an answer and
 * would be the same elsewhere. The signal aborts at the agent's deadline.
 */
export interface Registrar {
  /** Writes the instance as its owner describes it; the same description again changes nothing. */
  readonly register: (signal: AbortSignal) => Promise<Result<unknown>>;
  /** A sign of life, with what the instance says about its load. `unknown`: the catalog does not have the instance (any more), so it has to register again. */
  readonly beat: (signal: AbortSignal, load?: LoadReport) => Promise<'known' | 'unknown'>;
  /** Asks everybody to send no new traffic. */
  readonly drain: (reason: string, signal: AbortSignal) => Promise<Result<unknown>>;
  /** Who still has requests here, and whether every dispatcher has let go. Without it, nobody can be asked. */
  readonly drained?: (signal: AbortSignal) => Promise<Result<DrainView>>;
  /** Takes the instance out of the catalog. One that is not there counts as taken out. */
  readonly deregister: (reason: string, signal: AbortSignal) => Promise<Result<unknown>>;
}

/**
 * Asks `first`, and `second` when `first` cannot be reached. Parts of two such registrars can be put together with a spread:
 * `{ ...inTurn(overHttp, overRedis), beat: inTurn(overRedis, overHttp).beat }` registers where the rules are checked and
 * keeps beating while the registry is away.
 */
export const inTurn = (first: Registrar, second: Registrar): Registrar => {
  const attempt = async <T>(ask: (registrar: Registrar) => Promise<T>, signal: AbortSignal): Promise<T> => {
    try {
      return await ask(first);
    } catch (error) {
      if (signal.aborted) throw error;
      return await ask(second).catch((again: unknown) => {
        throw new AggregateError([error, again], `${messageOf(error)}; ${messageOf(again)}`, { cause: error });
      });
    }
  };
  return {
    register: (signal) => attempt((one) => one.register(signal), signal),
    beat: (signal, load) => attempt((one) => one.beat(signal, load), signal),
    drain: (reason, signal) => attempt((one) => one.drain(reason, signal), signal),
    drained: (signal) => attempt(drainedOf(signal), signal),
    deregister: (reason, signal) => attempt((one) => one.deregister(reason, signal), signal),
  };
};

const drainedOf =
  (signal: AbortSignal) =>
  ({ drained }: Registrar): Promise<Result<DrainView>> =>
    drained?.(signal) ?? Promise.reject(new Error('this way does not tell who has let go'));

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
