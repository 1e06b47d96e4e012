import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isHere, logFileOf, logFileOfConfig, readTail } from './log-evidence-files.ts';

describe('the log file of a node', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-test-logs-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it.each([
    ['/var/log/redis.log', '/data', '/var/log/redis.log'],
    ['redis.log', '/data', '/data/redis.log'],
    ['redis.log', undefined, null],
    ['', '/data', null],
    ['/dev/null', '/data', null],
    [undefined, undefined, null],
  ])('is %s in %s: %s', (logfile, dir, expected) => {
    expect(logFileOf({ logfile, dir })).toBe(expected);
  });

  it('of a Sentinel stands in its configuration file', async () => {
    const config = join(directory, 'sentinel.conf');
    await writeFile(config, 'port 26379\nlogfile "old.log"\nlogfile "sentinel.log"\ndir "/var/lib/redis"\n');
    expect(await logFileOfConfig(config)).toBe('/var/lib/redis/sentinel.log');
    await writeFile(config, 'port 26379\ndir /tmp\n');
    expect(await logFileOfConfig(config)).toBeNull();
    expect(await logFileOfConfig(join(directory, 'nowhere'))).toBeNull();
  });

  it('is read at its end, 256 KiB at most; what is no plain file is not read', async () => {
    const file = join(directory, 'long.log');
    await writeFile(file, `${'x'.repeat(1_000_000)}\nthe end`);
    const tail = await readTail(file);
    expect(tail.length).toBe(262_144);
    expect(tail.endsWith('the end')).toBe(true);
    await expect(readTail(directory)).rejects.toThrow();
    await expect(readTail('/dev/zero')).rejects.toThrow('plain file');
  });

  it('can be read on this machine only', () => {
    expect(['127.0.0.1', 'localhost', '::1', '127.9.9.9'].map(isHere)).toEqual([true, true, true, true]);
    expect(['192.0.2.1', 'redis-1', ''].map(isHere)).toEqual([false, false, false]);
  });
});
