// Does a backup still hold what its manifest says? What a throw-away server held after loading it is compared field by field.
import type { BackupManifest, BackupVerification } from '@switchyard/protocol';

/** What a server held after loading a data set. */
export interface LoadedContent {
  readonly keys: BackupManifest['keys'];
  /** 40 hex digits: redis-server's digest of the logical content, independent of the order of keys and of encodings. */
  readonly digest: string;
}

/** Outcome of a verification: what was found, or what was wrong before anything could be loaded. */
export type ProofOutcome =
  { readonly kind: 'loaded'; readonly content: LoadedContent } | { readonly kind: 'broken'; readonly problem: string };

/** Differences between what was loaded and the manifest, one a line; empty when the backup holds what it says. */
export function differences(
  manifest: Pick<BackupManifest, 'keys' | 'digest'>,
  loaded: LoadedContent,
): readonly string[] {
  const found: string[] = [];
  if (loaded.keys.total !== manifest.keys.total)
    found.push(`It holds ${loaded.keys.total} keys; the manifest says ${manifest.keys.total}.`);
  const databases = new Set([...Object.keys(manifest.keys.perDatabase), ...Object.keys(loaded.keys.perDatabase)]);
  for (const database of databases) {
    const expected = manifest.keys.perDatabase[database] ?? 0;
    const actual = loaded.keys.perDatabase[database] ?? 0;
    if (actual !== expected) found.push(`Database ${database} holds ${actual} keys; the manifest says ${expected}.`);
  }
  if (loaded.digest !== manifest.digest)
    found.push(`Its content has the digest ${loaded.digest}; the manifest says ${manifest.digest}.`);
  return found;
}

/** The verification document of an outcome. `problem` names the first fault; `ok` only without any. */
export function verificationOf(
  manifest: Pick<BackupManifest, 'keys' | 'digest'>,
  outcome: ProofOutcome,
  times: { readonly atMs: number; readonly tookMs: number },
): BackupVerification {
  if (outcome.kind === 'broken') return { ...times, ok: false, keys: null, digest: null, problem: outcome.problem };
  const { keys, digest } = outcome.content;
  const found = differences(manifest, outcome.content);
  return {
    ...times,
    ok: found.length === 0,
    keys: keys.total,
    digest,
    problem: found.length === 0 ? null : found.join(' '),
  };
}

/** Key counts of the lines `db0:keys=5,expires=0,...` of INFO keyspace. Databases without keys have no line. */
export function keyCounts(infoKeyspace: string): BackupManifest['keys'] {
  const perDatabase: Record<string, number> = {};
  let total = 0;
  for (const match of infoKeyspace.matchAll(/^db(\d+):keys=(\d+)/gm)) {
    const keys = Number(match[2]);
    perDatabase[match[1] ?? ''] = keys;
    total += keys;
  }
  return { total, perDatabase };
}
