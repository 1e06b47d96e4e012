// Which instant does a person mean? ISO 8601 with a time zone, `now`, so long ago (`-5m`), or unix milliseconds.
import { parseDurationMs, refuse, ok, type Result } from '@switchyard/protocol';

const isoPattern = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:(Z)|([+-])(\d\d):?(\d\d))$/i;
const withoutZone = /^\d{4}-\d\d-\d\d(?:[T ][\d:.]+)?$/;
const advice = 'Write it as 2026-01-02T03:04:05Z, as -90s, -5m or -2h ago, as unix milliseconds, or now.';

/** Unix milliseconds (whole; smaller parts are cut off) of `text`. Refuses with `invalid_input` anything that could mean two things. */
export function parseMoment(text: string, nowMs: number): Result<number> {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === 'now') return ok(nowMs);
  if (trimmed.startsWith('-')) {
    const ago = parseDurationMs(trimmed.slice(1));
    return ago === undefined ? unreadable(text, 'it is no duration') : ok(nowMs - ago);
  }
  if (/^\d+$/.test(trimmed)) {
    // Seconds would be read as a day in January 1970: that is a mistake and not a wish.
    return trimmed.length >= 12 && trimmed.length <= 14
      ? ok(Number(trimmed))
      : unreadable(text, 'unix milliseconds have 13 digits');
  }
  if (withoutZone.test(trimmed)) return unreadable(text, 'it says no time zone: end it with Z for UTC, or with +02:00');
  const match = isoPattern.exec(trimmed);
  if (match === null) return unreadable(text, 'it is no moment that can be understood');
  const [year, month, day, hours, minutes] = match.slice(1, 6).map(Number);
  const seconds = Number(match[6] ?? 0);
  const ms = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const local = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hours, minutes, seconds, ms);
  // A 30th of February would silently become the 2nd of March.
  const exists = new Date(local)
    .toISOString()
    .startsWith(`${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}`);
  if (!exists || seconds > 59) return unreadable(text, 'there is no such moment in the calendar');
  const zoneMinutes = match[8] === undefined ? Number(match[10]) * 60 + Number(match[11]) : 0;
  return ok(local - (match[9] === '-' ? -1 : 1) * zoneMinutes * 60_000);
}

function unreadable(text: string, why: string): Result<number> {
  return refuse('invalid_input', `The moment ${JSON.stringify(text.slice(0, 64))} cannot be used: ${why}.`, {
    next: advice,
  });
}
