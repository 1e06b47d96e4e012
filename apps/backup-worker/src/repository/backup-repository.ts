// Which backups are there, and how does one come into being? Objects <group>/<label>/..., read anew each time: there is no index
// that could disagree with them. A backup exists from the moment its manifest does. Layout and format: libs/backup manifest.ts.
import type { Readable } from 'node:stream';
import { backupFiles, labelFor, layout, type StoredBackup } from '@switchyard/backup';
import {
  backupLabelSchema,
  backupVerificationSchema,
  decodeJson,
  ok,
  plainNameSchema,
  refuse,
  RefusalError,
  type BackupManifest,
  type BackupVerification,
  type Result,
} from '@switchyard/protocol';
import { anyCopy, copiesOf } from './any-copy.ts';
import { corrupt, damageOf, openStream, sealStream, type StoredFacts } from './codec.ts';
import { noKeys, type EncryptionKeys } from './encryption-keys.ts';
import { readManifestText, writeManifestText } from './manifest-file.ts';
import { ObjectStoreError, type ObjectStore } from './object-store.ts';

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

/** A file of a backup, as its manifest names it. */
export type BackupFile = BackupManifest['files'][number];

/** A backup that does not exist yet. */
export interface BackupDraft {
  readonly label: string;
  /** Stores its data, compressed and, with a key, encrypted. To be called once. Reads `source` to its end. */
  store(
    source: Readable,
    work: { readonly signal: AbortSignal; readonly onBytes?: (rawBytes: number) => void },
  ): Promise<BackupFile>;
  /** What was stored, read back and checked as `BackupRepository.read` does. */
  read(file: BackupFile, signal: AbortSignal): AsyncIterable<Buffer>;
  /** Makes it a backup: the outcome of its proof, then the manifest, last. */
  publish(backup: StoredBackup): Promise<void>;
  /** Removes every trace. */
  discard(): Promise<void>;
}

/** The backups in a store. Methods reject only on I/O errors. */
export interface BackupRepository {
  /** For people: where it is. */
  readonly place: string;
  /** Makes sure that it can be written to. */
  prepare(): Promise<void>;
  list(group?: string): Promise<RepositoryListing>;
  /** Refuses with `not_found`, or `backup_corrupt` when there is one that cannot be read. Any group when none is given. */
  find(label: string, group?: string): Promise<Result<StoredBackup>>;
  begin(group: string, atMs: number): Promise<BackupDraft>;
  recordVerification(manifest: BackupManifest, verification: BackupVerification): Promise<void>;
  /** First it stops being a backup, then its files go: never a manifest without its data. */
  remove(group: string, label: string): Promise<void>;
  /**
   * The original bytes of a file. Rejects with a RefusalError (`backup_corrupt`, `key_missing`), at the latest before the last byte. With
   * several repositories, from the first one whose copy is whole: it is read twice.
   */
  read(
    place: { readonly group: string; readonly label: string },
    file: BackupFile,
    signal: AbortSignal,
  ): AsyncIterable<Buffer>;
  /** Compares the stored bytes with the manifest: undefined, or what is wrong with them in every repository. */
  check(
    place: { readonly group: string; readonly label: string },
    file: BackupFile,
    signal: AbortSignal,
  ): Promise<string | undefined>;
  /** Removes what never became a backup and was last written before `olderThanMs` (unix ms). Returns the paths. */
  removeLeftovers(olderThanMs: number): Promise<readonly string[]>;
}

/** Far above any sensible retention; of more, the newest are listed. */
const mostBackupsOfGroup = 10_000;
const readAtOnce = 16;
const longestManifestBytes = 1024 * 1024;
/** Takes the label before there is any data; gone when the backup is published. */
const claimFile = 'claim.json';
/** For work without a signal of its own; a store has shorter ones for each request. */
const workDeadlineMs = 120_000;

