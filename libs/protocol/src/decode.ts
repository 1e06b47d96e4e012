// How does something from outside become a typed value? Once, at the edge, with every fault named at once.
import type { z } from 'zod';
import { ok, refuse } from './result.ts';
import type { Result } from './result.ts';

const MAX_FAULTS = 20;
const MAX_FAULT_CHARS = 200;

const place = (path: readonly PropertyKey[]): string => (path.length ? path.map(String).join('.') : 'the document');

/** Faults of a schema error as lines `field: reason`, bounded in number and length. */
export function faultsOf(error: z.ZodError): string[] {
  const faults = error.issues.map((issue) => `${place(issue.path)}: ${issue.message}`.slice(0, MAX_FAULT_CHARS));
  return faults.length > MAX_FAULTS
    ? [...faults.slice(0, MAX_FAULTS), `and ${faults.length - MAX_FAULTS} more`]
    : faults;
}

/** Decodes `value` by `schema`. Refuses with `invalid_input`, `why` naming each field and its reason. */
export function decode<S extends z.ZodType>(schema: S, value: unknown, what = 'the document'): Result<z.output<S>> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const why = faultsOf(parsed.error);
  return refuse('invalid_input', `${what} is not valid: ${why[0]}`, { why });
}

/** Decodes JSON text by `schema`; text that is no JSON is refused as `malformed_json`. */
export function decodeJson<S extends z.ZodType>(schema: S, text: string, what = 'the message'): Result<z.output<S>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse('malformed_json', `${what} is not JSON: ${JSON.stringify(text.slice(0, 60))}`);
  }
  return decode(schema, value, what);
}
