// Did a node of the yard end because its files are damaged, and how is it given a new beginning? Its files are put aside, with a name that
// says when, and never removed: a copy of everything comes from the primary.
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';

/** As in libs/replication/src/data-damage.ts, for a Node that does not read TypeScript. Each of them ends a start. */
export const damageSigns = [
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
];

/** More of them are no accident: a disk that fails would be filled with copies. */
const mostAside = 5;

/** What a redis-server that has ended says of its files, in its own words; undefined when they are not why. */
export function damageIn(output) {
  return output
    .split('\n')
    .find((line) => damageSigns.some((sign) => sign.test(line)))
    ?.trim();
}

/**
 * Puts the data files of a node aside. Its configuration stays, and with it whom it follows.
 * @returns `{ aside }`, the folder that has them now, or `{ why }` when too many were put aside before.
 */
export function putAside(directory, nowMs) {
  const before = readdirSync(directory).filter((name) => name.startsWith('damaged-'));
  if (before.length >= mostAside)
    return { why: `${before.length} sets of damaged files are kept in ${directory} already` };
  const aside = join(directory, `damaged-${new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '')}`);
  mkdirSync(aside, { recursive: true });
  for (const name of ['dump.rdb', 'appendonlydir']) {
    if (existsSync(join(directory, name))) renameSync(join(directory, name), join(aside, name));
  }
  return { aside };
}
