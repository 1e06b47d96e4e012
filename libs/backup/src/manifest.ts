// What does a backup consist of, and can its manifest be believed?
//
// A repository holds one folder for each backup, <repository>/<group>/<label>/ :
//   data.rdb.zst       the data set as the source sent it (RDB), compressed
//   manifest.json      this document; written last, so a folder without it is no backup
//   verification.json  outcome of the latest verification; replaced by each one
//
// manifest.json, format version 1 (schema: backupManifestSchema of @switchyard/protocol):
//   label, group       equal to the folder's name and its parent's: a copied or renamed folder is noticed
//   startedAtMs        the moment the data is from: the source took its snapshot; also the moment in the label
//   finishedAtMs       when the backup was proven and the manifest was written
//   source             the node, and the place in its replication history up to which the data goes
//   server             who can read the data: kind and version of the source
//   files              for each file: stored and original size, sha256 of the stored bytes
//   keys, digest       what a throw-away server held after loading the files; a verification must find the same again
//   writer             name and version of the program
// A reader refuses a format version that it does not know. New fields may be added to version 1; old ones keep their meaning.
import { backupManifestSchema, decode, ok, refuse, type BackupManifest, type Result } from '@switchyard/protocol';

/** File names inside a backup's folder. */
export const backupFiles = Object.freeze({
  data: 'data.rdb.zst',
  manifest: 'manifest.json',
  verification: 'verification.json',
});

/** What only the one who took the backup knows. */
export type ManifestFacts = Omit<BackupManifest, 'formatVersion' | 'kind'>;

/** The manifest of a full backup. Refuses facts that contradict each other: such a backup must not be published. */
export function buildManifest(facts: ManifestFacts): Result<BackupManifest> {
  return readManifest({ ...facts, formatVersion: 1, kind: 'full' }, { group: facts.group, label: facts.label });
}

/**
 * Believes a manifest found in the folder `place`, or refuses with `backup_corrupt` and every fault in `why`: a foreign or
 * newer format, a folder that is not its own, counts that do not add up.
 */
export function readManifest(
  value: unknown,
  place: { readonly group: string; readonly label: string },
): Result<BackupManifest> {
  const where = `The manifest of ${place.group}/${place.label}`;
  const version = formatVersionOf(value);
  if (version !== undefined && version !== 1)
    return refuse('backup_corrupt', `${where} has format version ${version}; this program reads version 1.`, {
      next: 'Use the version of Switchyard that wrote it.',
    });
  const decoded = decode(backupManifestSchema, value, where);
  if (!decoded.ok) return refuse('backup_corrupt', decoded.error.detail, { why: decoded.error.why ?? [] });
  const why = contradictions(decoded.value, place);
  return why.length === 0
    ? ok(decoded.value)
    : refuse('backup_corrupt', `${where} contradicts itself: ${why[0]}`, { why });
}

/** Sizes of all files together: as stored, and before compression. */
export function backupSize(manifest: BackupManifest): { readonly bytes: number; readonly rawBytes: number } {
  let bytes = 0;
  let rawBytes = 0;
  for (const file of manifest.files) {
    bytes += file.bytes;
    rawBytes += file.rawBytes;
  }
  return { bytes, rawBytes };
}

function formatVersionOf(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null || !('formatVersion' in value)) return undefined;
  return typeof value.formatVersion === 'number' ? value.formatVersion : undefined;
}

function contradictions(manifest: BackupManifest, place: { readonly group: string; readonly label: string }): string[] {
  const why: string[] = [];
  if (manifest.group !== place.group)
    why.push(`group: is ${manifest.group}, but it lies in the folder of ${place.group}`);
  if (manifest.label !== place.label) why.push(`label: is ${manifest.label}, but it lies in the folder ${place.label}`);
  if (manifest.finishedAtMs < manifest.startedAtMs) why.push('finishedAtMs: is before startedAtMs');
  if (manifest.files.length === 0) why.push('files: names none');
  const names = new Set(manifest.files.map((file) => file.path));
  if (names.size < manifest.files.length) why.push('files: names one twice');
  if (names.has(backupFiles.manifest) || names.has(backupFiles.verification))
    why.push('files: names the manifest itself');
  const counted = Object.values(manifest.keys.perDatabase).reduce((sum, keys) => sum + keys, 0);
  if (counted !== manifest.keys.total)
    why.push(`keys: the databases hold ${counted}, the total says ${manifest.keys.total}`);
  return why;
}
