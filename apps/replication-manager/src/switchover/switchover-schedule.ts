// When is a switchover wanted? `2026-11-21T03:00:00Z`, or `in 10m`.
import { ok, parseDurationMs, refuse, type Result } from '@switchyard/protocol';

const longestAheadMs = 30 * 86_400_000;
/** A scheduled one that comes later than this is dropped: nobody expects it any more. */
export const mostLateMs = 300_000;

/** The moment in unix ms; null = now. Refuses what cannot be read, what is past, and what is further away than 30 days. */
export const parseAt = (text: string | undefined, nowUnixMs: number): Result<number | null> => {
  if (text === undefined) return ok(null);
  const after = /^in\s+(\S+)$/.exec(text.trim())?.[1];
  const aheadMs = after === undefined ? undefined : parseDurationMs(after);
  const atMs = after === undefined ? Date.parse(text) : nowUnixMs + (aheadMs ?? Number.NaN);
  if (!Number.isFinite(atMs)) {
    return refuse('invalid_input', `at: ${text} is no time`, {
      next: 'give a time such as 2026-11-21T03:00:00Z, or "in 10m"',
    });
  }
  if (atMs < nowUnixMs - 1_000) {
    return refuse('invalid_input', `at: ${text} has passed`, { next: 'leave "at" out to switch over now' });
  }
  if (atMs - nowUnixMs > longestAheadMs) {
    return refuse('invalid_input', `at: ${text} is more than 30 days ahead`, { next: 'schedule it later' });
  }
  return ok(Math.max(atMs, nowUnixMs));
};
