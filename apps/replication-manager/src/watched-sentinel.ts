// What did one Sentinel say last? As watched-node.ts, for Sentinels.
import {
  parseInfo,
  parseSentinelPeers,
  parseSentinelReplicas,
  parseSentinelView,
  type SentinelObservation,
} from '@switchyard/replication';
import type { SentinelMember } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { failureOf } from './watched-node.ts';

/** One Sentinel under observation. */
export interface WatchedSentinel {
  readonly member: SentinelMember;
  observation(): SentinelObservation;
  /** Asks, unless the last question is still open. */
  poll(): void;
}

/** Who else belongs to the group, and whether this one is tilted, changes seldom: it is asked for so often. */
const restEveryMs = 1_000;

/** Watches `member`. Starts nothing by itself: call `poll`. */
export const watchSentinel = (options: {
  readonly member: SentinelMember;
  readonly clock: Clock;
  /** It stopped answering, or answers again, or names another primary. */
  readonly onTurn: () => void;
}): WatchedSentinel => {
  const { member, clock, onTurn } = options;
  let observation: SentinelObservation = {
    name: member.name,
    host: member.host,
    port: member.port,
    view: null,
    tilted: null,
    replicas: [],
    ghosts: 0,
    peers: [],
    answeredAtMs: null,
    failure: null,
  };
  let asking = false;
  let restAskedAtMs = -Infinity;

  const ask = async (): Promise<void> => {
    try {
      const view = parseSentinelView(await member.master());
      const nowMs = clock.monotonicMs();
      const isTurn = observation.failure !== null || view?.epoch !== observation.view?.epoch;
      observation = {
        ...observation,
        view,
        answeredAtMs: nowMs,
        failure: null,
      };
      if (isTurn) onTurn();
      if (nowMs - restAskedAtMs < restEveryMs) return;
      restAskedAtMs = nowMs;
      const [info, replicas, peers] = await Promise.all([member.info(), member.replicas(), member.sentinels()]);
      observation = {
        ...observation,
        ...parseSentinelReplicas(replicas),
        tilted: parseInfo(info).tilted,
        peers: parseSentinelPeers(peers),
      };
    } catch (error) {
      const failure = failureOf(error);
      const isNew = observation.failure?.kind !== failure.kind;
      observation = { ...observation, failure };
      if (isNew) onTurn();
    }
  };

  return {
    member,
    observation: () => observation,
    poll() {
      if (asking) return;
      asking = true;
      void ask().finally(() => {
        asking = false;
      });
    },
  };
};
