// How does a data set come to lie in a directory so that redis-server loads it by itself? As dump.rdb and as the base of a multi-part
// AOF: with `appendonly yes` redis-server ignores a dump.rdb without saying so (redis#12762) and would begin empty. Everything is written
// under another name and appears at once; nothing that lies there already is touched.
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readdir, realpath, rename, rm, statfs } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ok, refuse, type Result } from '@switchyard/protocol';
import { syncDirectory, writeDurably } from '../repository/durable-file.ts';
import { codeOf, isMissing, textOf } from '../system-error.ts';
import type { Snapshot } from './materialise.ts';

/** Names below the restored directory; those that redis-server has unless it is told others. */
export const restoredFiles = Object.freeze({
  dump: 'dump.rdb',
  aofDirectory: 'appendonlydir',
  aofBase: 'appendonly.aof.1.base.rdb',
  aofManifest: 'appendonly.aof.manifest',
  description: 'switchyard-restore.json',
});

/** A directory that nobody sees yet. */
export interface RestoreDirectory {
  /** The final path. */
  readonly path: string;
  /** Copies the data set there twice, writes the description last, and makes it visible. Leaves nothing when it rejects. */
  publish(snapshot: Snapshot, description: object, work: PublishWork): Promise<void>;
  /** Removes every trace; without effect after `publish`. */
  discard(): Promise<void>;
}

/** News and end of the copying. */
export interface PublishWork {
  readonly signal: AbortSignal;
  /** 0 to 1. */
  readonly onFraction?: (fraction: number) => void;
}

const unfinished = '.switchyard-unfinished-';
/** An unfinished directory that nobody has written to for so long was left by a process that was killed. */
const abandonedAfterMs = 3_600_000;
const mostNamed = 5;

/**
 * Makes sure that `path` can become a restored directory, and claims a place beside it. Refuses with `invalid_input` (not absolute, no
 * parent), `refused_for_safety` (something lies there, too little room), or `conflict` (cannot be written to). `needBytes`: size of
 * one data set.
 */
export async function openRestoreDirectory(
  path: string,
  options: { readonly needBytes: number; readonly nowMs: number },
): Promise<Result<RestoreDirectory>> {
  if (!isAbsolute(path) || path.includes('\0'))
    return refuse('invalid_input', `${JSON.stringify(path)} is no absolute path.`, {
      next: 'Name the directory from the root on, on the machine of the backup-worker.',
    });
  const target = resolve(path);
  const parent = dirname(target);
  try {
    const inTheWay = await whatLiesAt(target);
    if (inTheWay !== null)
      return refuse('refused_for_safety', `${target} is not empty.`, {
        why: inTheWay,
        next: 'Name a directory that does not exist or is empty; a restore never replaces anything.',
      });
    // A volume of its own cannot be replaced by a directory: then the files are put into it one after the other.
    const within = await isVolume(target, parent);
    const home = within ? target : parent;
    const missing = await roomMissing(home, options.needBytes);
    if (missing !== null) return missing;
    await removeAbandoned(home, basename(target), options.nowMs);
    const mode = await modeOf(target);
    const made = await mkdtemp(join(home, `.${basename(target)}${unfinished}`));
    await chmod(made, mode);
    return ok(directoryAt({ target, made, within }));
  } catch (error) {
    return cannotWrite(target, error);
  }
}

/** Why a directory cannot be written to, as a refusal; rethrows what says nothing about the directory. */
export function cannotWrite(path: string, error: unknown): Result<never> {
  const why = [textOf(error)];
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return refuse('invalid_input', `${dirname(path)} is no directory.`, { why, next: 'Make it first.' });
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return refuse('conflict', `There is no room for ${path}.`, { why, next: 'Make room, or name another disk.' });
  if (['EACCES', 'EPERM', 'EROFS', 'EBUSY', 'EEXIST', 'ENOTEMPTY', 'EIO', 'ELOOP', 'ENAMETOOLONG'].includes(code))
    return refuse('conflict', `${path} cannot be written.`, {
      why,
      next: 'Let the user of the backup-worker write there, or name another directory.',
    });
  throw error;
}

