// On which revision does a request insist? `If-Match: "<revision>"` (RFC 9110 13.1.1), the ETag of every document.
import type { Precondition } from '@switchyard/catalog';
import { refuse, ok } from '@switchyard/protocol';
import type { Result } from '@switchyard/protocol';

/** The ETag of a revision. */
export const etagOf = (revision: number): Record<string, string> => ({ etag: `"${revision}"` });

/** What `If-Match` insists on; undefined when there is none. */
export function ifMatchOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Result<Precondition | undefined> {
  const given = headers['if-match'];
  const text = (Array.isArray(given) ? given.join(',') : given)?.trim();
  if (text === undefined) return ok(undefined);
  if (text === '*') return ok('existing');
  const revision = /^(?:W\/)?"?(\d{1,15})"?$/.exec(text)?.[1];
  return revision === undefined
    ? refuse('invalid_input', `If-Match is not one ETag: ${text.slice(0, 80)}`, {
        why: ['If-Match: must be the ETag of the document, such as "42"'],
      })
    : ok(Number(revision));
}
