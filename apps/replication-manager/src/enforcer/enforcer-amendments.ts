// To which failover does what was found at an old primary belong? Its entry may come seconds later than the find.
import type { RedisFailover, RedisFailoverAmendment } from '@switchyard/protocol';
import { sameAddress, type EnforcementAction } from '@switchyard/replication';
import type { Clock } from '@switchyard/runtime';
import type { History } from '../history.ts';

/** What waits for its entry. */
export interface Amendments {
  /** Adds it to the entry of the failover away from the node, as soon as that is there. */
  add(action: EnforcementAction, amendment: RedisFailoverAmendment): void;
  /** Tries again what waits. */
  settle(): void;
}

const patienceMs = 120_000;
const mostWaiting = 16;

/** Amendments for the history of one group. */
export const createAmendments = (history: Pick<History, 'list' | 'amend'>, clock: Clock): Amendments => {
  let waiting: { action: EnforcementAction; amendment: RedisFailoverAmendment; sinceMs: number }[] = [];
  const settle = (): void => {
    const nowMs = clock.monotonicMs();
    waiting = waiting.filter(({ action, amendment, sinceMs }) => {
      const entry = entryFor(history.list(), action);
      if (entry !== undefined) history.amend(entry.id, amendment);
      return entry === undefined && nowMs - sinceMs < patienceMs;
    });
  };
  return {
    add(action, amendment) {
      waiting = [...waiting, { action, amendment, sinceMs: clock.monotonicMs() }].slice(-mostWaiting);
      settle();
    },
    settle,
  };
};

/** Of the failovers away from this node the latest that is not later than the epoch of the action. */
const entryFor = (entries: readonly RedisFailover[], { node, epoch }: EnforcementAction): RedisFailover | undefined =>
  entries
    .filter((entry) => sameAddress(entry.from, node) && entry.epoch <= epoch)
    .sort((a, b) => b.epoch - a.epoch || b.startedAtMs - a.startedAtMs)[0];
