// How does a test wait for something that happens soon? It asks again until it is true, and says what was wrong last.

/** How long to ask (default 5000 ms), how often (default 25 ms), and the words for the error. */
export interface EventuallyOptions {
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
  /** Names what did not come true. */
  readonly what?: string;
}

/**
 * Calls `attempt` until it neither throws nor gives `false` or `null`; resolves with its value (a callback of mere
 * expectations gives `undefined`: success). Rejects after `timeoutMs` with the last failure as cause; an attempt that
 * hangs is given up at the same moment.
 */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Exclude<T, false | null>> {
  const timeoutMs = options.timeoutMs ?? 5_000;
  const deadlineMs = performance.now() + timeoutMs;
  let last: unknown = 'no attempt came to an end';
  let attempts = 0;
  do {
    attempts += 1;
    try {
      const value = await before(deadlineMs, Promise.resolve().then(attempt));
      if (value !== false && value !== null) return value as Exclude<T, false | null>;
      last = `it gave ${String(value)}`;
    } catch (error) {
      last = error;
    }
    await pause(Math.min(options.intervalMs ?? 25, Math.max(0, deadlineMs - performance.now())));
  } while (performance.now() < deadlineMs);
  const reason = last instanceof Error ? last.message : String(last);
  throw new Error(
    `${options.what ?? 'What the test waited for'} did not come true in ${timeoutMs} ms (${attempts} attempts): ${reason}`,
    { cause: last },
  );
}

async function before<T>(deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the attempt was still running')), deadlineMs - performance.now());
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
