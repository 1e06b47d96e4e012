// How is a duration written? As people write it ('3s', '500ms', '1m', '2h', '1d'); inside it is milliseconds.
import { z } from 'zod';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of a written duration, or `undefined` when it is not one. A fraction is allowed: '1.5s'. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text.trim());
  const factor = unitMs[match?.[2] ?? ''];
  return match && factor ? Math.round(Number(match[1]) * factor) : undefined;
}

/** The shortest exact way to write `ms`. */
export function formatDurationMs(ms: number): string {
  for (const [unit, factor] of Object.entries(unitMs).reverse()) {
    if (ms >= factor && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return `${ms}ms`;
}

/** Schema of a duration between two bounds (inclusive, in ms); output stays the written form. */
export const durationSchema = (minMs: number, maxMs: number): z.ZodType<string, string> =>
  z
    .string()
    .max(20)
    .refine(
      (text) => {
        const ms = parseDurationMs(text);
        return ms !== undefined && ms >= minMs && ms <= maxMs;
      },
      {
        error: `must be a duration such as "3s", from ${formatDurationMs(minMs)} to ${formatDurationMs(maxMs)}`,
      },
    )
    .meta({ description: `a duration, ${formatDurationMs(minMs)} to ${formatDurationMs(maxMs)}`, examples: ['3s'] });
