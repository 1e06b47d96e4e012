// How does a manifest lie on a disk, so that a single changed bit in it is noticed?
// As JSON with a `checksum` beside its fields: the sha256 of the same document without it.
import { createHash } from 'node:crypto';
import { refuse, type BackupManifest, type Result } from '@switchyard/protocol';
import { readManifest } from '@switchyard/backup';

/** The text of manifest.json. */
export function writeManifestText(manifest: BackupManifest): string {
  return `${JSON.stringify({ ...manifest, checksum: checksumOf(manifest) }, null, 2)}\n`;
}

/** The manifest in the text, or `backup_corrupt` with the reason: no JSON, a wrong checksum, or fields that contradict their place. */
export function readManifestText(
  text: string,
  place: { readonly group: string; readonly label: string },
): Result<BackupManifest> {
  const where = `The manifest of ${place.group}/${place.label}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse('backup_corrupt', `${where} is not JSON.`);
  }
  const read = readManifest(value, place);
  if (!read.ok) return read;
  const { checksum, ...document } = value as BackupManifest & { checksum?: unknown };
  if (checksum !== checksumOf(document))
    return refuse('backup_corrupt', `${where} was changed: its checksum is wrong.`);
  return read;
}

function checksumOf(document: object): string {
  return createHash('sha256').update(JSON.stringify(document)).digest('hex');
}
