// Did a redis-server refuse to start because its own files are damaged? By the last words of its log. Tried on 7.0.15 with files that were
// cut, overwritten, removed and given a wrong checksum; the same words are in the sources of 7.0 to 8 and of Valkey (rdb.c, aof.c).
// tools/dev/damaged-data.mjs has the same signs for machines without Node 24; a test of it compares the two.

/** What was said, and of which file. */
export interface DataDamage {
  /** The line that says it, at most 300 characters. */
  readonly line: string;
  /** Its name without a folder; null when the log does not say it. */
  readonly file: string | null;
}

/** Each of them ends a start; none is said by a server that goes on. */
export const damageSigns: readonly RegExp[] = Object.freeze([
  /Bad file format reading the append only file/,
  /Unexpected end of file reading the append only file/,
  /Error reading the RDB (?:base file|preamble of the AOF file) .*, AOF loading aborted/,
  /FATAL AOF MANIFEST FILE ERROR/,
  /Unable to obtain the AOF file \S+ length\. stat: No such file or directory/,
  /The append log file \S+ doesn't exist/,
  /Wrong signature trying to load DB from file/,
  /Wrong RDB checksum expected/,
  /Short read or OOM loading DB/,
  /Internal error in RDB reading offset/,
  /Terminating server after rdb file reading failure/,
  /Fatal error loading the DB/,
]);

/** After one of these what came before is history. */
const begins = /oO0OoO0OoO0Oo|Ready to accept connections/;
const named = [
  /append only file (\S+?):/,
  /append only file (\S+?)\. You can/,
  /RDB base file (\S+?),/,
  /preamble of the AOF file (\S+?),/,
  /AOF file (\S+) length/,
  /append log file (\S+) doesn't/,
  /Checking RDB file (\S+)/,
];
const longestLine = 300;

/** The damage that the last start of a server ended with; null when it did not, or when the server has started since. */
export const damageIn = (log: string): DataDamage | null => {
  const lines = log.split('\n');
  const from = lines.findLastIndex((line) => begins.test(line)) + 1;
  const since = lines.slice(from);
  const line = since.find((one) => damageSigns.some((sign) => sign.test(one)));
  if (line === undefined) return null;
  const file = since.flatMap(
    (one) => named.map((name) => name.exec(one)?.[1]).find((found) => found !== undefined) ?? [],
  );
  return { line: line.trim().slice(0, longestLine), file: file[0]?.split('/').at(-1) ?? null };
};