/** The backups in `store`. Touches nothing until a method is called. */
export function createBackupRepository(options: {
  readonly store: ObjectStore;
  readonly keys?: EncryptionKeys;
}): BackupRepository {
  const { store, keys = noKeys } = options;
  const soon = (): AbortSignal => AbortSignal.timeout(workDeadlineMs);
  const nameOf = ({ group, label }: Place, file: string): string => layout.backup(group, label, file);

  const groups = async (): Promise<string[]> =>
    (await store.folders('', soon())).filter((name) => plainNameSchema.safeParse(name).success);
  const labels = async (group: string): Promise<string[]> =>
    (await store.folders(`${group}/`, soon()))
      .filter((name) => backupLabelSchema.safeParse(name).success)
      .toSorted((a, b) => (a < b ? 1 : -1))
      .slice(0, mostBackupsOfGroup);

  const readText = async (from: ObjectStore, name: string): Promise<Result<string>> => {
    try {
      return ok((await from.read(name, longestManifestBytes, soon())).toString('utf8'));
    } catch (error) {
      if (!(error instanceof ObjectStoreError) || error.kind !== 'refused') throw error;
      return refuse('backup_corrupt', `The manifest cannot be read: ${error.message}`);
    }
  };

  const readBackup = async (group: string, label: string): Promise<Result<StoredBackup>> => {
    const manifest = await anyCopy(store, async (copy) => {
      const text = await readText(copy, nameOf({ group, label }, backupFiles.manifest));
      return text.ok ? readManifestText(text.value, { group, label }) : text;
    });
    if (!manifest.ok) return manifest;
    const verification = await anyCopy(store, async (copy) => {
      const text = await readText(copy, nameOf({ group, label }, backupFiles.verification));
      return text.ok ? decodeJson(backupVerificationSchema, text.value) : text;
    });
    // An unreadable outcome proves nothing: the backup counts as unverified, and the next verification replaces it.
    return ok({ manifest: manifest.value, verification: verification.ok ? verification.value : null });
  };

  const removeFolder = async ({ group, label }: Place, signal: AbortSignal): Promise<void> => {
    await store.remove(nameOf({ group, label }, backupFiles.manifest), signal);
    const names: string[] = [];
    for await (const { name } of store.list(`${group}/${label}/`, signal)) names.push(name);
    // The claim last: until then nobody else can take the label.
    const claim = nameOf({ group, label }, claimFile);
    for (const name of names.toSorted((a, b) => Number(a === claim) - Number(b === claim)))
      await store.remove(name, signal);
  };

  async function* read(place: Place, file: BackupFile, signal: AbortSignal): AsyncGenerator<Buffer> {
    const name = nameOf(place, file.path);
    const found = await anyCopy(store, async (copy) => {
      if (copiesOf(store).length > 1) {
        const problem = await damageOf(await copy.get(name, { signal }), file);
        if (problem !== undefined) return { ok: false, error: corrupt(name, problem).refusal };
      }
      return ok(await copy.get(name, { signal }));
    });
    if (!found.ok) {
      if (found.error.code === 'not_found') throw corrupt(name, 'it is missing');
      throw new RefusalError(found.error);
    }
    let rawBytes = 0;
    for await (const chunk of openStream(found.value, factsOf(file), { name, keys, signal })) {
      rawBytes += chunk.length;
      yield chunk;
    }
    if (rawBytes !== file.rawBytes) throw corrupt(name, `it unpacks to ${rawBytes} bytes instead of ${file.rawBytes}`);
  }

  const writeVerification = (place: Place, verification: BackupVerification): Promise<void> =>
    store.put(nameOf(place, backupFiles.verification), Buffer.from(`${JSON.stringify(verification, null, 2)}\n`), {
      signal: soon(),
    });

  const claim = async (group: string, atMs: number): Promise<string> => {
    const taken = new Set(await labels(group));
    for (;;) {
      const label = labelFor(atMs, (name) => taken.has(name));
      try {
        const body = Buffer.from(`${JSON.stringify({ atMs })}\n`);
        await store.put(nameOf({ group, label }, claimFile), body, { ifAbsent: true, signal: soon() });
        return label;
      } catch (error) {
        // Somebody else took the name in between.
        if (!(error instanceof ObjectStoreError) || error.kind !== 'exists') throw error;
        taken.add(label);
      }
    }
  };

  return {
    place: store.place,
    prepare: () => store.prepare(soon()),

    list: async (group) => {
      const backups: StoredBackup[] = [];
      const problems: RepositoryProblem[] = [];
      for (const name of group === undefined ? await groups() : [group]) {
        const found = await labels(name);
        for (let at = 0; at < found.length; at += readAtOnce) {
          const batch = found.slice(at, at + readAtOnce);
          const results = await Promise.all(
            batch.map(async (label) => ({ label, result: await readBackup(name, label) })),
          );
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
        const result = await readBackup(name, label);
        if (result.ok || result.error.code !== 'not_found') return result;
      }
      return refuse('not_found', `There is no backup ${label}${group === undefined ? '' : ` of ${group}`}.`, {
        next: 'GET /v1/backups lists the backups.',
      });
    },

    begin: async (group, atMs) => {
      const place = { group, label: await claim(group, atMs) };
      return {
        label: place.label,
        store: async (source, { signal, onBytes }) => {
          const name = nameOf(place, backupFiles.data);
          const sealed = sealStream(source, { name, keys, signal, onBytes });
          await store.putStream(name, () => sealed.stored, signal);
          const { bytes, rawBytes, sha256, compression, encryption } = sealed.facts();
          return { path: backupFiles.data, bytes, rawBytes, sha256, compression, ...(encryption && { encryption }) };
        },
        read: (file, signal) => read(place, file, signal),
        publish: async ({ manifest, verification }) => {
          if (verification !== null) await writeVerification(place, verification);
          const text = Buffer.from(writeManifestText(manifest));
          await store.put(nameOf(place, backupFiles.manifest), text, { ifAbsent: true, signal: soon() });
          await store.remove(nameOf(place, claimFile), soon());
        },
        discard: () => removeFolder(place, soon()),
      };
    },

    recordVerification: (manifest, verification) => writeVerification(manifest, verification),

    remove: (group, label) => removeFolder({ group, label }, soon()),

    read,

    check: async (place, file, signal) => {
      const name = nameOf(place, file.path);
      const found = await anyCopy(store, async (copy) => {
        const problem = await damageOf(await copy.get(name, { signal }), file).catch((error: unknown) => {
          if (error instanceof ObjectStoreError && error.kind === 'refused')
            return `it cannot be read: ${error.message}`;
          throw error;
        });
        return problem === undefined ? ok(null) : refuse('backup_corrupt', problem);
      });
      if (found.ok) return undefined;
      return found.error.code === 'not_found' ? 'it is missing' : found.error.detail;
    },

    removeLeftovers: async (olderThanMs) => {
      const removed: string[] = [];
      for (const group of await groups()) {
        for (const label of await labels(group)) {
          const manifest = nameOf({ group, label }, backupFiles.manifest);
          let hasManifest = false;
          let lastWriteMs = -Infinity;
          for await (const { name, modifiedAtMs } of store.list(`${group}/${label}/`, soon())) {
            hasManifest ||= name === manifest;
            lastWriteMs = Math.max(lastWriteMs, modifiedAtMs);
          }
          if (hasManifest || lastWriteMs === -Infinity || lastWriteMs >= olderThanMs) continue;
          await removeFolder({ group, label }, soon());
          removed.push(`${group}/${label}`);
        }
      }
      return removed;
    },
  };
}

interface Place {
  readonly group: string;
  readonly label: string;
}

function factsOf({ bytes, sha256, compression, encryption }: BackupFile): StoredFacts {
  return { bytes, sha256, compression, encryption };
}
