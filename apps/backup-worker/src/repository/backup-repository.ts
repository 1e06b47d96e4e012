// Which backups are there, and how does one come into being? A directory, <root>/<group>/<label>/, read anew each time: there is
// no index that could disagree with it. A backup exists from the moment its manifest does. Layout and format: libs/backup manifest.ts.
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  backupLabelSchema,
  backupVerificationSchema,
  decodeJson,
  ok,
  plainNameSchema,
  refuse,
} from '@switchyard/protocol';
import type { BackupManifest, BackupVerification, Result } from '@switchyard/protocol';
import { backupFiles, labelFor, type StoredBackup } from '@switchyard/backup';
import { syncDirectory, unfinishedSuffix, writeDurably } from './durable-file.ts';
import { readManifestText, writeManifestText } from './manifest-file.ts';
import { isMissing, textOf } from '../system-error.ts';

/** Something in the repository that looks like a backup and cannot be used as one. */
export interface RepositoryProblem {
  /** Relative to the repository. */
  readonly path: string;
  readonly detail: string;
}

/** Everything in the repository, newest first. */
export interface RepositoryListing {
  readonly backups: readonly StoredBackup[];
  readonly problems: readonly RepositoryProblem[];
}

/** A backup that does not exist yet. */
export interface BackupDraft {
  readonly label: string;
  /** Where its data is to be written; the file must not exist. */
  readonly dataPath: string;
  /** Makes it a backup: with the data under its final name, the outcome of its proof, and the manifest last. */
  publish(backup: StoredBackup): Promise<void>;
  /** Removes every trace. */
  discard(): Promise<void>;
}

/** A directory of backups. Methods reject only on I/O errors. */
export interface BackupRepository {
  readonly root: string;
  /** Creates the directory and proves that it can be written to. */
  prepare(): Promise<void>;
  list(group?: string): Promise<RepositoryListing>;
  /** Refuses with `not_found`, or `backup_corrupt` when there is one that cannot be read. Any group when none is given. */
  find(label: string, group?: string): Promise<Result<StoredBackup>>;
  begin(group: string, atMs: number): Promise<BackupDraft>;
  recordVerification(manifest: BackupManifest, verification: BackupVerification): Promise<void>;
  /** First it stops being a backup, then its files go: never a manifest without its data. */
  remove(group: string, label: string): Promise<void>;
  pathOf(manifest: BackupManifest, file: string): string;
  /** Removes what never became a backup and was last written before `olderThanMs` (unix ms). Returns the paths. */
  removeLeftovers(olderThanMs: number): Promise<readonly string[]>;
}

/** Far above any sensible retention; a directory with more is not read further. */
const mostBackupsOfGroup = 10_000;
const readAtOnce = 16;
const longestManifestBytes = 1024 * 1024;

