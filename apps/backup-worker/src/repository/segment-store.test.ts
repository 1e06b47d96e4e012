import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { layout } from '@switchyard/backup';
import { RefusalError, type SegmentHeader, type Timeline } from '@switchyard/protocol';
import { seededRandom } from '@switchyard/testing';
import { directoryStore } from './directory-store.ts';
import { parseKeys, type EncryptionKeys } from './encryption-keys.ts';
import type { ObjectStore } from './object-store.ts';
import { chainStart, extendChain, sha256Of } from './segment-chain.ts';
import { createSegmentStore, type SegmentFacts, type SegmentStore } from './segment-store.ts';

const never = new AbortController().signal;
const group = 'main';
const id = '20260102T030405.678Z';
const timeline: Timeline = {
  formatVersion: 1,
  id,
  group,
  startedAtMs: 1,
  start: { replicationId: 'a'.repeat(40), offset: 100 },
  server: { kind: 'redis', version: '7.0.15' },
  reason: 'first',
  detail: 'there was none before',
  previous: null,
};

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'switchyard-test-segments-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const open = (keys?: EncryptionKeys): SegmentStore =>
  createSegmentStore({ store: directoryStore(root), ...(keys === undefined ? {} : { keys }) });

function factsOf(raw: Buffer, from: number, before: string): SegmentFacts {
  const to = from + raw.length;
  const parts = [{ from, to, sha256: sha256Of(raw) }];
  return {
    group,
    timeline: id,
    from,
    to,
    startedAtMs: 1,
    endedAtMs: 2,
    histories: [{ from, replicationId: 'a'.repeat(40) }],
    database: 0,
    times: [[to, 2]],
    commands: 1,
    commandCounts: { SET: 1 },
    events: [],
    moreEvents: 0,
    parts,
    chain: { before, after: extendChain(before, parts) },
  };
}

/** Puts one segment of each size after another; gives their headers and raw bytes. */
async function fill(store: SegmentStore, sizes: readonly number[]): Promise<{ headers: SegmentHeader[]; raw: Buffer }> {
  await store.begin(timeline, never);
  const headers: SegmentHeader[] = [];
  const pieces: Buffer[] = [];
  let [from, chain] = [timeline.start.offset, chainStart(id)];
  for (const size of sizes) {
    const raw = Buffer.concat([randomBytes(Math.ceil(size / 2)), Buffer.alloc(Math.floor(size / 2), 7)]);
    const header = await store.put(factsOf(raw, from, chain), raw, never);
    headers.push(header);
    pieces.push(raw);
    from = header.to;
    chain = header.chain.after;
  }
  return { headers, raw: Buffer.concat(pieces) };
}

