// Which of several repositories answers? The first in which the thing is there and whole; the others are asked only when it is not.
import { refuse, type Result } from '@switchyard/protocol';
import { textOf } from '../system-error.ts';
import { ObjectStoreError, type ObjectStore } from './object-store.ts';

/** The stores that hold the same objects, in the order to read them in. */
export function copiesOf(store: ObjectStore): readonly ObjectStore[] {
  return store.copies ?? [store];
}

/**
 * The first good answer. Without one: the most telling refusal (damaged says more than missing), or the first error where a copy
 * could not be asked, because that one may have been good. What is missing or too long to be read counts as a refusal.
 */
export async function anyCopy<T>(
  store: ObjectStore,
  ask: (copy: ObjectStore) => Promise<Result<T>>,
): Promise<Result<T>> {
  let refused: Extract<Result<T>, { ok: false }> | undefined;
  let failed: { readonly error: unknown } | undefined;
  for (const copy of copiesOf(store)) {
    const result = await ask(copy).catch((error: unknown): Result<T> | undefined => {
      if (error instanceof ObjectStoreError && error.kind === 'missing') return refuse('not_found', error.message);
      if (error instanceof ObjectStoreError && error.kind === 'refused')
        return refuse('backup_corrupt', `It cannot be read: ${textOf(error)}`);
      failed ??= { error };
      return undefined;
    });
    if (result?.ok === true) return result;
    if (result !== undefined && (refused === undefined || refused.error.code === 'not_found')) refused = result;
  }
  if (refused !== undefined && (failed === undefined || refused.error.code !== 'not_found')) return refused;
  throw failed?.error;
}
