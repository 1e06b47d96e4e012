// Which server can read which data set? RDB formats by server: Redis 6.2 writes 9, 7.0 writes 10, 7.2 writes 11, 7.4 and later
// write 12 and more; Valkey 7.2 to 8.1 write 11, Valkey 9 writes 80 under a magic word of its own. A Redis reads its own formats and
// older ones; Valkey reads up to 11 and its own, never 12 to 79 (redis and valkey, src/rdb.h).
import type { BackupManifest } from '@switchyard/protocol';

/** Kind and version of a server. */
export type ServerVersion = BackupManifest['server'];

/** `redis 7.0.15`. */
export function serverText({ kind, version }: ServerVersion): string {
  return `${kind} ${version}`;
}

/** The opposite of `serverText`; undefined for anything else. */
export function parseServer(text: string): ServerVersion | undefined {
  const match = /^(redis|valkey) (\d+\.\d+\S*)$/.exec(text);
  const [, kind, version = ''] = match ?? [];
  return kind === 'redis' || kind === 'valkey' ? { kind, version } : undefined;
}

/**
 * Why `loader` cannot be trusted to read what `writer` wrote, data set and commands; null when it can. The same kind must not be older
 * (release, not patch: a release may add commands). Versions that are not numbers compare as the oldest.
 */
export function whyNotReadable(writer: ServerVersion, loader: ServerVersion): string | null {
  const [written, read] = [releaseOf(writer.version), releaseOf(loader.version)];
  const from = serverText(writer);
  const by = serverText(loader);
  if (writer.kind === loader.kind) return read >= written ? null : `${by} is older than ${from}, which wrote the data`;
  if (writer.kind === 'redis') {
    if (written >= release(7, 4)) return `${by} does not read what ${from} wrote: Valkey reads Redis up to 7.2`;
    return null;
  }
  if (written >= release(9, 0)) return `${by} does not read what ${from} wrote: Redis reads Valkey up to 8.1`;
  return read >= release(7, 2) ? null : `${by} does not read what ${from} wrote: that needs Redis 7.2 or newer`;
}

const release = (major: number, minor: number): number => major * 1_000 + minor;

function releaseOf(version: string): number {
  const match = /^(\d{1,5})\.(\d{1,3})/.exec(version);
  return match === null ? 0 : release(Number(match[1]), Number(match[2]));
}
