import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedis } from '@switchyard/testing';
import type { Snapshot } from './materialise.ts';
import { openRestoreDirectory, restoredFiles } from './restore-directory.ts';

const never = new AbortController().signal;
const now = { needBytes: 1, nowMs: Date.now() };
let root: string;
let snapshot: Snapshot;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'switchyard-test-restore-'));
  const redis = await startRedis({ dir: join(root, 'source') });
  await redis.cli('EVAL', "for i = 1, 500 do redis.call('SET', 'key:' .. i, i) end", 0);
  await redis.cli('SAVE');
  await redis.stop();
  const path = join(root, 'source', 'dump.rdb');
  snapshot = { path, bytes: (await stat(path)).size };
});
afterAll(() => rm(root, { recursive: true, force: true }));

const opened = async (path: string): ReturnType<typeof mustOpen> => mustOpen(path);
async function mustOpen(path: string) {
  const found = await openRestoreDirectory(path, now);
  if (!found.ok) throw new Error(JSON.stringify(found.error));
  return found.value;
}
const strangers = async (): Promise<string[]> =>
  (await readdir(root)).filter((name) => name.includes('unfinished')).toSorted();

describe('a restored directory', () => {
  it.each(['yes', 'no'])('is loaded by redis-server with appendonly %s', async (appendonly) => {
    const path = join(root, `loads-${appendonly}`);
    const fractions: number[] = [];
    const onFraction = (fraction: number): number => fractions.push(fraction);
    await (await opened(path)).publish(snapshot, { keys: 500 }, { signal: never, onFraction });
    expect(fractions.at(-1)).toBe(1);
    expect((await readdir(path)).toSorted()).toEqual(['appendonlydir', 'dump.rdb', 'switchyard-restore.json']);
    expect(JSON.parse(await readFile(join(path, restoredFiles.description), 'utf8'))).toEqual({ keys: 500 });
    const redis = await startRedis({ dir: path, args: ['--appendonly', appendonly] });
    try {
      expect(await redis.cli('DBSIZE')).toBe(500);
      expect(await redis.cli('GET', 'key:77')).toBe('77');
    } finally {
      await redis.stop();
    }
    const { ino } = await stat(snapshot.path);
    for (const file of ['dump.rdb', join('appendonlydir', restoredFiles.aofBase)]) {
      const copy = await stat(join(path, file)).catch(() => undefined);
      // With appendonly yes redis-server may have rewritten its base by now.
      if (copy !== undefined) expect({ links: copy.nlink, same: copy.ino === ino }).toEqual({ links: 1, same: false });
    }
    expect(await strangers()).toEqual([]);
  });

  it('takes the place of an empty directory and keeps its mode', async () => {
    const path = join(root, 'empty');
    await mkdir(path, { mode: 0o700 });
    await (await opened(path)).publish(snapshot, {}, { signal: never });
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect(await readdir(path)).toContain('dump.rdb');
  });

  it.each<[string, (path: string) => Promise<unknown>, string]>([
    [
      'files',
      async (path) => {
        await mkdir(path);
        for (const name of 'abcdefg') await writeFile(join(path, name), 'mine');
      },
      'a, b, c, d, e, and 2 more',
    ],
    ['a file in its place', (path) => writeFile(path, 'mine'), 'is a file'],
    ['a link', (path) => symlink(tmpdir(), path), 'is a link'],
  ])('refuses a place with %s, named, and harms nothing', async (what, prepare, why) => {
    const path = join(root, `taken ${what}`);
    await prepare(path);
    const found = await openRestoreDirectory(path, now);
    expect(found).toMatchObject({ ok: false, error: { code: 'refused_for_safety' } });
    expect(found.ok ? '' : found.error.why?.join(', ')).toContain(why);
    expect(await strangers()).toEqual([]);
  });

  it.each([
    ['a relative path', 'somewhere/else', 'invalid_input'],
    ['a path with a zero byte', '/tmp/a\0b', 'invalid_input'],
    ['a place below nothing', '/nowhere/at/all', 'invalid_input'],
    ['a place below a file', '/etc/hostname/x', 'invalid_input'],
    ['the root', '/', 'refused_for_safety'],
  ])('refuses %s', async (_what, path, code) => {
    expect(await openRestoreDirectory(path, now)).toMatchObject({ ok: false, error: { code } });
  });

  it('refuses a directory that cannot be written to', async () => {
    expect(await openRestoreDirectory('/proc/switchyard', now)).toMatchObject({
      ok: false,
      error: { code: expect.stringMatching(/^(conflict|invalid_input|refused_for_safety)$/) },
    });
  });

  it('refuses what would not fit', async () => {
    const found = await openRestoreDirectory(join(root, 'large'), { ...now, needBytes: 1e15 });
    expect(found).toMatchObject({
      ok: false,
      error: { code: 'refused_for_safety', why: [expect.stringMatching(/ MB are needed, \d+ MB are free/)] },
    });
  });

  it('leaves nothing when it is cancelled half-way, when the data goes away, or when somebody takes the place', async () => {
    const path = join(root, 'broken');
    const cancel = new AbortController();
    const half = await opened(path);
    await expect(
      half.publish(snapshot, {}, { signal: cancel.signal, onFraction: () => cancel.abort(new Error('cancelled')) }),
    ).rejects.toThrow();
    await expect(
      (await opened(path)).publish({ path: join(root, 'nothing'), bytes: 1 }, {}, { signal: never }),
    ).rejects.toThrow('ENOENT');
    await expect(stat(path)).rejects.toThrow('ENOENT');
    const raced = await opened(path);
    await mkdir(path);
    await writeFile(join(path, 'mine'), 'mine');
    await expect(raced.publish(snapshot, {}, { signal: never })).rejects.toThrow('ENOTEMPTY');
    expect(await readdir(path)).toEqual(['mine']);
    expect(await strangers()).toEqual([]);
  });

  it('removes what a killed process left, once it is old, and lets two restores begin at once', async () => {
    const path = join(root, 'again');
    const left = await opened(path);
    const old = join(root, (await strangers())[0] ?? '');
    await utimes(old, new Date(1_000), new Date(1_000));
    const [one, other] = await Promise.all([opened(path), opened(path)]);
    await expect(stat(old)).rejects.toThrow('ENOENT');
    await one.publish(snapshot, {}, { signal: never });
    await expect(other.publish(snapshot, {}, { signal: never })).rejects.toThrow('ENOTEMPTY');
    await left.discard();
    expect(await strangers()).toEqual([]);
  });
});
