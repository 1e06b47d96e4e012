// How do objects lie in a directory? As files under their names. Each one is written under another name in `.unfinished/`, synced,
// then renamed (or linked, which fails when the name is taken) and its directory synced: the order that PostgreSQL and SQLite rely on.
import { randomUUID } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { link, lstat, mkdir, open, opendir, rename, rm, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { codeOf, isMissing, textOf } from '../system-error.ts';
import { syncDirectory } from './durable-file.ts';
import { checkObjectName, checkPrefix, isObjectName } from './object-name.ts';
import { ObjectStoreError, type ObjectStore, type StoredObject } from './object-store.ts';

/** Half-written objects, on the same file system as the rest. */
const unfinishedFolder = '.unfinished';
/** Nobody writes to an object so seldom; what is older was left by a process that is gone. */
const leftoverAfterMs = 3_600_000;
const statAtOnce = 32;
const pieceBytes = 256 * 1024;

/** A store in the directory `root` (absolute). Touches nothing until a method is called. Links in it are not followed. */
export function directoryStore(root: string): ObjectStore {
  const pathOf = (name: string): string => join(root, ...name.split('/'));

  // A directory below the root that is a link would lead elsewhere.
  const isOwn = async (name: string): Promise<boolean> => {
    const parts = name.split('/').slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth += 1)
      if ((await lstat(join(root, ...parts.slice(0, depth)))).isSymbolicLink()) return false;
    return true;
  };

  const openObject = async (name: string): Promise<FileHandle> => {
    checkObjectName(name);
    try {
      if (!(await isOwn(name))) throw missing(name);
      // NONBLOCK: opening a pipe that somebody put there must not wait for its writer.
      const file = await open(pathOf(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      if ((await file.stat()).isFile()) return file;
      await file.close();
      throw new ObjectStoreError('refused', `${name} is no file.`);
    } catch (error) {
      throw codeOf(error) === 'ELOOP' ? missing(name) : storeError(error, name);
    }
  };

  // Only below the root: a root that vanished (a disk that is no longer mounted) must not come back as an empty directory elsewhere.
  const makeParents = async (name: string): Promise<void> => {
    const parts = name.split('/').slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const path = join(root, ...parts.slice(0, depth));
      try {
        await mkdir(path, { mode: 0o750 });
        await syncDirectory(dirname(path));
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
    }
    if (!(await isOwn(name))) throw new ObjectStoreError('refused', `${name}: a folder of it is a link.`);
  };

  const write = async (
    name: string,
    options: { readonly ifAbsent: boolean; readonly signal: AbortSignal },
    fill: (file: FileHandle) => Promise<number>,
  ): Promise<number> => {
    checkObjectName(name);
    options.signal.throwIfAborted();
    const unfinished = join(root, unfinishedFolder, randomUUID());
    try {
      const file = await openNew(unfinished);
      let bytes: number;
      try {
        bytes = await fill(file);
        await file.sync();
      } finally {
        await file.close();
      }
      options.signal.throwIfAborted();
      await appear(unfinished, name, options.ifAbsent);
      return bytes;
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => undefined);
      options.signal.throwIfAborted();
      if (codeOf(error) === 'ENOENT')
        throw new ObjectStoreError('unreachable', `${root} is gone: ${textOf(error)}`, { cause: error });
      throw storeError(error, name);
    }
  };

  const openNew = async (path: string): Promise<FileHandle> => {
    try {
      return await open(path, 'wx', 0o640);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      await mkdir(dirname(path), { mode: 0o750 }).catch((failed: unknown) => {
        if (codeOf(failed) !== 'EEXIST') throw failed;
      });
      return open(path, 'wx', 0o640);
    }
  };

  // A folder that just became empty may be removed by somebody at the same time: then it is made once more.
  const appear = async (unfinished: string, name: string, ifAbsent: boolean): Promise<void> => {
    const path = pathOf(name);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await makeParents(name);
        if (ifAbsent) {
          await link(unfinished, path);
          await unlink(unfinished);
        } else await rename(unfinished, path);
        await syncDirectory(dirname(path));
        return;
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || attempt === 5 || !(await exists(unfinished))) throw error;
      }
    }
  };

  const removeLeftovers = async (nowMs: number): Promise<void> => {
    const folder = join(root, unfinishedFolder);
    for (const { name, isFile } of await entriesOf(folder)) {
      if (!isFile) continue;
      const path = join(folder, name);
      const facts = await lstat(path).catch(() => undefined);
      if (facts !== undefined && facts.mtimeMs < nowMs - leftoverAfterMs) await rm(path, { force: true });
    }
  };

  async function* listFolder(folder: string, prefix: string, signal: AbortSignal): AsyncGenerator<StoredObject> {
    // By bytes of the whole name, a folder sorts as if its slash were part of it.
    const entries = (await entriesOf(join(root, ...folder.split('/'))))
      .filter((entry) => entry.isFile || entry.isDirectory)
      .map((entry) => ({ ...entry, key: `${folder}${entry.name}${entry.isDirectory ? '/' : ''}` }))
      .filter(({ key, isDirectory }) => key.startsWith(prefix) || (isDirectory && prefix.startsWith(key)))
      .filter(({ key, isDirectory }) => isObjectName(isDirectory ? key.slice(0, -1) : key))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
    for (let at = 0; at < entries.length; at += statAtOnce) {
      signal.throwIfAborted();
      const batch = entries.slice(at, at + statAtOnce);
      const facts = await Promise.all(
        batch.map(({ key, isFile }) =>
          isFile ? lstat(join(root, key)).catch(() => undefined) : Promise.resolve(undefined),
        ),
      );
      for (const [index, { key, isDirectory }] of batch.entries()) {
        const fact = facts[index];
        if (isDirectory) yield* listFolder(key, prefix, signal);
        else if (fact !== undefined) yield { name: key, bytes: fact.size, modifiedAtMs: fact.mtimeMs };
      }
    }
  }

  return {
    place: root,

    prepare: async (signal) => {
      signal.throwIfAborted();
      try {
        await mkdir(root, { recursive: true, mode: 0o750 });
        await mkdir(join(root, unfinishedFolder), { recursive: true, mode: 0o750 });
        const probe = join(root, unfinishedFolder, randomUUID());
        const file = await open(probe, 'wx', 0o640);
        let nowMs: number;
        try {
          await file.writeFile('writable');
          await file.sync();
          // The clock that the file system stamps with: on a network share it is not this machine's.
          nowMs = (await file.stat()).mtimeMs;
        } finally {
          await file.close();
          await rm(probe, { force: true });
        }
        await removeLeftovers(nowMs);
      } catch (error) {
        throw codeOf(error) === 'EEXIST'
          ? new ObjectStoreError('refused', `${root} is no directory: ${textOf(error)}`, { cause: error })
          : storeError(error, root);
      }
    },

    list: async function* list(prefix, signal) {
      checkPrefix(prefix);
      try {
        // Nothing above the last whole folder of the prefix needs to be read.
        const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
        if (folder !== '' && !(await isOwn(`${folder}x`))) return;
        yield* listFolder(folder, prefix, signal);
      } catch (error) {
        if (isMissing(error)) return;
        signal.throwIfAborted();
        throw storeError(error, prefix);
      }
    },

    folders: async (prefix, signal) => {
      checkPrefix(prefix);
      signal.throwIfAborted();
      try {
        if (prefix !== '' && !(await isOwn(`${prefix}x`))) return [];
        return (await entriesOf(join(root, ...prefix.split('/'))))
          .filter(({ name, isDirectory }) => isDirectory && isObjectName(name))
          .map(({ name }) => name)
          .toSorted((a, b) => (a < b ? -1 : 1));
      } catch (error) {
        if (isMissing(error)) return [];
        throw storeError(error, prefix);
      }
    },

    get: async (name, { from = 0, to, signal }) => {
      signal.throwIfAborted();
      const file = await openObject(name);
      if (to !== undefined && to <= from) {
        await file.close();
        return new PassThrough().end();
      }
      const source = createReadStream('', {
        fd: file,
        start: from,
        ...(to === undefined ? {} : { end: to - 1 }),
        signal,
        highWaterMark: pieceBytes,
      });
      return withStoreErrors(source, name, signal);
    },

    read: async (name, mostBytes, signal) => {
      signal.throwIfAborted();
      const file = await openObject(name);
      try {
        const { size } = await file.stat();
        if (size > mostBytes) throw tooLong(name, size, mostBytes);
        return await file.readFile({ signal });
      } catch (error) {
        signal.throwIfAborted();
        throw storeError(error, name);
      } finally {
        await file.close();
      }
    },

    put: async (name, body, { ifAbsent = false, signal }) => {
      await write(name, { ifAbsent, signal }, async (file) => {
        await file.writeFile(body);
        return body.length;
      });
    },

    putStream: async (name, body, signal) => {
      const bytes = await write(name, { ifAbsent: false, signal }, async (file) => {
        let written = 0;
        const source = body();
        await pipeline(
          source,
          async (chunks: AsyncIterable<Buffer>) => {
            for await (const chunk of chunks) {
              // As a whole: a short write is an error with the reason (a full disk), not a shorter object.
              await file.writeFile(chunk);
              written += chunk.length;
            }
          },
          { signal },
        );
        return written;
      });
      return { bytes };
    },

    remove: async (name, signal) => {
      checkObjectName(name);
      signal.throwIfAborted();
      try {
        if (!(await isOwn(name))) return;
        const path = pathOf(name);
        await unlink(path);
        await syncDirectory(dirname(path));
        await removeEmptyParents(root, name);
      } catch (error) {
        if (!isMissing(error)) throw storeError(error, name);
      }
    },

    close: () => Promise.resolve(),
  };
}

