// Does a moment hold exactly what Redis itself says? The oracle: the same server's append-only file with its time marks, cut by
// redis-check-aof. Its pitfalls (research: it cuts only the last file, and only where that has a mark so old) are the test's to step around.
import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { RestoreTarget } from '@switchyard/protocol';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { createLocator, type Locator } from './locate.ts';
import { recordArchive, type RecordedArchive } from './recorded-archive-fixture.ts';

const run = promisify(execFile);
const soon = (): AbortSignal => AbortSignal.timeout(60_000);

let node: TestRedis;
let archive: RecordedArchive;
let locator: Locator;

beforeEach(async () => {
  node = await startRedis({
    args: ['--appendonly', 'yes', '--aof-timestamp-enabled', 'yes', '--auto-aof-rewrite-percentage', '0'],
  });
  archive = await recordArchive(node);
  const { store, segments, backups } = archive;
  const followed = async (): Promise<null> => Promise.resolve(null);
  locator = createLocator({ store, segments, backups, followed, clock: { unixMs: () => Date.now() } });
});
afterEach(async () => {
  await archive.end();
  await node.stop();
});

/** Runs `write` within one second of the clock, its stream included, and gives that second; tried again where that fails. */
async function within(write: (attempt: number) => Promise<unknown>): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    await eventually(() => Date.now() % 1_000 >= 100 && Date.now() % 1_000 < 400, { timeoutMs: 5_000, intervalMs: 5 });
    const second = Math.floor(Date.now() / 1_000);
    await write(attempt);
    await archive.caughtUp();
    await archive.seal();
    if (Math.floor(Date.now() / 1_000) === second) return second;
  }
}

/** What redis-check-aof leaves of a copy of the append-only directory: everything up to and with a second. */
async function oracle(second: number): Promise<TestRedis> {
  const directory = join(node.dir, `oracle-${second}`);
  const files = join(directory, 'appendonlydir');
  await cp(join(node.dir, 'appendonlydir'), files, { recursive: true });
  const manifestFile = join(files, 'appendonly.aof.manifest');
  for (;;) {
    try {
      await run('redis-check-aof', ['--truncate-to-timestamp', String(second), manifestFile]);
      break;
    } catch (error) {
      const said = (error as { readonly stdout?: string }).stdout ?? '';
      if (!/nothing before timestamp|it is not the last file/.test(said))
        throw new Error(`redis-check-aof said: ${said}`, { cause: error });
      const lines = (await readFile(manifestFile, 'utf8')).trimEnd().split('\n');
      expect(lines.length).toBeGreaterThan(1);
      await writeFile(manifestFile, `${lines.slice(0, -1).join('\n')}\n`);
    }
  }
  return startRedis({ dir: directory, args: ['--appendonly', 'yes', '--aof-timestamp-enabled', 'yes'] });
}

const contentOf = async (server: TestRedis): Promise<unknown> => [
  await server.cli('DEBUG', 'DIGEST'),
  await server.cli('INFO', 'keyspace'),
];

async function restored(to: RestoreTarget): Promise<unknown> {
  const found = await locator.locate('main', to, soon());
  if (!found.ok) throw new Error(JSON.stringify(found.error));
  const server = await archive.restore(found.value.point);
  try {
    return await contentOf(server);
  } finally {
    await server.stop();
  }
}

async function expected(second: number): Promise<unknown> {
  const server = await oracle(second);
  try {
    return await contentOf(server);
  } finally {
    await server.stop();
  }
}

describe('a moment of the archive', () => {
  it('holds the keys that redis-check-aof leaves, in idle gaps and over two incremental files, too', async () => {
    const first = await within(async (attempt) => {
      for (let key = 0; key < 5; key += 1) await node.cli('SET', `a:${attempt}:${key}`, key);
      await node.cli('INCR', 'counter');
    });
    await pause(2_100);
    const second = await within((attempt) =>
      node.cli('EVAL', `redis.call('INCR', 'counter') redis.call('SELECT', 1) redis.call('SET', 'b', ${attempt})`, 0),
    );
    // While a rewrite is under way there are two incremental files; this one ends with the server.
    await node.cli('CONFIG', 'SET', 'rdb-key-save-delay', 10_000_000);
    await node.cli('BGREWRITEAOF');
    await eventually(async () => (await node.info('persistence', 'aof_rewrite_in_progress')) === '1');
    const third = await within(async (attempt) => {
      await node.cli('DEL', 'a:1:0');
      await node.cli('INCRBYFLOAT', 'counter', attempt / 2);
    });
    let keysBefore: unknown;
    const fourth = await within(async () => {
      keysBefore = await contentOf(node);
      await node.cli('FLUSHALL');
      await node.cli('SET', 'after', 'the accident');
    });
    const manifest = await readFile(join(node.dir, 'appendonlydir', 'appendonly.aof.manifest'), 'utf8');
    expect(manifest.match(/type i/g)).toHaveLength(2);
    for (const at of [first, first + 1, second, third, fourth]) {
      const time = new Date(at * 1_000 + 999).toISOString();
      if (at === fourth) await pause(Math.max(0, fourth * 1_000 + 1_000 - Date.now()));
      const found = at === fourth ? { time: 'now' } : { time };
      expect({ at, content: await restored(found) }).toEqual({ at, content: await expected(at) });
    }
    expect(await restored({ before: 'FLUSHALL' })).toEqual(keysBefore);
    const accident = await locator.locate('main', { before: 'FLUSHALL' }, soon());
    const { events } = (await locator.view('main', soon())).timelines[0]?.segments.at(-1) ?? {};
    expect(events).toMatchObject([{ kind: 'flush', before: accident.ok ? accident.value.point.offset : -1 }]);
  });

  it('is never inside a command or a transaction', async () => {
    await node.cli('SET', 'a', 1);
    await node.cli('EVAL', "for i = 1, 50 do redis.call('INCR', 'counter') end redis.call('DEL', 'a')", 0);
    await archive.caughtUp();
    await archive.seal();
    const whole = await locator.locate('main', { before: 'DEL' }, soon());
    const multi = await locator.locate('main', { before: 'MULTI' }, soon());
    expect(whole).toEqual(multi);
    if (!whole.ok) throw new Error('not found');
    const { offset } = whole.value.point;
    expect(await locator.locate('main', { offset }, soon())).toEqual(whole);
    for (const inside of [1, 20, 700]) {
      const refused = await locator.locate('main', { offset: offset + inside }, soon());
      expect(refused).toMatchObject({
        ok: false,
        error: { code: 'not_restorable', why: [expect.stringContaining(`offset ${offset} `), expect.anything()] },
      });
    }
    const server = await archive.restore(whole.value.point);
    try {
      expect([await server.cli('GET', 'a'), await server.cli('GET', 'counter')]).toEqual(['1', null]);
    } finally {
      await server.stop();
    }
  });
});
