// How does one read from a replica and still see what one has written? By the place in the stream that the acknowledgement named: the
// replica is asked for its own place in front of the read, on the same connection, and the read counts only when it is far enough.
import { historyCover, parseInfo } from '@switchyard/replication';
import type { HistoryCover, HistoryPlace, NodeInfo } from '@switchyard/replication';
import { withDeadline } from '@switchyard/runtime';
import type { Clock, Logger } from '@switchyard/runtime';
import { Redis } from 'ioredis';
import type { RedisConnections } from './connection.ts';
import { optionsFor } from './connection-options.ts';
import type { DurableAck } from './durability.ts';
import { reachable } from './nat-map.ts';
import { createReplicaChooser } from './replica-choice.ts';
import type { ChosenReplica } from './replica-choice.ts';
import { isRedisUnavailable } from './unavailable.ts';

/** How a read was answered. */
export interface ReplicaRead<T> {
  readonly value: T;
  readonly from: 'replica' | 'primary';
  /** Bytes that the replica lacked of the primary's stream when both were last asked; null when the primary did not answer then. */
  readonly lagBytes: number | null;
  /** Ms since then. */
  readonly lagKnownForMs: number;
  /**
   * Whether the answer contains the write that `after` names. `lost`: the primary's history does not contain it, a failover took it.
   * `unasked`: there was no `after`.
   */
  readonly sees: 'the write' | 'lost' | 'unasked';
}

/** Where to wait and for how long. */
export interface ReplicaReaderOptions {
  /** Ms to wait for a replica that has yet to get the write; 50 unless given. Then the primary is asked. */
  readonly waitMs?: number;
  /** Ms after which the choice of the replica is looked at again; 1000 unless given. */
  readonly chooseEveryMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Reads from the replica with the least lag. */
export interface ReplicaReader {
  /**
   * Runs `work`, which only reads and may be run more than once. `after`: the acknowledgement of a write that it has to see. Rejects
   * as the connection does when neither a replica nor the primary answers.
   */
  read<T>(work: (redis: Redis) => Promise<T>, after?: Pick<DurableAck, 'lineage' | 'offset'>): Promise<ReplicaRead<T>>;
  stop(): Promise<void>;
}

const defaults = { waitMs: 50, chooseEveryMs: 1_000 } as const;
const pollMs = 2;
const connectMs = 500;

interface Current extends ChosenReplica {
  readonly redis: Redis;
}

const isReady = ({ redis }: Current): boolean => redis.status === 'ready';

/** Opens a connection to the primary in the background; to a replica at the first read. */
export function createReplicaReader(connections: RedisConnections, options: ReplicaReaderOptions): ReplicaReader {
  const { waitMs, chooseEveryMs } = { ...defaults, ...options };
  const { clock, logger } = options;
  const { settings } = connections;
  const primary = connections.connect('commands');
  const chooser = createReplicaChooser(settings, { logger, name: 'switchyard:replicas' });
  let current: Current | undefined;
  let primaryOffset: number | null = null;
  let choosing: Promise<void> | undefined;
  let chosenAtMs = -Infinity;

  const placeOf = async (redis: Redis): Promise<NodeInfo> => parseInfo(await redis.info('replication'));
  const drop = (one: Current | undefined): void => {
    one?.redis.disconnect();
    if (current === one) current = undefined;
  };
  const choose = async (): Promise<void> => {
    const said = primary.status === 'ready' ? await placeOf(primary).catch(() => undefined) : undefined;
    const chosen = await chooser.choose(said);
    primaryOffset = said?.offset ?? null;
    chosenAtMs = clock.monotonicMs();
    const isSame = chosen !== undefined && current?.at.host === chosen.at.host && current.at.port === chosen.at.port;
    if (isSame && current !== undefined) current = { ...current, info: chosen.info };
    else {
      drop(current);
      current = chosen === undefined ? undefined : { ...chosen, redis: open(chosen) };
    }
  };
  const open = ({ at }: ChosenReplica): Redis => {
    const redis = new Redis({
      ...optionsFor(settings, 'commands', `${connections.name}:reads`),
      ...reachable(settings.natMap, at),
    });
    redis.on('error', (error: Error) => logger.debug({ fault: error.message }, 'redis.replica_fault'));
    return redis;
  };
  const chosen = async (): Promise<Current | undefined> => {
    const isOld = clock.monotonicMs() - chosenAtMs >= chooseEveryMs;
    if (isOld) choosing ??= choose().finally(() => (choosing = undefined));
    if (current === undefined) await choosing;
    const one = current;
    if (one === undefined || isReady(one)) return one;
    const ready = new Promise<void>((resolve) => {
      one.redis.once('ready', () => resolve());
    });
    await withDeadline(ready, connectMs, 'the connection to a replica').catch(() => undefined);
    return isReady(one) ? one : undefined;
  };
  /** The place is asked for in front of the read: what it says holds for the read, too. */
  const readAt = async <T>(
    redis: Redis,
    work: (redis: Redis) => Promise<T>,
    after: HistoryPlace | undefined,
  ): Promise<{ readonly value: T; readonly cover: HistoryCover | undefined }> => {
    if (after === undefined) return { value: await work(redis), cover: undefined };
    const [info, value] = await Promise.all([placeOf(redis), work(redis)]);
    return { value, cover: historyCover(info, after) };
  };
  const fromReplica = async <T>(
    work: (redis: Redis) => Promise<T>,
    after: HistoryPlace | undefined,
  ): Promise<ReplicaRead<T> | undefined> => {
    const one = await chosen();
    if (one === undefined) return undefined;
    const endMs = clock.monotonicMs() + waitMs;
    try {
      for (;;) {
        const { value, cover } = await readAt(one.redis, work, after);
        const sees = after === undefined ? ('unasked' as const) : ('the write' as const);
        if (cover === undefined || cover === 'covered') return { value, from: 'replica', sees, ...lagOf(one) };
        if (cover === 'foreign' || clock.monotonicMs() >= endMs) return undefined;
        await clock.sleep(pollMs);
      }
    } catch (error) {
      if (!isRedisUnavailable(error)) throw error;
      drop(one);
      chosenAtMs = -Infinity;
      return undefined;
    }
  };
  const lagOf = ({ info }: Current): Pick<ReplicaRead<unknown>, 'lagBytes' | 'lagKnownForMs'> => ({
    lagBytes: primaryOffset === null || info.offset === null ? null : Math.max(0, primaryOffset - info.offset),
    lagKnownForMs: clock.monotonicMs() - chosenAtMs,
  });
  return {
    async read(work, after) {
      const place =
        after === undefined || after.lineage === null || after.offset === null
          ? undefined
          : { lineage: after.lineage, offset: after.offset };
      const read = await fromReplica(work, place);
      if (read !== undefined) return read;
      const { value, cover } = await readAt(primary, work, place);
      const sees = cover === undefined ? 'unasked' : cover === 'covered' ? 'the write' : 'lost';
      return { value, from: 'primary', lagBytes: 0, lagKnownForMs: 0, sees };
    },
    async stop() {
      await choosing?.catch(() => undefined);
      drop(current);
      primary.disconnect();
      chooser.close();
    },
  };
}
