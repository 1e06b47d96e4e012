// Who works on the group just now? One piece of work at a time; parts leave the nodes alone that it works on.
import { addressKey, type Address } from '@switchyard/replication';
import { ok, refuse, type Result } from '@switchyard/protocol';

/** Work that holds the gate. */
export interface HeldGate {
  readonly operation: string;
  /** Names the nodes that it works on from now on; `'all'` for the whole group. */
  holds(nodes: readonly Address[] | 'all'): void;
  release(): void;
}

/** The gate of one group. */
export interface OperationGate {
  /** Refuses with `conflict` while other work is under way. */
  begin(operation: string): Promise<Result<HeldGate>>;
  /** The operation under way. */
  current(): string | null;
  /** Whether the operation under way works on this node. */
  isHeld(node: Address): boolean;
}

/** A gate in this process alone. */
export const createOperationGate = (group: string): OperationGate => {
  let held: { readonly operation: string; nodes: ReadonlySet<string> | 'all' } | null = null;
  return {
    async begin(operation) {
      if (held !== null) {
        return refuse('conflict', `${held.operation} is under way in the group ${group}`, {
          next: 'wait for its end: GET /v1/redis/operations lists it',
        });
      }
      const mine = { operation, nodes: new Set<string>() as ReadonlySet<string> | 'all' };
      held = mine;
      return ok({
        operation,
        holds(nodes) {
          mine.nodes = nodes === 'all' ? 'all' : new Set(nodes.map(addressKey));
        },
        release() {
          if (held === mine) held = null;
        },
      });
    },
    current: () => held?.operation ?? null,
    isHeld: (node) => held !== null && (held.nodes === 'all' || held.nodes.has(addressKey(node))),
  };
};
