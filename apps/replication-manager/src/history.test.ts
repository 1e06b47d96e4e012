import type { RedisFailover } from '@switchyard/protocol';
import type { RedisHistory } from '@switchyard/redis';
import { createHealth, createLogger, type Health } from '@switchyard/runtime';
import { manualClock, type ManualClock } from '@switchyard/testing';
import { createHistory, type History } from './history.ts';
import type { Journal, JournalRecord } from './journal.ts';

const entryOf = (epoch: number, startedAtMs = 1_000_000 * epoch): RedisFailover => ({
  id: `main-${String(epoch)}`,
  group: 'main',
  kind: 'failover',
  startedAtMs,
  from: null,
  to: { name: 'r2', host: '127.0.0.1', port: 4732 },
  epoch,
  phases: [],
  cause: 'a test',
  evidence: [],
  writesUnavailableMs: null,
  dataLoss: { verdict: 'unknown', detail: 'a test' },
});

/** One Redis for several managers; it can be away. */
const fakeRedis = () => {
  const state = {
    away: false,
    list: [] as RedisFailover[],
    claims: new Map<string, string>(),
    published: [] as string[],
  };
  const reach = (): void => {
    if (state.away) throw new Error('Connection is closed.');
  };
  const shared = (holder: string): RedisHistory => ({
    list: async () => {
      reach();
      return state.list;
    },
    add: async (entry) => {
      reach();
      state.list = [entry, ...state.list];
    },
    claim: async (id) => {
      reach();
      if (!state.claims.has(id)) state.claims.set(id, holder);
      return state.claims.get(id) === holder;
    },
  });
  const store = {
    raiseEpoch: async () => ({ type: 'fine' }) as const,
    commit: async ({ event }: { event: { data: object } }) => {
      reach();
      state.published.push((event.data as RedisFailover).id);
      return { type: 'committed', cursor: { epoch: 1, revision: 1 }, token: 0 } as const;
    },
  };
  return { state, shared, store };
};

const fakeJournal = (records: JournalRecord[], broken = false): Journal => ({
  open: async () => {
    if (broken) throw new Error('EROFS: read-only file system');
    return [...records];
  },
  append: async (record) => {
    if (broken) throw new Error('EROFS: read-only file system');
    records.push(record);
  },
  close: async () => undefined,
});

describe('the history of a group', () => {
  const logger = createLogger('test', { level: 'silent' });
  let clock: ManualClock;
  let health: Health;
  let redis: ReturnType<typeof fakeRedis>;
  const running: History[] = [];
  const start = async (name: string, journal: Journal): Promise<History> => {
    const { shared, store } = redis;
    const history = createHistory({ group: 'main', journal, shared: shared(name), store, health, clock, logger });
    await history.start(new AbortController().signal);
    running.push(history);
    return history;
  };
  beforeEach(() => {
    clock = manualClock();
    health = createHealth({ clock });
    redis = fakeRedis();
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((history) => history.stop()));
  });

  it('is published once, however many managers saw the failover', async () => {
    const [a, b] = await Promise.all([start('a', fakeJournal([])), start('b', fakeJournal([]))]);
    a?.record(entryOf(1));
    b?.record(entryOf(1, 1_000_040));
    await clock.advance(6_000);
    expect(redis.state.published).toEqual(['main-1']);
    expect(redis.state.list).toHaveLength(1);
    expect(b?.list()).toHaveLength(1);
  });

  it('is there at once while Redis is away, and told when Redis is back, oldest first', async () => {
    redis.state.away = true;
    const history = await start('a', fakeJournal([]));
    history.record(entryOf(1));
    history.record(entryOf(2));
    await clock.advance(60_000);
    expect(history.list().map(({ epoch }) => epoch)).toEqual([2, 1]);
    expect(redis.state.published).toEqual([]);
    redis.state.away = false;
    await clock.advance(1_000);
    expect(redis.state.published).toEqual(['main-1', 'main-2']);
  });

  it('survives a restart, and is put back into a Redis that lost it without telling it again', async () => {
    const records: JournalRecord[] = [];
    const first = await start('a', fakeJournal(records));
    first.record(entryOf(1));
    first.remember({ epoch: 1, primary: { name: 'r2', host: '127.0.0.1', port: 4732 } });
    await clock.advance(1_000);
    expect(redis.state.published).toEqual(['main-1']);
    redis.state.list = [];
    redis.state.claims.clear();

    const second = await start('b', fakeJournal(records));
    expect(second.known()).toMatchObject({ epoch: 1, primary: { port: 4732 } });
    await clock.advance(6_000);
    expect(second.list()).toHaveLength(1);
    expect(redis.state.list.map(({ id }) => id)).toEqual(['main-1']);
    expect(redis.state.published).toEqual(['main-1']);
  });

  it('takes over what another manager recorded, and keeps it', async () => {
    const records: JournalRecord[] = [];
    redis.state.list = [entryOf(7)];
    const history = await start('a', fakeJournal(records));
    await clock.advance(1_000);
    expect(history.list().map(({ id }) => id)).toEqual(['main-7']);
    expect(records.map(({ type }) => type)).toEqual(['failover', 'announced']);
    expect(redis.state.published).toEqual([]);
  });

  it('keeps both when Sentinels that were set up anew give out an epoch for the second time', async () => {
    const history = await start('a', fakeJournal([]));
    history.record(entryOf(1, 0));
    history.record(entryOf(1, 1_000));
    history.record(entryOf(1, 3_600_000));
    history.record(entryOf(1, 3_601_000));
    expect(history.list().map(({ id }) => id)).toEqual(['main-1.2', 'main-1']);
  });

  it('goes on in memory when the disk refuses, and says so', async () => {
    const history = await start('a', fakeJournal([], true));
    history.record(entryOf(1));
    await clock.advance(1_000);
    expect(history.list()).toHaveLength(1);
    expect(redis.state.published).toEqual(['main-1']);
    expect(health.report().checks['journal']).toMatchObject({ ok: false, critical: false });
  });
});
