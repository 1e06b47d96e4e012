import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { directoryStore } from './directory-store.ts';
import { describeObjectStore, listed } from './object-store-conformance.ts';
import { ObjectStoreError } from './object-store.ts';

const run = promisify(execFile);
const never = new AbortController().signal;
const temporary = (): Promise<string> => mkdtemp(join(tmpdir(), 'switchyard-test-store-'));

describeObjectStore('a directory', async () => {
  const root = await temporary();
  return {
    store: directoryStore(root),
    again: () => directoryStore(root),
    end: () => rm(root, { recursive: true, force: true }),
  };
});

describe('directoryStore', () => {
  let root: string;
  beforeEach(async () => {
    root = await temporary();
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const failure = async (work: Promise<unknown>): Promise<ObjectStoreError> => {
    const error: unknown = await work.then(
      () => 'resolved',
      (failed: unknown) => failed,
    );
    if (error instanceof ObjectStoreError) return error;
    throw new Error(`No ObjectStoreError: ${String(error)}`);
  };

  it('shows nothing foreign, and follows no links, wherever they lie', async () => {
    const store = directoryStore(root);
    await store.put('main/one', Buffer.from('1'), { signal: never });
    const outside = await temporary();
    await writeFile(join(outside, 'secret'), 'secret');
    await symlink(outside, join(root, 'linked'));
    await symlink(join(outside, 'secret'), join(root, 'main', 'link'));
    await mkdir(join(root, 'lost+found'));
    await writeFile(join(root, '.hidden'), '');
    await writeFile(join(root, 'main', 'two words'), '');
    await run('mkfifo', [join(root, 'main', 'pipe')]);
    expect((await listed(store)).map(({ name }) => name)).toEqual(['main/one']);
    expect(await listed(store, 'linked/')).toEqual([]);
    expect(await store.folders('', never)).toEqual(['main']);
    expect(await store.folders('linked/', never)).toEqual([]);
    for (const name of ['main/link', 'linked/secret'])
      expect((await failure(store.read(name, 100, never))).kind).toBe('missing');
    expect((await failure(store.put('linked/mine', Buffer.from('1'), { signal: never }))).kind).toBe('refused');
    expect((await failure(store.get('main/pipe', { signal: never }))).kind).toBe('refused');
    await store.remove('linked/secret', never);
    expect(await readdir(outside)).toEqual(['secret']);
    // What replaces a link replaces the link, not what it leads to.
    await store.put('main/link', Buffer.from('own'), { signal: never });
    expect(String(await store.read('main/link', 3, never))).toBe('own');
    await rm(outside, { recursive: true });
  });

  it('removes what a killed process left half-written, and nothing that is being written', async () => {
    const store = directoryStore(root);
    await store.prepare(never);
    const [old, fresh] = [join(root, '.unfinished', 'old'), join(root, '.unfinished', 'fresh')];
    await writeFile(old, 'half');
    await writeFile(fresh, 'half');
    await utimes(old, 1_000, 1_000);
    await store.prepare(never);
    expect(await readdir(join(root, '.unfinished'))).toEqual(['fresh']);
  });

  it('says that a directory vanished, and does not write elsewhere', async () => {
    const store = directoryStore(root);
    await store.prepare(never);
    await rename(root, `${root}-away`);
    const failed = await failure(store.put('main/one', Buffer.from('1'), { signal: never }));
    expect(failed).toMatchObject({ kind: 'unreachable', retryable: true, message: expect.stringContaining(root) });
    expect(await listed(store)).toEqual([]);
    await rename(`${root}-away`, root);
    await store.put('main/one', Buffer.from('1'), { signal: never });
    expect(await listed(store)).toHaveLength(1);
  });

  it('says that the disk is full, leaves no half object, and goes on when there is room again', async () => {
    const disk = join(root, 'disk');
    await mkdir(disk);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk]);
    try {
      const store = directoryStore(disk);
      await store.prepare(never);
      await store.put('kept', Buffer.from('old'), { signal: never });
      const big = Buffer.alloc(512 * 1024, 1);
      for (const work of [
        store.put('kept', big, { signal: never }),
        store.putStream('kept', () => Readable.from([big]), never),
      ])
        expect(await failure(work)).toMatchObject({ kind: 'full', message: expect.stringContaining('ENOSPC') });
      expect(await listed(store)).toMatchObject([{ name: 'kept', bytes: 3 }]);
      expect(await readdir(join(disk, '.unfinished'))).toEqual([]);
      await store.put('small', Buffer.alloc(1_000), { signal: never });
    } finally {
      await run('umount', [disk]);
    }
  });

  it('says that it may not write, and goes on reading', async () => {
    const disk = join(root, 'disk');
    await mkdir(disk);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk]);
    try {
      const store = directoryStore(disk);
      await store.prepare(never);
      await store.put('kept', Buffer.from('old'), { signal: never });
      await run('mount', ['-o', 'remount,ro', disk]);
      for (const work of [
        store.prepare(never),
        store.put('new', Buffer.from('1'), { signal: never }),
        store.remove('kept', never),
      ])
        expect(await failure(work)).toMatchObject({ kind: 'refused', message: expect.stringContaining('EROFS') });
      expect(String(await store.read('kept', 3, never))).toBe('old');
    } finally {
      await run('umount', [disk]);
    }
  });

  it('survives that others empty and fill the same folder at the same time', async () => {
    const [one, other] = [directoryStore(root), directoryStore(root)];
    for (let round = 0; round < 30; round += 1) {
      const adding = one.put(`a/b/${round}`, Buffer.from('1'), { signal: never });
      await Promise.all([adding, other.remove(`a/b/${round - 1}`, never)]);
    }
    expect((await listed(one)).map(({ name }) => name)).toEqual(['a/b/29']);
  });
});
