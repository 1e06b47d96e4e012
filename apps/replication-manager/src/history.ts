// Which failovers were there? Recorded in the journal at once; told to everybody through Redis as soon as Redis is there.
//
// Several managers see the same failover: its id is the same for all, so it is one entry; the one that claims it publishes it.
import type { RedisFailover, RedisFailoverAmendment } from '@switchyard/protocol';
import { withAmendment, type KnownPrimary } from '@switchyard/replication';
import { announceEvent, isRedisUnavailable, type createCatalogStore, type RedisHistory } from '@switchyard/redis';
import { createTicker, type Clock, type Component, type Health, type Logger } from '@switchyard/runtime';
import { keptRecords, type Journal, type JournalRecord } from './journal.ts';

/** The history of one group. */
export interface History extends Component {
  /** Newest first. */
  list(): readonly RedisFailover[];
  /** Whom the journal knew as primary last; null before `start` and in a new installation. */
  known(): KnownPrimary | null;
  /**
   * Keeps the entry and returns it with its id; null when this very failover is known. Never throws: what the disk refuses is
   * kept in memory and said in the health.
   */
  record(entry: RedisFailover): RedisFailover | null;
  /** Adds what was learnt later. `notes` and `logs` are appended; what is not known any more is left out silently. Never throws. */
  amend(id: string, amendment: RedisFailoverAmendment): void;
  /** Notes whom the majority names, for the time after a restart. */
  remember(known: KnownPrimary): void;
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

/** What the history is kept in and told through. */
export interface HistoryOptions {
  readonly group: string;
  readonly journal: Journal;
  readonly shared: RedisHistory;
  readonly store: Pick<ReturnType<typeof createCatalogStore>, 'commit' | 'raiseEpoch'>;
  readonly health: Health;
  readonly clock: Clock;
  readonly logger: Logger;
}

const syncEveryMs = 5_000;
/** While something waits for Redis. */
const retryEveryMs = 500;
/** How long a manager may take from its claim to the announcement before another one tries. */
const claimMs = 30_000;
/** Entries that are compared with Redis; less than Redis keeps, so that what it dropped is not added for ever. */
const sharedEntries = 100;
/** The same id so long after means that the Sentinels were set up anew and count their epochs from the start. */
const sameFailoverMs = 600_000;

interface Kept {
  readonly entry: RedisFailover;
  readonly announced: boolean;
}

/** A history; `start` reads the journal, then it is compared with Redis every 5 s and after each record. */
export const createHistory = (options: HistoryOptions): History => {
  const { group, journal, shared, store, health, clock, logger } = options;
  const kept = new Map<string, Kept>();
  let known: KnownPrimary | null = null;

  const keep = (id: string, one: Kept): void => {
    kept.set(id, one);
    for (const oldest of kept.keys()) {
      if (kept.size <= keptRecords) break;
      kept.delete(oldest);
    }
  };

  const note = (record: JournalRecord): void => {
    journal.append(record).then(
      () => health.set('journal', { ok: true, critical: false }),
      (error: unknown) => unwritten(error),
    );
  };
  const unwritten = (error: unknown): void => {
    const detail = error instanceof Error ? error.message : String(error);
    health.set('journal', { ok: false, critical: false, detail: `failovers are kept in memory only: ${detail}` });
    logger.error({ group, err: error }, 'journal.write_failed');
  };

  const amended = (id: string, amendment: RedisFailoverAmendment): boolean => {
    const one = kept.get(id);
    if (one === undefined) return false;
    // In the place that it has: the oldest go first when there are too many.
    kept.set(id, { ...one, entry: withAmendment(one.entry, amendment) });
    return true;
  };

  const replay = (record: JournalRecord): void => {
    if (record.type === 'failover' && record.entry.group === group) {
      keep(record.entry.id, { entry: record.entry, announced: kept.get(record.entry.id)?.announced ?? false });
    }
    if (record.type === 'announced') {
      const one = kept.get(record.id);
      if (one !== undefined) keep(record.id, { ...one, announced: true });
    }
    if (record.type === 'amended') amended(record.id, record.amendment);
    if (record.type === 'primary' && record.group === group) known = { epoch: record.epoch, primary: record.primary };
  };

  const list = (): readonly RedisFailover[] =>
    [...kept.values()].map(({ entry }) => entry).sort((a, b) => b.startedAtMs - a.startedAtMs);

  const announced = (id: string): void => {
    const one = kept.get(id);
    if (one === undefined || one.announced) return;
    keep(id, { ...one, announced: true });
    note({ type: 'announced', id });
  };

  /** Publishes and shares one entry; what another manager has claimed is left to it. */
  const share = async (entry: RedisFailover): Promise<void> => {
    const isOurs = kept.get(entry.id)?.announced !== true;
    if (isOurs) {
      if (!(await shared.claim(entry.id, claimMs))) return;
      // An event that changes no document. A lost answer means that it may be told twice; never that it is not told.
      const event = { type: 'redis.failover', subject: group, data: entry } as const;
      const told = await announceEvent(store, event);
      // after a failover nothing is given out before the next epoch: try again with the next round
      if (!told.ok) throw new Error(`the failover was not announced: ${told.error.detail}`);
      announced(entry.id);
      logger.info({ group, failover: entry.id }, 'redis.failover_announced');
    }
    await shared.add(entry);
  };

  const sync = async (signal: AbortSignal): Promise<void> => {
    const there = await shared.list();
    for (const entry of there) {
      if (entry.group !== group || kept.has(entry.id)) continue;
      keep(entry.id, { entry, announced: true });
      note({ type: 'failover', entry });
      note({ type: 'announced', id: entry.id });
    }
    const ids = new Set(there.map(({ id }) => id));
    for (const { id } of there) announced(id);
    for (const entry of list().slice(0, sharedEntries).toReversed()) {
      if (signal.aborted) return;
      if (!ids.has(entry.id)) await share(entry);
    }
  };
  let isDue = true;
  let syncedAtMs = -Infinity;
  const syncing = createTicker({
    name: 'redis-history',
    everyMs: retryEveryMs,
    run: async (signal) => {
      if (!isDue && clock.monotonicMs() - syncedAtMs < syncEveryMs) return;
      isDue = true;
      try {
        await sync(signal);
      } catch (error) {
        if (!isRedisUnavailable(error)) throw error;
        // Redis being away is why this service exists: the group's own state says so, and how.
        return;
      }
      syncedAtMs = clock.monotonicMs();
      isDue = [...kept.values()].some((one) => !one.announced);
    },
    clock,
    logger,
  });

  return {
    name: 'history',
    async start(signal) {
      try {
        for (const record of await journal.open()) replay(record);
        health.set('journal', { ok: true, critical: false });
      } catch (error) {
        unwritten(error);
      }
      await syncing.start(signal);
    },
    async stop() {
      await syncing.stop();
      await journal.close();
    },
    list,
    known: () => known,
    record(entry) {
      const named = withOwnId(entry, kept);
      if (named === null) return null;
      keep(named.id, { entry: named, announced: false });
      note({ type: 'failover', entry: named });
      isDue = true;
      syncing.wake();
      return named;
    },
    amend(id, amendment) {
      if (amended(id, amendment)) note({ type: 'amended', id, amendment });
    },
    remember(next) {
      const { epoch, primary } = next;
      const isSame =
        known?.epoch === epoch && known.primary.host === primary.host && known.primary.port === primary.port;
      if (isSame) return;
      known = next;
      note({ type: 'primary', group, ...next });
    },
  };
};

/** The entry with an id that no other failover has; null when this very failover is known. */
const withOwnId = (entry: RedisFailover, kept: ReadonlyMap<string, Kept>): RedisFailover | null => {
  for (let count = 1; count <= keptRecords; count += 1) {
    const id = count === 1 ? entry.id : `${entry.id}.${String(count)}`;
    const before = kept.get(id)?.entry;
    if (before === undefined) return { ...entry, id };
    if (Math.abs(before.startedAtMs - entry.startedAtMs) < sameFailoverMs) return null;
  }
  return null;
};
