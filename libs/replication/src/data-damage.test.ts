import { damageIn } from './data-damage.ts';

const at = '2575:M 21 Nov 2026 21:05:34.446';
const start = `${at} # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo\n${at} # Server initialized\n`;

// As redis-server 7.0.15 wrote them for files that were damaged on purpose.
describe('the damage of files in a log', () => {
  it.each([
    [
      'a base with a wrong byte',
      `${at} # Wrong RDB checksum expected: (4ff3) but got (3e1f). Aborting now.\n${at} # Internal error in RDB reading offset 0, function at rdb.c:3225 -> RDB CRC error\n[offset 0] Checking RDB file appendonly.aof.2.base.rdb\n`,
      'Wrong RDB checksum',
      'appendonly.aof.2.base.rdb',
    ],
    [
      'a snapshot that was cut',
      `${at} # Short read or OOM loading DB. Unrecoverable error, aborting now.\n[offset 0] Checking RDB file dump.rdb\n`,
      'Short read',
      'dump.rdb',
    ],
    [
      'an append-only file with a wrong byte',
      `${at} # Bad file format reading the append only file appendonly.aof.2.incr.aof: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>\n`,
      'Bad file format',
      'appendonly.aof.2.incr.aof',
    ],
    [
      'an append-only file that is gone',
      `${at} # Unable to obtain the AOF file appendonly.aof.2.incr.aof length. stat: No such file or directory\n`,
      'Unable to obtain',
      'appendonly.aof.2.incr.aof',
    ],
    [
      'a manifest that is none',
      `\n*** FATAL AOF MANIFEST FILE ERROR ***\n\n${at} # Invalid AOF manifest file format\n`,
      'MANIFEST',
      null,
    ],
  ])('is found for %s', (_what, said, line, file) => {
    const damage = damageIn(start + said);
    expect(damage?.line).toContain(line);
    expect(damage?.file).toBe(file);
  });

  it.each([
    ['a server that serves', `${start}${at} * Ready to accept connections\n`],
    ['a server that was killed', `${start}${at} # Server initialized\n`],
    [
      'one that serves since',
      `${at} # Wrong signature trying to load DB from file\n${start}${at} * Ready to accept connections\n`,
    ],
    ['one that starts anew, and has not said yet', `${at} # Wrong signature trying to load DB from file\n${start}`],
    ['a port that is taken', `${start}${at} # Failed listening on port 6379 (TCP), aborting.\n`],
    [
      'a file that may not be read',
      `${start}${at} # Fatal error: can't open the append log file x for reading: Permission denied\n`,
    ],
    ['nothing', ''],
  ])('is not seen in the log of %s', (_what, log) => {
    expect(damageIn(log)).toBeNull();
  });
});
