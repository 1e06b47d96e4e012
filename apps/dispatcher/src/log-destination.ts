// How do lines reach a file, a pipe or stdout without ever holding up the process? Writes happen in the thread pool; a pipe is
// opened so that it refuses instead of blocking (a thread that blocks in write(2) would also hold up the exit); a file that was
// renamed or removed is opened anew, as logrotate and nginx users expect, without a signal.
import { constants, fstat, write } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Where lines go. One call at a time. */
export interface LogDestination {
  /** For people: a path, or "stdout". */
  readonly name: string;
  /** Opens it; rejects when it cannot be used. A pipe that nobody reads yet is opened by a later `write`. */
  open(): Promise<void>;
  /** More bytes than this at once may be torn apart by another writer. Known after `open`. */
  readonly mostBytes: number;
  /** How many of the bytes it took; 0 when it takes none now. Rejects when it failed. */
  write(bytes: Buffer): Promise<number>;
  /** Opens it anew when its file is not at its path any more. */
  look(): Promise<void>;
  close(): Promise<void>;
}

/** Appends of this size to a file are one write; to a pipe only those up to PIPE_BUF are (pipe(7)). */
const fileBytes = 64 * 1024;
const pipeBytes = 4 * 1024;
const stdout = 1;
const takesNone = new Set<unknown>(['EAGAIN', 'EWOULDBLOCK', 'ENXIO']);
const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;

/** A file or a named pipe, made when it is not there; its folder has to be. */
export function pathDestination(path: string): LogDestination {
  let handle: FileHandle | undefined;
  let isFile = true;
  const openNow = async (): Promise<void> => {
    const opened = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o640);
    isFile = (await opened.stat()).isFile();
    handle = opened;
  };
  const close = async (): Promise<void> => {
    const closing = handle;
    handle = undefined;
    await closing?.close();
  };
  const isReplaced = async (): Promise<boolean> => {
    if (handle === undefined || !isFile) return false;
    const [own, there] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)]);
    return there === undefined || there.ino !== own.ino || there.dev !== own.dev;
  };
  return {
    name: path,
    get mostBytes() {
      return isFile ? fileBytes : pipeBytes;
    },
    async open() {
      try {
        await openNow();
      } catch (error) {
        if (codeOf(error) !== 'ENXIO') throw error;
        isFile = false;
      }
    },
    async write(bytes) {
      try {
        if (handle === undefined) await openNow();
        return (await handle?.write(bytes))?.bytesWritten ?? 0;
      } catch (error) {
        if (takesNone.has(codeOf(error))) return 0;
        // the reader of a pipe went: the next one gets another
        if (codeOf(error) === 'EPIPE') await close();
        throw error;
      }
    },
    async look() {
      if (!(await isReplaced())) return;
      await close();
      await openNow();
    },
    close,
  };
}

/** The stdout of this process, which its own log lines go to as well. */
export function stdoutDestination(): LogDestination {
  let pipe: FileHandle | undefined;
  let isPipe = false;
  return {
    name: 'stdout',
    get mostBytes() {
      return isPipe ? pipeBytes : fileBytes;
    },
    async open() {
      isPipe = (await promisify(fstat)(stdout)).isFIFO();
      // only a pipe: a file opened twice would have two positions, and each writer would write over the other
      if (isPipe) pipe = await open('/proc/self/fd/1', O_WRONLY | O_NONBLOCK).catch(() => undefined);
    },
    async write(bytes) {
      try {
        if (pipe !== undefined) return (await pipe.write(bytes)).bytesWritten;
        return (await promisify(write)(stdout, bytes)).bytesWritten;
      } catch (error) {
        if (takesNone.has(codeOf(error))) return 0;
        throw error;
      }
    },
    look: () => Promise.resolve(),
    async close() {
      await pipe?.close();
      pipe = undefined;
    },
  };
}

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
