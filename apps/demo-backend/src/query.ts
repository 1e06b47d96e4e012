// Which number did the client ask for? Nonsense is refused by name and range, never taken for a default.
import { ok, refuse } from '@switchyard/protocol';
import type { Result } from '@switchyard/protocol';

/** What a numeric query parameter may be. */
export interface NumberRange {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly fallback: number;
}

/** The parameter as a whole number; `fallback` when it is absent; a refusal when it is given twice, no number or out of range. */
export const wholeNumber = (query: URLSearchParams, range: NumberRange): Result<number> => {
  const { name, min, max, fallback } = range;
  const given = query.getAll(name);
  const [text] = given;
  if (text === undefined) return ok(fallback);
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (given.length === 1 && value >= min && value <= max) return ok(value);
  return refuse('invalid_input', `${name} is not a number that can be taken`, {
    why: [
      `${name}: must be given once, a whole number from ${min} to ${max}, not ${JSON.stringify(given.join('&').slice(0, 40))}`,
    ],
    next: `try ?${name}=${fallback}`,
  });
};