/** The repository in the directory `root`. Touches nothing until a method is called. */
export function createBackupRepository(root: string): BackupRepository {
  const folder = (group: string, label: string): string => join(root, group, label);

  const groups = async (): Promise<string[]> =>
    (await directoriesIn(root)).filter((name) => plainNameSchema.safeParse(name).success);
  const labels = async (group: string): Promise<string[]> =>
    (await directoriesIn(join(root, group)))
      .filter((name) => backupLabelSchema.safeParse(name).success)
      .toSorted((a, b) => (a < b ? 1 : -1))
      .slice(0, mostBackupsOfGroup);

  const read = async (group: string, label: string): Promise<Result<StoredBackup>> => {
    const text = await readShort(join(folder(group, label), backupFiles.manifest));
    if (!text.ok) return text;
    const manifest = readManifestText(text.value, { group, label });
    if (!manifest.ok) return manifest;
    const verification = await readShort(join(folder(group, label), backupFiles.verification));
    // An unreadable outcome proves nothing: the backup counts as unverified, and the next verification replaces it.
    const decoded = verification.ok ? decodeJson(backupVerificationSchema, verification.value) : verification;
    return ok({ manifest: manifest.value, verification: decoded.ok ? decoded.value : null });
  };

  return {
    root,
    prepare: async () => {
      await mkdir(root, { recursive: true, mode: 0o750 });
      const probe = join(root, '.writable');
      await writeDurably(probe, '');
      await rm(probe);
    },

    list: async (group) => {
      const backups: StoredBackup[] = [];
      const problems: RepositoryProblem[] = [];
      for (const name of group === undefined ? await groups() : [group]) {
        const found = await labels(name);
        for (let at = 0; at < found.length; at += readAtOnce) {
          const batch = found.slice(at, at + readAtOnce);
          const results = await Promise.all(batch.map(async (label) => ({ label, result: await read(name, label) })));
          for (const { label, result } of results) {
            if (result.ok) backups.push(result.value);
            else if (result.error.code !== 'not_found')
              problems.push({ path: `${name}/${label}`, detail: result.error.detail });
          }
        }
      }
      return { backups: backups.toSorted((a, b) => b.manifest.startedAtMs - a.manifest.startedAtMs), problems };
    },

    find: async (label, group) => {
      for (const name of group === undefined ? await groups() : [group]) {
        const result = await read(name, label);
        if (result.ok || result.error.code !== 'not_found') return result;
      }
      return refuse('not_found', `There is no backup ${label}${group === undefined ? '' : ` of ${group}`}.`, {
        next: 'GET /v1/backups lists the backups.',
      });
    },

    begin: async (group, atMs) => {
      await mkdir(join(root, group), { recursive: true, mode: 0o750 });
      const taken = new Set(await directoriesIn(join(root, group)));
      const label = labelFor(atMs, (name) => taken.has(name));
      const at = folder(group, label);
      // Not recursive: fails when somebody else took the name in between.
      await mkdir(at, { mode: 0o750 });
      const dataPath = join(at, `${backupFiles.data}${unfinishedSuffix}`);
      return {
        label,
        dataPath,
        publish: async ({ manifest, verification }) => {
          await rename(dataPath, join(at, backupFiles.data));
          if (verification !== null)
            await writeDurably(join(at, backupFiles.verification), verificationText(verification));
          await writeDurably(join(at, backupFiles.manifest), writeManifestText(manifest));
          await syncDirectory(join(root, group));
        },
        discard: () => rm(at, { recursive: true, force: true }),
      };
    },

    recordVerification: (manifest, verification) =>
      writeDurably(
        join(folder(manifest.group, manifest.label), backupFiles.verification),
        verificationText(verification),
      ),

    remove: async (group, label) => {
      const at = folder(group, label);
      await rm(join(at, backupFiles.manifest), { force: true });
      await syncDirectory(at);
      await rm(at, { recursive: true, force: true });
    },

    pathOf: (manifest, file) => join(folder(manifest.group, manifest.label), file),

    removeLeftovers: async (olderThanMs) => {
      const removed: string[] = [];
      for (const group of await groups()) {
        for (const label of await labels(group)) {
          const at = folder(group, label);
          if ((await exists(join(at, backupFiles.manifest))) || (await lastWriteMs(at)) >= olderThanMs) continue;
          await rm(at, { recursive: true, force: true });
          removed.push(`${group}/${label}`);
        }
      }
      return removed;
    },
  };
}

function verificationText(verification: BackupVerification): string {
  return `${JSON.stringify(verification, null, 2)}\n`;
}

// Links are not followed: a repository cannot be led elsewhere.
async function directoriesIn(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function readShort(path: string): Promise<Result<string>> {
  try {
    const { size } = await stat(path);
    if (size > longestManifestBytes) return refuse('backup_corrupt', `${path} has ${size} bytes; that is no manifest.`);
    return ok(await readFile(path, 'utf8'));
  } catch (error) {
    if (isMissing(error)) return refuse('not_found', `${path} is missing.`);
    return refuse('backup_corrupt', `${path} cannot be read: ${textOf(error)}`);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function lastWriteMs(directory: string): Promise<number> {
  const names = await readdir(directory);
  const times = await Promise.all(
    [directory, ...names.map((name) => join(directory, name))].map(async (path) => (await stat(path)).mtimeMs),
  );
  return Math.max(...times);
}
