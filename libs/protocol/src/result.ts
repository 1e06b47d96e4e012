// How is an expected outcome handed back? As a value with its reason; exceptions are for defects and I/O.
import type { ErrorCode } from './errors.ts';

/** Why something was not done: for people (`detail`, `why`, `next`) and for programs (`code`). */
export interface Refusal {
  readonly code: ErrorCode;
  /** One sentence about this occurrence: what was tried, on what, what happened. */
  readonly detail: string;
  /** Evidence, one fact a line. */
  readonly why?: readonly string[];
  /** What to do next; the error table's own advice when left out. */
  readonly next?: string;
}

export type Result<T, E = Refusal> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

/** The good outcome. */
export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });

/** The refusal, as a failed `Result`. */
export const refuse = (
  code: ErrorCode,
  detail: string,
  more: Omit<Refusal, 'code' | 'detail'> = {},
): { readonly ok: false; readonly error: Refusal } => ({ ok: false, error: { code, detail, ...more } });

/** Carries a refusal through code that can only throw; `api` layers turn it back into the problem document. */
export class RefusalError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal, options?: ErrorOptions) {
    super(refusal.detail, options);
    this.name = 'RefusalError';
    this.refusal = refusal;
  }
}
