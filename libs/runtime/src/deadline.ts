// How long may this take? Gives any promise a deadline and names the work in the error when it passes.

/** The work named by `what` did not end within `ms`. A retry may be sensible: nothing is known about its effect. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  readonly code = 'deadline_exceeded';
  readonly what: string;
  readonly ms: number;

  constructor(what: string, ms: number) {
    super(`${what} did not end within ${String(ms)} ms`);
    this.what = what;
    this.ms = ms;
  }
}

/** Work that may be told to end: a promise that runs already, or a function that takes the signal of its deadline. */
export type Work<T> = PromiseLike<T> | ((signal: AbortSignal) => PromiseLike<T>);

/**
 * Settles as `work` does, or rejects with a DeadlineError that names `what` after `ms`. A function gets a signal that aborts
 * at the deadline, or when `options.signal` aborts (then the promise rejects with that signal's reason). What the work does
 * after its deadline is ignored, also when it fails.
 */
export const withDeadline = <T>(
  work: Work<T>,
  ms: number,
  what: string | { readonly what: string; readonly signal?: AbortSignal },
): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    const { what: name, signal: outer } =
      typeof what === 'string' ? { what, signal: undefined } : { signal: undefined, ...what };
    const controller = new AbortController();
    const end = (): void => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', onOuterAbort);
    };
    const giveUp = (reason: unknown): void => {
      end();
      reject(reason);
      controller.abort(reason);
    };
    const onOuterAbort = (): void => giveUp(outer?.reason);
    const timer = setTimeout(() => giveUp(new DeadlineError(name, ms)), ms);
    if (outer?.aborted === true) {
      giveUp(outer.reason);
      if (typeof work === 'function') return;
    } else {
      outer?.addEventListener('abort', onOuterAbort, { once: true });
    }
    startWork(work, controller.signal).then(
      (value) => {
        end();
        resolve(value);
      },
      (error: unknown) => {
        end();
        reject(error);
      },
    );
  });

/** Also a function that throws before its first await ends up as a rejection, so that the timer is always cleared. */
const startWork = async <T>(work: Work<T>, signal: AbortSignal): Promise<T> =>
  await (typeof work === 'function' ? work(signal) : work);
