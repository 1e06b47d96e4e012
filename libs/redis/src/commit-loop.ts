// How is a decision carried out while others decide too? Read, decide, commit; on a conflict again, a bounded number of times.
import { setTimeout as sleep } from 'node:timers/promises';
import { announce, emptySnapshot, MAX_COMMIT_ATTEMPTS } from '@switchyard/catalog';
import type { CatalogStore, Cursor, Decision, Fence } from '@switchyard/catalog';
import { refuse, ok } from '@switchyard/protocol';
import type { NewEvent, Result } from '@switchyard/protocol';

type Writable = Pick<CatalogStore, 'commit' | 'raiseEpoch'>;

export type Carried = { readonly type: 'unchanged' } | { readonly type: 'committed'; readonly cursor: Cursor };

/** A keeper begins the next epoch within a quarter of a second (epoch-keeper.ts). */
const CLAIM_POLL_MS = 25;
const CLAIM_PATIENCE_MS = 1_500;

/** Carries out what `decide` decides on fresh documents. Refuses with `decide`'s refusal, `conflict`, `stale_leader` or `not_ready`. */
export async function decideAndCommit(
  store: Writable,
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
    // what it was decided on may be written back in the meantime, so it is decided again
    if (outcome.type === 'unclaimed') await claimed(store);
  }
  return refuse('conflict', `others changed the same document ${MAX_COMMIT_ATTEMPTS} times in a row`, {
    next: 'send the request again',
  });
}

/** Commits an event that changes no document. Refuses with `conflict` when the next epoch does not begin. */
export const announceEvent = (store: Writable, event: NewEvent): Promise<Result<Carried>> =>
  decideAndCommit(store, async () => ok({ type: 'commit', commit: announce(event) }));

/** Waits until somebody who knows the catalog has begun its next epoch; begins it when nobody does. */
async function claimed(store: Writable): Promise<void> {
  const endMs = performance.now() + CLAIM_PATIENCE_MS;
  const nobody = { epoch: 0, revision: 0 };
  while (performance.now() < endMs) {
    const { type } = await store.raiseEpoch(nobody);
    if (type === 'fine') return;
    await sleep(CLAIM_POLL_MS);
  }
  await store.raiseEpoch(nobody, {
    reason: 'Redis is another process, or empty, and nobody knew more',
    snapshot: emptySnapshot,
  });
}
