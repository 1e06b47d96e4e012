// On which state of a document does a change insist? What `If-Match` is for HTTP, without HTTP.
import { ok, refuse } from '@switchyard/protocol';
import type { Result } from '@switchyard/protocol';

/** Exactly this revision (0: it must not exist yet), or any, as long as it exists. */
export type Precondition = number | 'existing';

/** Refuses with `revision_mismatch` when `current` is not what the change insists on; no precondition always holds. */
export function checkPrecondition(
  what: string,
  current: { readonly revision: number } | undefined,
  precondition: Precondition | undefined,
): Result<null> {
  const revision = current?.revision ?? 0;
  if (precondition === undefined || precondition === revision) return ok(null);
  if (precondition === 'existing') {
    return current ? ok(null) : refuse('revision_mismatch', `${what} does not exist`);
  }
  const found = current ? `has revision ${revision}` : 'does not exist';
  return refuse('revision_mismatch', `${what} ${found}, and is not at revision ${precondition}`);
}
