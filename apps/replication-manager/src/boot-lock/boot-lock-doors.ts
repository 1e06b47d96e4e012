// Which nodes started with their doors locked (users that are off until the node was compared), and how are they opened?
import { addressKey, type Address, type LockUsers, type NodeObservation } from '@switchyard/replication';
import { RedisNodeError } from '@switchyard/redis';
import type { GroupTools } from '../group-part.ts';

/** The doors of one group. */
export interface Doors {
  /** Asks nodes whose process is a new one; what they said is known by one of the next looks. */
  learn(nodes: readonly NodeObservation[]): void;
  /** Null while it is not known of this process. */
  isLocked(node: NodeObservation): boolean | null;
  /** Lets applications and replicas in; never saved, so that the next start is locked again. */
  open(node: NodeObservation): void;
}

interface Door {
  runId: string | null;
  locked: readonly string[] | null;
  busy: boolean;
}

/** The doors by these names of users. */
export const createDoors = ({ observer, logger, definition }: GroupTools, users: LockUsers): Doors => {
  const group = definition.name;
  const doors = new Map<string, Door>();
  const names: readonly string[] = [users.applications, users.replication];

  const doorOf = (node: Address): Door => {
    const key = addressKey(node);
    const door = doors.get(key) ?? { runId: null, locked: null, busy: false };
    doors.set(key, door);
    return door;
  };
  const exclusively = (node: NodeObservation, work: (door: Door) => Promise<void>): void => {
    const door = doorOf(node);
    if (door.busy) return;
    door.busy = true;
    void work(door)
      .catch((error: unknown) => {
        // No right to see users: then there is no lock of ours either.
        if (error instanceof RedisNodeError && error.kind === 'refused') door.locked ??= [];
        logger.debug({ group, node: node.name, err: error }, 'redis.door_unanswered');
      })
      .finally(() => {
        door.busy = false;
      });
  };

  return {
    learn(nodes) {
      for (const node of nodes) {
        const runId = node.info?.runId ?? null;
        if (doorOf(node).runId === runId && doorOf(node).locked !== null) continue;
        exclusively(node, async (door) => {
          const lines = (await observer.nodeAt(node)?.call('ACL', 'LIST')) ?? null;
          if (!Array.isArray(lines)) return;
          const off = lines.map(String).filter((line) => line.split(' ')[2] === 'off');
          door.runId = runId;
          door.locked = names.filter((name) => off.some((line) => line.split(' ')[1] === name));
        });
      }
    },
    isLocked(node) {
      const door = doors.get(addressKey(node));
      const isKnown = door !== undefined && door.locked !== null && door.runId === (node.info?.runId ?? null);
      return isKnown ? (door.locked ?? []).length > 0 : null;
    },
    open(node) {
      exclusively(node, async (door) => {
        for (const name of door.locked ?? []) await observer.nodeAt(node)?.call('ACL', 'SETUSER', name, 'on');
        logger.warn({ group, node: node.name, users: door.locked }, 'redis.node_let_in');
        door.locked = [];
      });
    },
  };
};
