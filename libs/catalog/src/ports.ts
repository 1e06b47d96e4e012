// What does the catalog need from a store? Implemented on Redis and, for tests, in memory; one suite tests both.
import type { ServicePolicy, SwitchyardEvent, TrafficRoute, Instance } from '@switchyard/protocol';
import type { Commit } from './commit.ts';
import type { Versioned } from './setting-transitions.ts';
import type { PastChange } from './time-travel.ts';
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
  /** `token`: the fencing token that it took, 0 when it took none */
  | { readonly type: 'committed'; readonly cursor: Cursor; readonly token: number }
  /** somebody changed an expected document first: read again, decide again */
  | { readonly type: 'conflict'; readonly key: string }
  /** the lease has another holder by now */
  | { readonly type: 'fenced' }
  /** the store may have forgotten something, and its next epoch has not begun: try again in a moment */
  | { readonly type: 'unclaimed' };

/**
 * What came after a cursor. `gap`: those events are no longer there, or the epoch is another, or a later version wrote one of
 * them: load the snapshot. `unclaimed`: the store may have forgotten something; what is known is better, until its next epoch.
 */
export type Tail =
  | { readonly type: 'events'; readonly cursor: Cursor; readonly events: readonly SwitchyardEvent[] }
  | { readonly type: 'gap'; readonly cursor: Cursor }
  | { readonly type: 'unclaimed' };

/** `fine`: nobody has to. */
export type Raised =
  | { readonly type: 'raised'; readonly cursor: Cursor; readonly writtenBack: number }
  | { readonly type: 'needed' }
  | { readonly type: 'fine' };

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
  /** `claimed: false`: the store may have forgotten something, and its next epoch has not begun. */
  snapshot(): Promise<CatalogSnapshot & { readonly claimed: boolean }>;
  tail(after: Cursor, limit: number): Promise<Tail>;
  /** Newest first, older than `before` (exclusive). Looks at `limit` events. */
  history(before: number | undefined, limit: number): Promise<HistoryPage>;
  /** The same, as what is needed to take each change back. */
  past(
    before: number | undefined,
    limit: number,
  ): Promise<{ readonly changes: readonly PastChange[]; readonly next: number | null }>;
  /** The event of one revision, and how its change is taken back; undefined when it is no longer kept. */
  changeAt(
    revision: number,
  ): Promise<{ readonly event: SwitchyardEvent | undefined; readonly change: PastChange } | undefined>;
  /** Of one that is waited for: its deadline, and now, both ms on Redis's clock. */
  deadlineOf(service: string, id: string): Promise<{ readonly deadlineMs: number; readonly nowMs: number } | undefined>;
  /**
   * Begins the next epoch when the store may have gone back, above everything that `seen` has seen, and writes back what is lost of
   * `known`. Without `known` it only looks whether that is needed.
   */
  raiseEpoch(seen: Cursor, known?: { readonly reason: string; readonly snapshot: CatalogSnapshot }): Promise<Raised>;
}

/** Reads again and decides again while others change the same document, at most so many times. */
export const MAX_COMMIT_ATTEMPTS = 5;
