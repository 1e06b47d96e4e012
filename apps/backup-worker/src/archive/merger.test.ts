import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Timeline } from '@switchyard/protocol';
import { manualClock } from '@switchyard/testing';
import { directoryStore } from '../repository/directory-store.ts';
import { chainStart, extendChain, sha256Of } from '../repository/segment-chain.ts';
import { createSegmentStore, type SegmentStore } from '../repository/segment-store.ts';
import { quietLogger } from '../test-fixtures.ts';
import { createMerger } from './merger.ts';

const never = new AbortController().signal;
const id = '20260102T030405.678Z';
const replicationId = 'a'.repeat(40);
const timeline: Timeline = {
  formatVersion: 1,
  id,
  group: 'main',
  startedAtMs: 1_000,
  start: { replicationId, offset: 0 },
  server: { kind: 'redis', version: '7.0.15' },
  reason: 'first',
  detail: '',
  previous: null,
};

let root: string;
let segments: SegmentStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'switchyard-test-merge-'));
  segments = createSegmentStore({ store: directoryStore(root) });
  await segments.begin(timeline, never);
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Segments of 10 bytes, one a second; those in `without` are missing. */
async function fill(count: number, without: readonly number[] = []): Promise<void> {
  let chain = chainStart(id);
  for (let index = 0; index < count; index += 1) {
    const [from, to] = [index * 10, index * 10 + 10];
    const raw = Buffer.from(String(index).padStart(10, '0'));
    const parts = [{ from, to, sha256: sha256Of(raw) }];
    const before = chain;
    chain = extendChain(before, parts);
    if (without.includes(index)) continue;
    const atMs = 1_000 + index * 1_000;
    await segments.put(
      {
        group: 'main',
        timeline: id,
        from,
        to,
        startedAtMs: atMs,
        endedAtMs: atMs + 500,
        histories: [{ from, replicationId: index < 3 ? replicationId : 'b'.repeat(40) }],
        database: index,
        times: [
          [from + 5, atMs],
          [to, atMs + 10],
        ],
        commands: 2,
        commandCounts: { SET: 1, [`C${index}`]: 1 },
        events: [{ kind: 'flush', command: 'FLUSHALL', before: from, atMs, database: null, detail: '' }],
        moreEvents: 1,
        parts,
        chain: { before, after: chain },
      },
      raw,
      never,
    );
  }
}

const mergeAt = async (unixMs: number, isOwner = true): Promise<number> => {
  let merged = 0;
  const onMerged = (count: number): void => {
    merged += count;
  };
  const clock = manualClock({ unixMs });
  await createMerger({ group: 'main', segments, isOwner: () => isOwner, clock, logger: quietLogger, onMerged }).merge(
    never,
  );
  return merged;
};
const ranges = async (): Promise<string[]> =>
  (await segments.segments('main', id, never)).segments.map(({ from, to }) => `${from}-${to}`);
const content = async (): Promise<string> => {
  const chunks: Buffer[] = [];
  for (const segment of (await segments.segments('main', id, never)).segments)
    for await (const chunk of segments.read(segment, never)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

describe('createMerger', () => {
  it('makes one of what is older than a minute, with every part, name, event and the chain, and removes the pieces', async () => {
    await fill(8);
    const before = await content();
    // The last two are younger than a minute.
    expect(await mergeAt(67_000)).toBe(6);
    expect(await ranges()).toEqual(['0-60', '60-70', '70-80']);
    expect(await content()).toBe(before);
    expect(await segments.checkChain(timeline, never)).toEqual([]);
    const header = await segments.header('main', id, { from: 0, to: 60 }, never);
    expect(header).toMatchObject({
      ok: true,
      value: {
        startedAtMs: 1_000,
        endedAtMs: 6_500,
        database: 0,
        histories: [{ from: 0, replicationId }, { from: 30 }],
        commands: 12,
        commandCounts: { SET: 6, C5: 1 },
        moreEvents: 6,
      },
    });
    if (header.ok)
      expect([header.value.parts.length, header.value.events.length, header.value.times.length]).toEqual([6, 6, 6]);
    expect((await readdir(join(root, 'main', 'stream', id))).filter((name) => name.endsWith('.segment'))).toHaveLength(
      3,
    );
    expect(await mergeAt(67_000)).toBe(0);
  });

  it('never joins over a missing piece, and leaves all to the owner', async () => {
    await fill(7, [3]);
    expect(await mergeAt(1e9, false)).toBe(0);
    expect(await mergeAt(1e9)).toBe(6);
    expect(await ranges()).toEqual(['0-30', '40-70']);
  });

  it('removes what a merge that was cut off has left', async () => {
    await fill(4);
    expect(await mergeAt(1e9)).toBe(4);
    const [merged] = (await segments.segments('main', id, never)).segments;
    await fill(2);
    expect((await segments.segments('main', id, never)).superseded).toHaveLength(2);
    await mergeAt(1e9);
    expect((await segments.segments('main', id, never)).superseded).toEqual([]);
    expect((await segments.segments('main', id, never)).segments).toEqual([merged]);
  });
});