async function readAll(store: SegmentStore, headers: readonly SegmentHeader[]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (const header of headers) for await (const chunk of store.read(header, never)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const summary = ({ times: _times, parts: _parts, ...rest }: SegmentHeader): object => rest;
const fileOf = (header: SegmentHeader): string => join(root, layout.segment(group, id, header));
const refusalOf = async (work: Promise<unknown>): Promise<RefusalError['refusal']> => {
  const error: unknown = await work.then(
    () => 'resolved',
    (failed: unknown) => failed,
  );
  if (error instanceof RefusalError) return error.refusal;
  throw new Error(`No refusal: ${String(error)}`);
};

describe('a segment store', () => {
  it('is rebuilt by another process from the repository alone', async () => {
    const { headers, raw } = await fill(open(), [1, 1_000, 300_000]);
    const other = open();
    expect(await other.groups(never)).toEqual([group]);
    expect(await other.timelines(group, never)).toEqual({ timelines: [timeline], problems: [] });
    expect(await other.segments(group, id, never)).toEqual({
      segments: headers.map(summary),
      superseded: [],
      problems: [],
    });
    expect(await other.header(group, id, { from: 1_101, to: 301_101 }, never)).toEqual({ ok: true, value: headers[2] });
    expect((await readAll(other, headers)).equals(raw)).toBe(true);
    expect(await other.checkChain(timeline, never)).toEqual([]);
  });

  it('gives a long segment without holding it as a whole', async () => {
    const { headers, raw } = await fill(open(), [20 * 1024 * 1024]);
    expect((await readAll(open(), headers)).equals(raw)).toBe(true);
  });

  it('remembers heads, no more than it may, and without their times', async () => {
    const disk = directoryStore(root);
    let heads = 0;
    const store: ObjectStore = {
      ...disk,
      get: (name, options) => {
        heads += 1;
        return disk.get(name, options);
      },
    };
    await fill(open(), [10, 10, 10, 10]);
    const roomy = createSegmentStore({ store });
    const { segments } = await roomy.segments(group, id, never);
    await roomy.segments(group, id, never);
    expect(heads).toBe(4);
    expect(segments[0]).not.toHaveProperty('times');
    const narrow = createSegmentStore({ store, cachedHeaders: 2 });
    for (let round = 0; round < 3; round += 1)
      expect((await narrow.segments(group, id, never)).segments).toEqual(segments);
    expect(heads).toBeGreaterThan(8);
  });

  it('begins a timeline once, and does not mind hearing it again', async () => {
    await open().begin(timeline, never);
    await open().begin(timeline, never);
    await expect(open().begin({ ...timeline, detail: 'another' }, never)).rejects.toMatchObject({ kind: 'exists' });
  });

  it('stores no segment twice, nor one that contradicts its bytes', async () => {
    const store = open();
    await fill(store, [10]);
    const raw = randomBytes(10);
    const facts = factsOf(raw, 100, chainStart(id));
    await expect(store.put(facts, raw, never)).rejects.toMatchObject({ kind: 'exists' });
    await expect(store.put(facts, randomBytes(10), never)).rejects.toThrow('hash of its part');
    await expect(store.put(facts, randomBytes(11), never)).rejects.toThrow('11 bytes');
    await expect(
      store.put({ ...facts, chain: { before: facts.chain.before, after: '0'.repeat(64) } }, raw, never),
    ).rejects.toThrow('chain');
  });

  it('takes a merged segment instead of its pieces, and the pieces when the merged one is damaged', async () => {
    const store = open();
    const { headers, raw } = await fill(store, [10, 20, 30]);
    const [first, second, third] = headers as [SegmentHeader, SegmentHeader, SegmentHeader];
    const whole = raw.subarray(0, 30);
    const merged = await store.put(
      {
        ...factsOf(whole, 100, first.chain.before),
        parts: [...first.parts, ...second.parts],
        chain: { before: first.chain.before, after: second.chain.after },
      },
      whole,
      never,
    );
    const { segments, superseded } = await store.segments(group, id, never);
    expect(segments).toEqual([merged, third].map(summary));
    expect(superseded).toEqual([first, second].map(({ from, to }) => ({ from, to })));
    expect(await store.checkChain(timeline, never)).toEqual([]);

    await writeFile(fileOf(merged), 'nonsense');
    const damaged = await open().segments(group, id, never);
    expect(damaged.segments).toEqual([first, second, third].map(summary));
    expect(damaged.problems).toMatchObject([{ path: expect.stringContaining('0000000000000130.segment') }]);

    await store.remove(group, id, first, never);
    await store.remove(group, id, merged, never);
    expect((await open().segments(group, id, never)).segments).toEqual([second, third].map(summary));
    await store.removeTimeline(group, id, never);
    expect(await open().timelines(group, never)).toEqual({ timelines: [], problems: [] });
    expect(await readdir(root)).toEqual(['.unfinished']);
  });

  it('finds every random change of a segment: flipped bits, cut off, longer, exchanged (random)', async () => {
    const random = seededRandom();
    const key = parseKeys(randomBytes(32).toString('hex'));
    for (const keys of [undefined, key]) {
      await rm(root, { recursive: true });
      await mkdir(root);
      const { headers, raw } = await fill(open(keys), [3_000, 3_000]);
      const [header, next] = headers as [SegmentHeader, SegmentHeader];
      const intact = await readFile(fileOf(header));
      for (let round = 0; round < 250; round += 1) {
        const kind = random.pick(['flip', 'flip', 'flip', 'cut', 'longer', 'exchanged']);
        let damaged = Buffer.from(intact);
        const at = random.integer(0, intact.length - 1);
        if (kind === 'flip') damaged[at] = (damaged[at] ?? 0) ^ (1 << random.integer(0, 7));
        if (kind === 'cut') damaged = damaged.subarray(0, at);
        if (kind === 'longer') damaged = Buffer.concat([damaged, randomBytes(random.integer(1, 50))]);
        if (kind === 'exchanged') damaged = await readFile(fileOf(next));
        await writeFile(fileOf(header), damaged);
        const outcome = await readAll(open(keys), [header]).then(
          (bytes) => (bytes.equals(raw.subarray(0, 3_000)) ? 'the same' : 'wrong bytes'),
          (error: unknown) => (error instanceof RefusalError ? error.refusal.code : String(error)),
        );
        expect({ seed: random.seed, round, kind, at, outcome }).toEqual({
          seed: random.seed,
          round,
          kind,
          at,
          outcome: 'backup_corrupt',
        });
      }
    }
  });

  it('encrypts, reads with any of its keys, and names the key that is missing', async () => {
    const [older, newer] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    const secret = Buffer.from('a secret that must not lie there readable, '.repeat(50));
    const store = open(parseKeys(older));
    await store.begin(timeline, never);
    const header = await store.put(factsOf(secret, 100, chainStart(id)), secret, never);
    expect(await readFile(fileOf(header), 'latin1')).not.toContain('must not lie there');
    expect((await readAll(open(parseKeys(`${newer}\n${older}`)), [header])).equals(secret)).toBe(true);
    for (const keys of [undefined, parseKeys(newer)]) {
      const other = open(keys);
      expect(await refusalOf(readAll(other, [header]))).toMatchObject({
        code: 'key_missing',
        why: [`key ${header.encryption?.keyId}`],
      });
      expect((await other.segments(group, id, never)).segments).toHaveLength(1);
    }
  });

  it('sees a gap, a foreign piece, and a chain that was made anew', async () => {
    const store = open();
    const { headers } = await fill(store, [10, 10, 10]);
    const [, second, third] = headers as [SegmentHeader, SegmentHeader, SegmentHeader];
    await store.remove(group, id, second, never);
    expect(await store.checkChain(timeline, never)).toMatchObject([
      { detail: `the stream has no bytes from ${second.from} to ${second.to}` },
    ]);
    const raw = randomBytes(10);
    await store.put(factsOf(raw, second.from, sha256Of('made up')), raw, never);
    expect(await open().checkChain(timeline, never)).toMatchObject([
      { path: expect.stringContaining(String(second.from)), detail: expect.stringContaining('does not go on') },
      { path: expect.stringContaining(String(third.from)), detail: expect.stringContaining('does not go on') },
    ]);
  });
});
