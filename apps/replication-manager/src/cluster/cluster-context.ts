// What do the pieces of work on a Redis Cluster have in common? What they see, how they wait, how they refuse, how they begin.
import { refuse, type Operation, type Result } from '@switchyard/protocol';
import type { Address, ClusterCheck, ClusterFacts } from '@switchyard/replication';
import type { ClusterObserver } from './cluster-observer.ts';
import type { GroupTools } from '../group-part.ts';
import type { OperationRun } from '../redis-operations.ts';

/** What the pieces of work have at hand. */
export interface ClusterWorkContext {
  readonly tools: GroupTools;
  readonly observer: ClusterObserver;
  readonly facts: () => ClusterFacts;
}

/** More than this is not waited for while writers stand still. */
export const mostLagBytes = 1_048_576;

/** Waits until `holds` does, looking every 20 ms; false after `timeoutMs` or when the signal says so. */
export const untilHolds = async (
  { tools: { clock } }: ClusterWorkContext,
  holds: () => boolean | Promise<boolean>,
  {
    timeoutMs,
    everyMs = 20,
    signal,
  }: { readonly timeoutMs: number; readonly everyMs?: number; readonly signal?: AbortSignal },
): Promise<boolean> => {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  for (;;) {
    if (await holds()) return true;
    if (clock.monotonicMs() >= deadlineMs || signal?.aborted === true) return false;
    await clock.sleep(everyMs);
  }
};

/** The refusal that names each failed check. */
export const blocked = (what: string, blockers: readonly ClusterCheck[]): Result<never> =>
  refuse('conflict', `${what} is not possible now`, {
    why: blockers.map(({ code, detail }) => `${code}: ${detail}`),
    ...(blockers[0] === undefined ? {} : { next: blockers[0].next }),
  });

/** How a piece of work becomes an operation. */
export type BeginWork = (
  plan: {
    readonly kind: string;
    readonly subject: string;
    readonly steps: readonly string[];
    readonly nodes: readonly Address[];
  },
  work: (run: OperationRun) => Promise<Result<Readonly<Record<string, unknown>>>>,
) => Promise<Result<Operation>>;
