// When may an instance that has announced its end leave? When every live dispatcher has let go; else after a fixed time.
//
//   ASKING --all have let go--> done                       a dispatcher that is silent may be cut off and still send requests:
//     |  \--nobody can be asked--> the fixed delay         then the fixed delay is waited out; so it is for upgraded connections,
//     '--the deadline--> done, with those who have not     and for clients that were redirected and are on their way
import type { DrainView, Result } from '@switchyard/protocol';
import { withDeadline } from '@switchyard/runtime';
import type { Clock } from '@switchyard/runtime';

const lookDeadlineMs = 500;
const firstPauseMs = 20;
const longestPauseMs = 200;

/** Waits, and says in words for people what ended it. Never rejects. */
export const waitUntilLetGo = async (options: {
  /** Undefined when nobody can be asked. */
  readonly look: ((signal: AbortSignal) => Promise<Result<DrainView>>) | undefined;
  /** Sleeps; false when the agent stops. */
  readonly rest: (ms: number) => Promise<boolean>;
  readonly delayMs: number;
  /** On the monotonic clock. */
  readonly endMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<string> => {
  const { look, rest, delayMs, endMs, clock, signal } = options;
  const patientMs = clock.monotonicMs() + delayMs;
  let fault = 'who has let go cannot be asked';

  const viewNow = async (): Promise<DrainView | undefined> => {
    try {
      const seen = await withDeadline(
        (deadline) => look?.(deadline) ?? Promise.reject(new Error(fault)),
        lookDeadlineMs,
        {
          what: 'the look who has let go',
          signal,
        },
      );
      if (seen.ok) return seen.value;
      fault = seen.error.detail;
    } catch (error) {
      fault = error instanceof Error ? error.message : String(error);
    }
    return undefined;
  };

  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 1.5)) {
    const view = look && (await viewNow());
    const live = view?.dispatchers.filter((one) => one.live) ?? [];
    const nowMs = clock.monotonicMs();
    const patience = nowMs >= patientMs;
    const nothingElse = view?.tunnels === 0 && !view.direct && live.length === view.dispatchers.length;
    if (view?.done && (nothingElse || patience)) return `by ${live.length} dispatchers`;
    if (patience && live.length === 0) return `not known: ${view ? view.problems.join('; ') : fault}`;
    if (nowMs >= endMs) return `not by ${whoHolds(live)}`;
    // until there is something to look at again, or nothing to wait for any more
    const untilMs = look ? nowMs + pauseMs : patientMs;
    const ends = [untilMs, endMs, ...(patience ? [] : [patientMs])];
    if (!(await rest(Math.max(0, Math.min(...ends) - nowMs)))) return 'not known: the agent stops';
  }
};

const whoHolds = (live: DrainView['dispatchers']): string =>
  live
    .filter((one) => !one.acknowledged || one.inFlight !== 0)
    .map(
      (one) => `${one.id} (${one.acknowledged ? `${one.inFlight ?? 0} requests under way` : 'it may still send some'})`,
    )
    .join(', ');
