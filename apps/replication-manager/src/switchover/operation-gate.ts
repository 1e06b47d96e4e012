// Who works on the group just now? One piece of work at a time; parts leave the nodes alone that it works on. Between managers a lease
// in the control plane's Redis says the same, while that can be reached: work is safe without it, because it compares before it acts.
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { addressKey, type Address } from '@switchyard/replication';
import { ok, refuse, type Result } from '@switchyard/protocol';
import type { Leases } from '@switchyard/redis';
import { withDeadline, type Clock, type Logger } from '@switchyard/runtime';

/** Work that holds the gate. */
export interface HeldGate {
  readonly operation: string;
  /** Names the nodes that it works on from now on; `'all'` for the whole group. */
  holds(nodes: readonly Address[] | 'all'): void;
  release(): void;
}

/** The gate of one group. */
export interface OperationGate {
  /**
   * Refuses with `conflict` while other work is under way, here or at another manager. `takeOver`: what an earlier process began is
   * mended or finished, whoever holds the lease.
   */
  begin(operation: string, how?: { readonly takeOver?: boolean }): Promise<Result<HeldGate>>;
  /** The operation under way. */
  current(): string | null;
  /** Whether the operation under way works on this node. */
  isHeld(node: Address): boolean;
}

/** Where managers tell each other. */
export interface SharedGate {
  readonly leases: Pick<Leases, 'acquire' | 'release'>;
  /** The same for every process that works on this directory, one after the other: the next one may take up the lease of the last. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A manager that dies blocks the others for so long. */
const leaseMs = 20_000;
const renewMs = 6_000;
/** Redis that does not answer within this time is away: work goes on without it. */
const leaseDeadlineMs = 700;
const mostReleases = 10;
const releaseAgainMs = 300;

interface Held {
  readonly operation: string;
  nodes: ReadonlySet<string> | 'all';
  readonly over: AbortController;
}

/** A gate; without `shared` in this process alone. */
export const createOperationGate = (group: string, shared?: SharedGate): OperationGate => {
  const lease = `redis-group-${group}`;
  const holder = createHash('sha256')
    .update(`${hostname()} ${resolve(shared?.stateDir ?? '')}`)
    .digest('hex')
    .slice(0, 24);
  let held: Held | null = null;

  /** Null = nobody else holds it, as far as can be told. */
  const refusedBy = async (operation: string): Promise<string | null> => {
    if (shared === undefined) return null;
    const { leases, logger } = shared;
    const asked = leases.acquire(lease, { holder, ttl: `${String(leaseMs)}ms`, meta: { operation, host: hostname() } });
    try {
      const answer = await withDeadline(asked, leaseDeadlineMs, `the lease ${lease}`);
      return answer.ok || answer.error.code !== 'lease_held' ? null : answer.error.detail;
    } catch (error) {
      logger.debug({ group, err: error }, 'gate.lease_unavailable');
      return null;
    }
  };
  const renew = async (mine: Held): Promise<void> => {
    if (shared === undefined) return;
    while (!mine.over.signal.aborted) {
      await shared.clock.sleep(renewMs, mine.over.signal);
      await refusedBy(mine.operation);
    }
  };
  /** The work may just have moved the Redis that keeps the lease: it is tried until the connections have followed. */
  const giveBack = async (): Promise<void> => {
    if (shared === undefined) return;
    const { leases, clock, logger } = shared;
    for (let attempt = 0; attempt < mostReleases; attempt += 1) {
      // Taken again meanwhile.
      if (held !== null) return;
      try {
        const released = await withDeadline(leases.release(lease, { holder }), leaseDeadlineMs, `the lease ${lease}`);
        if (released.ok || released.error.code !== 'not_ready') return;
      } catch (error) {
        logger.debug({ group, err: error }, 'gate.lease_not_released');
      }
      await clock.sleep(releaseAgainMs);
    }
  };

  return {
    async begin(operation, how = {}) {
      if (held !== null) {
        return refuse('conflict', `${held.operation} is under way in the group ${group}`, {
          next: 'wait for its end: GET /v1/redis/operations lists it',
        });
      }
      const mine: Held = { operation, nodes: new Set(), over: new AbortController() };
      held = mine;
      const asked = refusedBy(operation);
      // Mending does not wait for a Redis that may be paused by what is to be mended.
      const refused = how.takeOver === true ? null : await asked;
      if (refused !== null) {
        held = null;
        return refuse('conflict', `another manager works on the group ${group}: ${refused}`, {
          next: 'wait for its end: GET /v1/redis/operations at that manager',
        });
      }
      void renew(mine).catch(() => undefined);
      return ok({
        operation,
        holds(nodes) {
          mine.nodes = nodes === 'all' ? 'all' : new Set(nodes.map(addressKey));
        },
        release() {
          if (held !== mine) return;
          held = null;
          mine.over.abort();
          void giveBack();
        },
      });
    },
    current: () => held?.operation ?? null,
    isHeld: (node) => held !== null && (held.nodes === 'all' || held.nodes.has(addressKey(node))),
  };
};
