// How is something waited for without waiting for ever?
import { Problem } from '../dev/problem.mjs';

/** Resolves after `ms`. */
export function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** What `look` gives as soon as it is neither false nor undefined nor an error; a Problem about `what` after `ms`. */
export async function until(look, { what, ms = 10_000, everyMs = 50 }) {
  const deadlineMs = performance.now() + ms;
  let last;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      last = error.cause?.message ?? error.message;
    }
    if (performance.now() > deadlineMs)
      throw new Problem(`${what}: not within ${ms} ms${last === undefined ? '' : ` (${last})`}`);
    await pause(everyMs);
  }
}

/** One request, at most `ms` long: `{ status, body, headers }`. Redirects are not followed. */
export async function ask(url, { ms = 3_000, ...options } = {}) {
  const answer = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(ms), ...options });
  return { status: answer.status, body: await answer.text(), headers: answer.headers };
}
