// Where does the output of each process go? Straight into a file of its own, two times 10 MB at most.
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';

const limitBytes = 10 * 1024 * 1024;
const sinceBytes = 16 * 1024;

/**
 * Log files in `directory`. `open(name)` gives a descriptor for a child to write to (close it after the start): the
 * first time in a run an old log is put aside. `since(name, bytes)` is what was added after so many bytes, the last 16 KiB of it.
 * `trim()` has to be called now and then.
 */
export function childLogs(directory, { maxBytes = limitBytes } = {}) {
  mkdirSync(directory, { recursive: true });
  const opened = new Set();
  const fileOf = (name) => join(directory, `${name}.log`);
  return {
    fileOf,
    open(name) {
      const file = fileOf(name);
      if (!opened.has(name) && existsSync(file)) renameSync(file, `${file}.1`);
      opened.add(name);
      return openSync(file, 'a');
    },
    since(name, bytes) {
      if (!existsSync(fileOf(name))) return '';
      const log = openSync(fileOf(name), 'r');
      try {
        const { size } = fstatSync(log);
        // It may have been emptied meanwhile.
        const from = Math.max(size < bytes ? 0 : bytes, size - sinceBytes);
        const text = Buffer.alloc(size - from);
        return text.subarray(0, readSync(log, text, 0, text.length, from)).toString('utf8');
      } finally {
        closeSync(log);
      }
    },
    // The child keeps its descriptor, so the file is copied and emptied in place; in append mode it goes on at zero.
    trim() {
      for (const name of opened) {
        const file = fileOf(name);
        if (!existsSync(file) || statSync(file).size <= maxBytes) continue;
        copyFileSync(file, `${file}.1`);
        truncateSync(file);
      }
    },
  };
}
