// How does a file appear whole or not at all, also when the power fails half-way?
// Write under another name, fsync, rename, fsync the directory: the order that PostgreSQL and SQLite rely on.
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Ending of files that are still being written. A reader never looks at them. */
export const unfinishedSuffix = '.unfinished';

/** Replaces `path` by `text`. When it rejects, `path` is as it was before. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const unfinished = `${path}${unfinishedSuffix}`;
  try {
    const file = await open(unfinished, 'w', 0o640);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Makes the names in a directory (created, renamed, removed) survive a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
