import { createHash } from 'node:crypto';
import type { SegmentHeader, Timeline } from '@switchyard/protocol';
import { refuse } from '@switchyard/protocol';
import { eventually, manualClock } from '@switchyard/testing';
import { ObjectStoreError } from '../repository/object-store.ts';
import { chainStart } from '../repository/segment-chain.ts';
import type { SegmentFacts, SegmentStore } from '../repository/segment-store.ts';
import { quietLogger } from '../test-fixtures.ts';
import { createSegmentWriter, type SegmentWriter, type WriteFailure } from './segment-writer.ts';
import type { SealedPiece } from './stream-collector.ts';

const id = '20260102T030405.678Z';
const timeline: Timeline = {
  formatVersion: 1,
  id,
  group: 'main',
  startedAtMs: 1,
  start: { replicationId: 'a'.repeat(40), offset: 0 },
  server: { kind: 'redis', version: '7.0.15' },
  reason: 'first',
  detail: '',
  previous: null,
};
const piece = (from: number, to: number): SealedPiece => {
  const raw = Buffer.alloc(to - from, 'x');
  const sha256 = createHash('sha256').update(raw).digest('hex');
  const histories = [{ from, replicationId: 'a'.repeat(40) }];
  const times: [number, number][] = [[to, to]];
  const facts = { from, to, startedAtMs: from, endedAtMs: to, histories, database: 0, times, commands: 1 };
  return { ...facts, commandCounts: { SET: 1 }, events: [], moreEvents: 0, sha256, raw };
};

// A store that fails as it is told: the errors are thrown one after the other, then it works.
function fakeStore(
  errors: unknown[] = [],
): SegmentStore & { readonly stored: SegmentFacts[]; readonly begun: string[] } {
  const stored: SegmentFacts[] = [];
  const begun: string[] = [];
  const fail = (): void => {
    if (errors.length > 0) throw errors.shift();
  };
  const store = {
    stored,
    begun,
    begin: async ({ id: name }: Timeline) => {
      fail();
      begun.push(name);
      return Promise.resolve();
    },
    put: async (facts: SegmentFacts) => {
      fail();
      stored.push(facts);
      return Promise.resolve({ ...facts, bytes: 10 } as SegmentHeader);
    },
    header: async (_group: string, _timeline: string, range: { from: number }) => {
      const found = stored.find(({ from }) => from === range.from);
      return Promise.resolve(
        found === undefined ? refuse('not_found', 'none') : { ok: true, value: { ...found, bytes: 10 } },
      );
    },
  };
  return store as unknown as SegmentStore & typeof store;
}

const clock = manualClock();
const stop = new AbortController();
afterAll(() => stop.abort());

function start(segments: SegmentStore): {
  writer: SegmentWriter;
  heads: number[];
  failures: WriteFailure[];
} {
  const heads: number[] = [];
  const failures: WriteFailure[] = [];
  const writer = createSegmentWriter({
    group: 'main',
    segments,
    clock,
    logger: quietLogger,
    onStored: ({ offset }) => heads.push(offset),
    onFailed: (failure) => failures.push(failure),
    random: () => 1,
  });
  writer.run(stop.signal).catch(() => undefined);
  return { writer, heads, failures };
}

describe('createSegmentWriter', () => {
  it('writes in order, each piece at its place in the chain that begins with the timeline', async () => {
    const store = fakeStore();
    const { writer, heads } = start(store);
    writer.begin(timeline);
    for (const at of [0, 10, 20]) writer.add(piece(at, at + 10));
    expect([writer.waitingBytes(), writer.oldestAtMs()]).toEqual([30, 0]);
    await eventually(() => writer.waiting() === 0);
    expect(store.begun).toEqual([id]);
    expect(heads).toEqual([10, 20, 30]);
    expect(store.stored[0]?.chain.before).toBe(chainStart(id));
    expect(store.stored[1]?.chain.before).toBe(store.stored[0]?.chain.after);
    expect(writer.waitingBytes()).toBe(0);
  });

  it('tries again while the disk is full or the store is away, and says since when', async () => {
    const full = new ObjectStoreError('full', 'no space left');
    const away = new ObjectStoreError('unreachable', 'connect ECONNREFUSED');
    const store = fakeStore([full, full, away]);
    const { writer, heads } = start(store);
    writer.begin(timeline);
    writer.add(piece(0, 10));
    await eventually(() => writer.trouble() !== null);
    expect(writer.trouble()).toMatchObject({ attempts: 1, detail: 'no space left' });
    await eventually(async () => {
      await clock.advance(1_000);
      return heads.length === 1;
    });
    expect(writer.trouble()).toBeNull();
  });

  it('takes what an attempt of its own has left for its own, and gives up at what somebody else wrote', async () => {
    const exists = new ObjectStoreError('exists', 'there is one');
    const store = fakeStore();
    const { writer, heads, failures } = start(store);
    writer.begin(timeline);
    writer.add(piece(0, 10));
    await eventually(() => heads.length === 1);
    const [own] = store.stored;
    const again = fakeStore([exists]);
    if (own !== undefined) again.stored.push(own);
    const second = start(again);
    second.writer.reset({ timeline: id, chain: chainStart(id) });
    second.writer.add(piece(0, 10));
    await eventually(() => second.heads.length === 1);
    const foreign = fakeStore([exists]);
    if (own !== undefined) foreign.stored.push({ ...own, chain: { before: own.chain.before, after: 'f'.repeat(64) } });
    const third = start(foreign);
    third.writer.reset({ timeline: id, chain: chainStart(id) });
    third.writer.add(piece(0, 10));
    third.writer.add(piece(10, 20));
    await eventually(() => third.failures.length === 1);
    expect(third.failures).toMatchObject([{ kind: 'conflict' }]);
    expect([third.writer.waiting(), third.writer.waitingBytes(), third.heads.length]).toEqual([0, 0, 0]);
    expect(failures).toEqual([]);
  });

  it('gives up at what can never be written', async () => {
    const { writer, failures } = start(fakeStore([new Error('has 3 bytes')]));
    writer.begin(timeline);
    await eventually(() => failures.length === 1);
    expect(failures).toEqual([{ kind: 'defect', detail: 'has 3 bytes' }]);
  });
});
