// How is a decision carried out while others decide too? Read, decide, commit; on a conflict again, a bounded number of times.
import { MAX_COMMIT_ATTEMPTS } from '@switchyard/catalog';
import type { CatalogStore, Cursor, Decision, Fence } from '@switchyard/catalog';
import { refuse, ok } from '@switchyard/protocol';
import type { Result } from '@switchyard/protocol';

export type Carried = { readonly type: 'unchanged' } | { readonly type: 'committed'; readonly cursor: Cursor };

/** Carries out what `decide` decides on fresh documents. Refuses with `decide`'s refusal, `conflict`, or `stale_leader`. */
export async function decideAndCommit(
  store: CatalogStore,
  decide: () => Promise<Result<Decision>>,
  fence?: Fence,
): Promise<Result<Carried>> {
  for (let attempt = 0; attempt < MAX_COMMIT_ATTEMPTS; attempt += 1) {
    const decision = await decide();
    if (!decision.ok) return decision;
    if (decision.value.type === 'unchanged') return ok({ type: 'unchanged' });
    const outcome = await store.commit(decision.value.commit, fence);
    if (outcome.type === 'committed') return ok(outcome);
    if (outcome.type === 'fenced')
      return refuse('stale_leader', 'the lease has another holder by now; nothing was written');
  }
  return refuse('conflict', `others changed the same document ${MAX_COMMIT_ATTEMPTS} times in a row`, {
    next: 'send the request again',
  });
}
