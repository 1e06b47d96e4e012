// What does every store of objects do? The one suite that a directory and an S3-compatible store both pass.
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { ObjectStoreError, type ObjectStore, type StoredObject } from './object-store.ts';

/** A store for one test, empty. */
export interface TestStore {
  readonly store: ObjectStore;
  /** The same place, opened once more: what another process sees. */
  again(): ObjectStore;
  end(): Promise<void>;
}

const never = new AbortController().signal;

/** All objects below `prefix`. */
export async function listed(store: ObjectStore, prefix = ''): Promise<StoredObject[]> {
  const found: StoredObject[] = [];
  for await (const object of store.list(prefix, never)) found.push(object);
  return found;
}

/** All bytes of a stream. */
export async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function kindOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'resolved',
    (error: unknown) => (error instanceof ObjectStoreError ? error.kind : `other: ${String(error)}`),
  );
}

/** Registers the tests of `name`, whose stores `open` makes. */
export function describeObjectStore(what: string, open: () => Promise<TestStore>): void {
  describe(`${what}: conformance of an object store`, () => {
    let at: TestStore;
    beforeEach(async () => {
      at = await open();
      await at.store.prepare(never);
    });
    afterEach(async () => {
      await at.store.close();
      await at.end();
    });

    it('gives back what was put, also to another process, whole or in part', async () => {
      const body = randomBytes(100_000);
      await at.store.put('main/a-1/data.bin', body, { signal: never });
      const other = at.again();
      expect((await other.read('main/a-1/data.bin', 100_000, never)).equals(body)).toBe(true);
      const ranges: [number | undefined, number | undefined][] = [
        [undefined, undefined],
        [0, 1],
        [99_999, undefined],
        [10, 20_000],
        [5, 5],
        [99_990, 200_000],
      ];
      for (const [from, to] of ranges) {
        const options = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), signal: never };
        const got = await bytesOf(await other.get('main/a-1/data.bin', options));
        expect({ from, to, same: got.equals(body.subarray(from ?? 0, to ?? body.length)) }).toEqual({
          from,
          to,
          same: true,
        });
      }
      await other.close();
    });

    it('keeps an empty object', async () => {
      await at.store.put('empty', Buffer.alloc(0), { signal: never });
      expect(await at.store.read('empty', 0, never)).toHaveLength(0);
      expect(await bytesOf(await at.store.get('empty', { signal: never }))).toHaveLength(0);
      expect(await listed(at.store)).toMatchObject([{ name: 'empty', bytes: 0 }]);
    });

    it('replaces an object, and with ifAbsent leaves it as it is', async () => {
      await at.store.put('one', Buffer.from('first'), { ifAbsent: true, signal: never });
      expect(await kindOf(at.store.put('one', Buffer.from('second'), { ifAbsent: true, signal: never }))).toBe(
        'exists',
      );
      expect(String(await at.store.read('one', 10, never))).toBe('first');
      await at.store.put('one', Buffer.from('third'), { signal: never });
      expect(String(await at.store.read('one', 10, never))).toBe('third');
    });

    it('lets exactly one of many win who put the same name at once', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          kindOf(at.store.put('race/one', Buffer.from(String(index)), { ifAbsent: true, signal: never })),
        ),
      );
      expect(outcomes.filter((outcome) => outcome === 'resolved')).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === 'exists')).toHaveLength(7);
      expect(await at.store.read('race/one', 10, never)).toEqual(Buffer.from(String(outcomes.indexOf('resolved'))));
    });

    it('lists by prefix in the order of the bytes, with sizes and times', async () => {
      const names = ['a/b/1', 'a/b/2', 'a/b-c/1', 'a/b.c', 'a/bc/1', 'a0', 'b/x', 'B/x'];
      for (const name of names) await at.store.put(name, Buffer.from(name), { signal: never });
      const all = await listed(at.store);
      expect(all.map((object) => object.name)).toEqual(names.toSorted((a, b) => (a < b ? -1 : 1)));
      for (const { name, bytes, modifiedAtMs } of all) {
        expect(bytes).toBe(name.length);
        expect(Math.abs(modifiedAtMs - Date.now())).toBeLessThan(3_600_000);
      }
      const named = async (prefix: string): Promise<string[]> =>
        (await listed(at.store, prefix)).map((object) => object.name);
      expect(await named('a/')).toEqual(['a/b-c/1', 'a/b.c', 'a/b/1', 'a/b/2', 'a/bc/1']);
      expect(await named('a/b')).toEqual(['a/b-c/1', 'a/b.c', 'a/b/1', 'a/b/2', 'a/bc/1']);
      expect(await named('a/b/')).toEqual(['a/b/1', 'a/b/2']);
      expect(await named('c')).toEqual([]);
      expect(await named('a/b/1')).toEqual(['a/b/1']);
    });

    it('names the folders below a prefix', async () => {
      for (const name of ['top', 'g1/x/1', 'g1/y/z/2', 'g1/file', 'g2/a/b']) {
        await at.store.put(name, Buffer.from('1'), { signal: never });
      }
      expect(await at.store.folders('', never)).toEqual(['g1', 'g2']);
      expect(await at.store.folders('g1/', never)).toEqual(['x', 'y']);
      expect(await at.store.folders('g3/', never)).toEqual([]);
    });

    it('says of what is not there that it is missing, and removes it without effect', async () => {
      expect(await kindOf(at.store.read('no/such', 10, never))).toBe('missing');
      expect(await kindOf(at.store.get('no/such', { signal: never }))).toBe('missing');
      await at.store.remove('no/such', never);
      await at.store.put('yes/such', Buffer.from('1'), { signal: never });
      await at.store.remove('yes/such', never);
      await at.store.remove('yes/such', never);
      expect(await kindOf(at.store.read('yes/such', 10, never))).toBe('missing');
      expect(await listed(at.store)).toEqual([]);
      expect(await at.store.folders('', never)).toEqual([]);
    });

    it('refuses names that could lead elsewhere, and objects longer than expected', async () => {
      for (const name of ['', '/a', 'a/', 'a//b', '../a', 'a/../b', '.a', 'a/.b', 'a b', 'a\u0000', 'ä', 'a\\b']) {
        expect({ name, kind: await kindOf(at.store.put(name, Buffer.from('1'), { signal: never })) }).toEqual({
          name,
          kind: 'refused',
        });
        expect(await kindOf(at.store.read(name, 1, never))).toBe('refused');
        expect(await kindOf(at.store.remove(name, never))).toBe('refused');
      }
      expect(await kindOf(listed(at.store, '../'))).toBe('refused');
      await at.store.put('long', Buffer.alloc(11), { signal: never });
      expect(await kindOf(at.store.read('long', 10, never))).toBe('refused');
    });

    it('takes a long stream piece by piece and hides it until it is whole', async () => {
      const piece = randomBytes(1024 * 1024);
      const pieces = 21;
      const hash = createHash('sha256');
      let seen: StoredObject[] = [];
      const content = async function* content(): AsyncGenerator<Buffer> {
        for (let index = 0; index < pieces; index += 1) {
          piece.writeUInt32BE(index);
          const copy = Buffer.from(piece);
          hash.update(copy);
          if (index === pieces - 1) seen = await listed(at.store);
          yield copy;
        }
      };
      const put = await at.store.putStream('main/long', () => Readable.from(content()), never);
      expect(put).toEqual({ bytes: pieces * piece.length });
      expect(seen).toEqual([]);
      const back = createHash('sha256');
      for await (const chunk of await at.again().get('main/long', { signal: never })) back.update(chunk as Buffer);
      expect(back.digest('hex')).toBe(hash.digest('hex'));
    });

    it('takes a short and an empty stream', async () => {
      expect(await at.store.putStream('short', () => Readable.from([Buffer.from('abc')]), never)).toEqual({ bytes: 3 });
      expect(await at.store.putStream('none', () => Readable.from([]), never)).toEqual({ bytes: 0 });
      expect(String(await at.store.read('short', 3, never))).toBe('abc');
      expect(await at.store.read('none', 3, never)).toHaveLength(0);
    });

    it('leaves what was there when a stream breaks off, and hands on its error', async () => {
      await at.store.put('main/kept', Buffer.from('old'), { signal: never });
      const broken = async function* broken(): AsyncGenerator<Buffer> {
        yield randomBytes(9 * 1024 * 1024);
        await pause(1);
        throw new Error('the source went away');
      };
      for (const name of ['main/kept', 'main/new'])
        await expect(at.store.putStream(name, () => Readable.from(broken()), never)).rejects.toThrow(
          'the source went away',
        );
      expect(await listed(at.store)).toMatchObject([{ name: 'main/kept', bytes: 3 }]);
    });

    it('ends at once with the reason of its signal', async () => {
      const cancel = new AbortController();
      const endless = async function* endless(): AsyncGenerator<Buffer> {
        for (let index = 0; ; index += 1) {
          if (index === 9) cancel.abort(new Error('no longer wanted'));
          yield randomBytes(1024 * 1024);
          await pause(1);
        }
      };
      await expect(at.store.putStream('never', () => Readable.from(endless()), cancel.signal)).rejects.toThrow(
        'no longer wanted',
      );
      expect(await listed(at.store)).toEqual([]);
      await at.store.put('one', randomBytes(1024 * 1024), { signal: never });
      const { signal } = cancel;
      for (const work of [
        () => at.store.put('two', Buffer.from('2'), { signal }),
        () => at.store.read('one', 2 ** 20, signal),
        () => at.store.get('one', { signal }),
        () => at.store.remove('one', signal),
        () => at.store.folders('', signal),
        () => at.store.prepare(signal),
      ])
        await expect(work()).rejects.toThrow('no longer wanted');
      expect(await listed(at.store)).toHaveLength(1);
    });

    it('lets a reader stop half-way', async () => {
      await at.store.put('one', randomBytes(4 * 1024 * 1024), { signal: never });
      const stream = await at.store.get('one', { signal: never });
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      expect(stream.destroyed).toBe(true);
      expect(await at.store.read('one', 2 ** 22, never)).toHaveLength(2 ** 22);
    });
  });
}