async function removeEmptyParents(root: string, name: string): Promise<void> {
  const parts = name.split('/').slice(0, -1);
  for (; parts.length > 0; parts.pop()) {
    try {
      await rmdir(join(root, ...parts));
    } catch {
      // Not empty, or somebody else was faster: both end it.
      return;
    }
  }
}

interface Entry {
  readonly name: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

// One by one: a directory may have very many.
async function entriesOf(path: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    for await (const entry of await opendir(path, { bufferSize: 256 }))
      entries.push({ name: entry.name, isFile: entry.isFile(), isDirectory: entry.isDirectory() });
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return entries;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function missing(name: string): ObjectStoreError {
  return new ObjectStoreError('missing', `There is no ${name}.`);
}

/** What `read` rejects with when the object has more bytes than wanted. */
export function tooLong(name: string, bytes: number, mostBytes: number): ObjectStoreError {
  return new ObjectStoreError('refused', `${name} has ${bytes} bytes; at most ${mostBytes} are expected there.`);
}

const kinds: Readonly<Record<string, ObjectStoreError['kind']>> = {
  ENOENT: 'missing',
  ENOTDIR: 'missing',
  ENOSPC: 'full',
  EDQUOT: 'full',
  EFBIG: 'full',
  ESTALE: 'unreachable',
  ETIMEDOUT: 'unreachable',
};

function storeError(error: unknown, what: string): unknown {
  if (error instanceof ObjectStoreError) return error;
  const code = codeOf(error);
  // Whatever has no code of the system is not the disk's: a source that broke off, a signal, a defect.
  if (!/^E[A-Z0-9]+$/.test(code)) return error;
  if (code === 'EEXIST') return new ObjectStoreError('exists', `${what}: ${textOf(error)}`, { cause: error });
  return new ObjectStoreError(kinds[code] ?? 'refused', `${what}: ${textOf(error)}`, { cause: error });
}

function withStoreErrors(source: Readable, name: string, signal: AbortSignal): Readable {
  const out = new PassThrough({ highWaterMark: pieceBytes });
  source.once('error', (error) => {
    const reason: unknown = signal.aborted ? signal.reason : storeError(error, name);
    out.destroy(reason instanceof Error ? reason : new Error(String(reason)));
  });
  // The file may fail before anybody listens: who reads it then hears of it all the same.
  out.on('error', () => undefined);
  out.once('close', () => source.destroy());
  return source.pipe(out);
}