function directoryAt(place: { target: string; made: string; within: boolean }): RestoreDirectory {
  const { target, made, within } = place;
  const discard = (): Promise<void> => rm(made, { recursive: true, force: true });

  const fill = async (snapshot: Snapshot, description: object, { signal, onFraction }: PublishWork): Promise<void> => {
    const { dump, aofDirectory, aofBase, aofManifest, description: file } = restoredFiles;
    const aof = join(made, aofDirectory);
    await mkdir(aof, { mode: 0o750 });
    let copied = 0;
    const onBytes = (bytes: number): void => {
      copied += bytes;
      onFraction?.(snapshot.bytes === 0 ? 1 : Math.min(1, copied / (2 * snapshot.bytes)));
    };
    // Two copies, not one file under two names: redis-server and redis-check-aof change files in place.
    for (const to of [join(made, dump), join(aof, aofBase)]) await copyDurably(snapshot.path, to, { signal, onBytes });
    await writeDurably(join(aof, aofManifest), `file ${aofBase} seq 1 type b\n`);
    await writeDurably(join(made, file), `${JSON.stringify(description, null, 2)}\n`);
    for (const directory of [aof, made]) await syncDirectory(directory);
    signal.throwIfAborted();
  };

  return {
    path: target,
    discard,
    publish: async (snapshot, description, work) => {
      try {
        await fill(snapshot, description, work);
        if (within) await moveInto(target, made);
        else await rename(made, target);
        await syncDirectory(dirname(target));
      } catch (error) {
        await discard();
        throw error;
      }
    },
  };
}

// Until the last file is there, redis-server would load nothing or the whole: the AOF, then the dump.
async function moveInto(target: string, made: string): Promise<void> {
  const moved: string[] = [];
  try {
    const others = (await readdir(target)).filter((name) => name !== basename(made));
    if (others.length > 0)
      throw Object.assign(new Error(`${others[0]} was put there meanwhile`), { code: 'ENOTEMPTY' });
    for (const name of [restoredFiles.aofDirectory, restoredFiles.dump, restoredFiles.description]) {
      await rename(join(made, name), join(target, name));
      moved.push(join(target, name));
    }
    await rm(made, { recursive: true });
    await syncDirectory(target);
  } catch (error) {
    for (const path of moved) await rm(path, { recursive: true, force: true });
    throw error;
  }
}

async function copyDurably(
  from: string,
  to: string,
  { signal, onBytes }: { readonly signal: AbortSignal; readonly onBytes: (bytes: number) => void },
): Promise<void> {
  await pipeline(
    createReadStream(from, { highWaterMark: 1024 * 1024 }),
    async function* count(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        onBytes(chunk.length);
        yield chunk;
      }
    },
    createWriteStream(to, { flags: 'wx', mode: 0o640, flush: true }),
    { signal },
  );
}

async function whatLiesAt(target: string): Promise<readonly string[] | null> {
  const found = await lstat(target).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (found === null) return null;
  if (found.isSymbolicLink()) return [`${target} is a link; name what it leads to`];
  if (!found.isDirectory()) return [`${target} is a file`];
  const names = (await readdir(target)).filter((name) => !name.includes(unfinished));
  if (names.length === 0) return null;
  const more = names.length > mostNamed ? [`and ${names.length - mostNamed} more`] : [];
  return [...names.toSorted().slice(0, mostNamed), ...more];
}

async function isVolume(target: string, parent: string): Promise<boolean> {
  const above = await lstat(parent);
  if (!above.isDirectory() && !above.isSymbolicLink()) throw Object.assign(new Error(parent), { code: 'ENOTDIR' });
  try {
    const [here, there] = [await lstat(target), await lstat(await realpath(parent))];
    return here.dev !== there.dev;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function modeOf(target: string): Promise<number> {
  const found = await lstat(target).catch(() => null);
  return found === null ? 0o750 : found.mode & 0o777;
}

async function roomMissing(home: string, needBytes: number): Promise<Result<never> | null> {
  const { bavail, bsize } = await statfs(home);
  const free = bavail * bsize;
  const need = 2 * needBytes;
  if (free >= need) return null;
  return refuse('refused_for_safety', `There is too little room in ${home}.`, {
    why: [`The data set is written twice: about ${megabytes(need)} are needed, ${megabytes(free)} are free.`],
    next: 'Make room, or name a directory on another disk.',
  });
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1_000_000)} MB`;
}

async function removeAbandoned(home: string, name: string, nowMs: number): Promise<void> {
  for (const entry of await readdir(home)) {
    if (!entry.startsWith(`.${name}${unfinished}`)) continue;
    const path = join(home, entry);
    if ((await lstat(path)).mtimeMs < nowMs - abandonedAfterMs) await rm(path, { recursive: true, force: true });
  }
}
