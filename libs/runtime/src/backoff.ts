// How long to wait before the next try? Exponential back-off with equal jitter
// (half fixed, half random: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

/** Waits that grow with each failure in a row. */
export interface Backoff {
  /** The wait in ms before the next try: between half and all of min(maxMs, baseMs * 2^n). */
  next(): number;
  /** A try worked: start again from `baseMs`. */
  reset(): void;
}

/** A back-off. `random` returns 0..1 (exclusive) and is Math.random unless given. */
export const backoff = (options: {
  readonly baseMs: number;
  readonly maxMs: number;
  readonly random?: () => number;
}): Backoff => {
  const { baseMs, maxMs, random = Math.random } = options;
  let failures = 0;
  return {
    next: () => {
      // The exponent stops growing long before 2^n leaves the range of a number.
      const ceilingMs = Math.min(maxMs, baseMs * 2 ** Math.min(failures, 40));
      failures += 1;
      return Math.round(ceilingMs / 2 + random() * (ceilingMs / 2));
    },
    reset: () => {
      failures = 0;
    },
  };
};
