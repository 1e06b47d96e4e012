// What does a decided change look like before it is written? The store writes all of it in one script, or nothing.
import type { NewEvent } from '@switchyard/protocol';

export type DocumentKind = 'instance' | 'service' | 'route';

/** The change only holds if this document still has this revision; 0 means that it must not exist. */
export interface Expectation {
  readonly kind: DocumentKind;
  /** `service/id` of an instance, else the name */
  readonly key: string;
  readonly revision: number;
}

/** `document: null` removes it. */
export interface Write {
  readonly kind: DocumentKind;
  readonly key: string;
  readonly document: object | null;
  /** What stood there before, so that the past can be shown; not given for what did not exist. */
  readonly before?: object;
}

/**
 * What happens to the instance's deadline: `ttlMs` from now on Redis's clock, or nobody waits for it any more. `unlessAfterMs`: only if
 * it is not later than that; else it was heard in the meantime, and the commit is a conflict.
 */
export type DeadlineChange =
  | { readonly member: string; readonly ttlMs: number }
  | { readonly member: string; readonly remove: true; readonly unlessAfterMs?: number };

export interface Commit {
  readonly expect: readonly Expectation[];
  readonly writes: readonly Write[];
  readonly deadline?: DeadlineChange;
  /** whose own revision this change raises */
  readonly service?: string;
  readonly event: NewEvent;
  /** Takes the next fencing token, which stands for `NO_TOKEN_YET` in the documents and in the event. */
  readonly grant?: boolean;
}

/** In a `fencingToken` of a commit that takes a token: the token, which only the commit itself knows. */
export const NO_TOKEN_YET = -1;

/** A decision: a change to commit, or nothing to do because it is so already. */
export type Decision = { readonly type: 'commit'; readonly commit: Commit } | { readonly type: 'unchanged' };

export const unchanged: Decision = Object.freeze({ type: 'unchanged' });

/** An event that changes no document, such as `redis.failover`. */
export const announce = (event: NewEvent): Commit => ({ expect: [], writes: [], event });
