// What does the catalog need from a store? Implemented on Redis and, for tests, in memory; one suite tests both.
import type { ServicePolicy, SwitchyardEvent, TrafficRoute, Instance } from '@switchyard/protocol';
import type { Commit } from './commit.ts';
import type { Versioned } from './setting-transitions.ts';
import type { CatalogSnapshot } from './view.ts';

export interface Cursor {
  readonly epoch: number;
  readonly revision: number;
}

/** The write holds only while this lease still has this fencing token. */
export interface Fence {
  readonly lease: string;
  readonly token: number;
}

export type CommitOutcome =
  | { readonly type: 'committed'; readonly cursor: Cursor }
  /** somebody changed an expected document first: read again, decide again */
  | { readonly type: 'conflict'; readonly key: string }
  /** the lease has another holder by now */
  | { readonly type: 'fenced' };

/**
 * What came after a cursor. `gap`: those events are no longer there, or the epoch is another, or a later version wrote one of
 * them: load the snapshot.
 */
export type Tail =
  | { readonly type: 'events'; readonly cursor: Cursor; readonly events: readonly SwitchyardEvent[] }
  | { readonly type: 'gap'; readonly cursor: Cursor };

export interface HistoryPage {
  /** without those that a later version wrote */
  readonly events: readonly SwitchyardEvent[];
  /** `before` of the next page; null when this was the last one */
  readonly next: number | null;
}

/** Every method rejects when the store cannot be reached within its deadline; nothing is half-written then. */
export interface CatalogStore {
  commit(commit: Commit, fence?: Fence): Promise<CommitOutcome>;
  readInstance(service: string, id: string): Promise<Instance | undefined>;
  readService(name: string): Promise<Versioned<ServicePolicy> | undefined>;
  readRoute(name: string): Promise<Versioned<TrafficRoute> | undefined>;
  snapshot(): Promise<CatalogSnapshot>;
  tail(after: Cursor, limit: number): Promise<Tail>;
  /** Newest first, older than `before` (exclusive). Looks at `limit` events. */
  history(before: number | undefined, limit: number): Promise<HistoryPage>;
  /** Begins the next epoch when the store may have gone back; true when this call did it. */
  raiseEpoch(seen: Cursor, reason: string): Promise<boolean>;
}

/** Reads again and decides again while others change the same document, at most so many times. */
export const MAX_COMMIT_ATTEMPTS = 5;
