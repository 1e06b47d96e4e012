// How are replicas kept from copying a primary that came back without its data, with nothing in its configuration prepared for that?
// They are given a password that it does not have. It is the one they had with a mark before it, so that any manager, at any time
// after, can see what was done and take it back, whoever did it. Tried on Redis 7.0.15: set 0.6 ms after the death of the primary,
// 2000 of 2000 keys kept; without it 0 were left 0.6 s later.
import { addressKey, type Address, type NodeObservation } from '@switchyard/replication';
import type { GroupTools } from '../group-part.ts';

/** The marks on the replicas of one group. */
export interface ReplicaGuard {
  /** Learns what each replica has, for the moment when there is no time to ask; and finds marks that somebody left. */
  learn(replicas: readonly NodeObservation[]): void;
  /** Marks each of these, as soon as possible. */
  hold(replicas: readonly NodeObservation[]): void;
  /** Takes the mark of each of these away. */
  release(replicas: readonly NodeObservation[]): void;
  isHeld(replica: Address): boolean;
  /** Waits for what is under way. */
  settled(): Promise<void>;
}

const setting = 'masterauth';
const mark = 'switchyard-boot-lock:';
const learnEveryMs = 5_000;
/** While a link is down somebody may have marked it. */
const learnSoonMs = 500;

interface Known {
  /** Without the mark. */
  password: string | null;
  held: boolean;
  askedAtMs: number;
}

/** A guard; it does nothing by itself. */
export const createReplicaGuard = ({ observer, clock, logger, definition }: GroupTools): ReplicaGuard => {
  const group = definition.name;
  const known = new Map<string, Known>();
  const under = new Set<Promise<void>>();

  const knownOf = (at: Address): Known => {
    const key = addressKey(at);
    const one = known.get(key) ?? { password: null, held: false, askedAtMs: -Infinity };
    known.set(key, one);
    return one;
  };
  const begin = (work: Promise<void>, node: NodeObservation): void => {
    const done = work
      .catch((error: unknown) => logger.debug({ group, node: node.name, err: error }, 'redis.guard_unanswered'))
      .finally(() => under.delete(done));
    under.add(done);
  };
  const ask = async (node: NodeObservation): Promise<void> => {
    const text = await observer.nodeAt(node)?.configGet(setting);
    if (text === undefined) return;
    const one = knownOf(node);
    one.held = text.startsWith(mark);
    one.password = one.held ? text.slice(mark.length) : text;
  };
  const set = async (node: NodeObservation, held: boolean): Promise<void> => {
    const one = knownOf(node);
    if (one.password === null) await ask(node);
    if (one.password === null) return;
    await observer.nodeAt(node)?.call('CONFIG', 'SET', setting, held ? `${mark}${one.password}` : one.password);
    one.held = held;
    logger.info({ group, replica: node.name, held }, 'redis.replica_guarded');
  };

  return {
    learn(replicas) {
      const nowMs = clock.monotonicMs();
      for (const node of replicas) {
        const one = knownOf(node);
        const everyMs = node.info?.link === 'up' ? learnEveryMs : learnSoonMs;
        if (nowMs - one.askedAtMs < everyMs) continue;
        one.askedAtMs = nowMs;
        begin(ask(node), node);
      }
    },
    hold(replicas) {
      for (const node of replicas) if (!knownOf(node).held) begin(set(node, true), node);
    },
    release(replicas) {
      for (const node of replicas) if (knownOf(node).held) begin(set(node, false), node);
    },
    isHeld: (replica) => known.get(addressKey(replica))?.held === true,
    settled: async () => {
      await Promise.all(under);
    },
  };
};
