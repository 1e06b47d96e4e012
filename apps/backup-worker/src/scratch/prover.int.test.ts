import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RefusalError } from '@switchyard/protocol';
import { systemClock } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { ProofOutcome } from '@switchyard/backup';
import { createProver } from './prover.ts';
import { removeScratchLeftovers } from './scratch-server.ts';
import { openStream, sealBuffer } from '../repository/codec.ts';
import { directoryStore } from '../repository/directory-store.ts';
import { noKeys } from '../repository/encryption-keys.ts';
import { sha256Of } from '../repository/segment-chain.ts';

const command = process.env['SWITCHYARD_REDIS_SERVER'] ?? 'redis-server';
const never = new AbortController().signal;
let directory: string;
let dump: string;
let digest: unknown;

// A data set with what is hard to keep: a key whose time has come, a database beyond the usual 16, every simple type.
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-test-prover-'));
  const redis = await startRedis({ dir: join(directory, 'source'), args: ['--databases', '100'] });
  await redis.cli('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
  await redis.cli('EVAL', "for i = 1, 3000 do redis.call('SET', 'key:' .. i, string.rep('v' .. i, 20)) end", 0);
  await redis.cli(
    'EVAL',
    "redis.call('SELECT', 77); redis.call('HSET', 'hash', 'a', '1'); redis.call('ZADD', 'set', 1, 'm')",
    0,
  );
  await redis.cli('SET', 'soon', 'gone', 'PX', 1);
  digest = await redis.cli('DEBUG', 'DIGEST');
  await redis.cli('SAVE');
  await redis.stop();
  dump = join(directory, 'source', 'dump.rdb');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const store = async (content: Buffer, name: string): Promise<string> => {
  const stored = join(directory, `${name}.zst`);
  await writeFile(stored, (await sealBuffer(content, { name, keys: noKeys })).stored);
  return stored;
};
// Its own hash, so that only unpacking and loading can find what is wrong.
async function* reading(stored: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const name = basename(stored);
  const data = await directoryStore(directory).get(name, { signal });
  const bytes = await readFile(stored);
  const facts = { bytes: bytes.length, sha256: sha256Of(bytes), compression: 'zstd' as const };
  yield* openStream(data, facts, { name, keys: noKeys, signal });
}
const scratch = (): string => join(directory, 'scratch');
const load = (
  stored: string,
  options: { deadlineMs?: number; signal?: AbortSignal; command?: string } = {},
): Promise<ProofOutcome> =>
  createProver({ command, scratchDirectory: scratch(), deadlineMs: 20_000, clock: systemClock, ...options }).load(
    (signal) => reading(stored, signal),
    {
      rawBytes: 1,
      signal: options.signal ?? never,
    },
  );

afterEach(async () => {
  expect(await readdir(scratch()).catch(() => [])).toEqual([]);
});

describe('createProver', () => {
  it('finds all keys, also those whose time has come and those of far databases, with the digest of the source', async () => {
    const stored = await store(await readFile(dump), 'whole');
    expect(await load(stored)).toEqual({
      kind: 'loaded',
      content: { keys: { total: 3_003, perDatabase: { '0': 3_001, '77': 2 } }, digest },
    });
  });

  it('says what is wrong with damaged data', async () => {
    const whole = await readFile(dump);
    const flipped = Buffer.from(whole);
    const at = whole.indexOf('v1234v1234') + 3;
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    for (const [name, content] of [
      ['cut', whole.subarray(0, whole.length - 100)],
      ['flipped', flipped],
      ['foreign', Buffer.from('this is not a data set at all, but some text')],
    ] as const) {
      const outcome = await load(await store(content, name));
      expect({ name, ...outcome }).toMatchObject({
        name,
        kind: 'broken',
        problem: expect.stringMatching(/could not load it: .{5}/),
      });
    }
  });

  it('says what is wrong with a damaged, cut-off or missing file', async () => {
    const whole = await readFile(await store(await readFile(dump), 'packed'));
    const flipped = Buffer.from(whole);
    const middle = Math.floor(whole.length / 2);
    flipped[middle] = (flipped[middle] ?? 0) ^ 1;
    for (const [name, content] of [
      ['cut-off', whole.subarray(0, middle)],
      ['damaged', flipped],
      ['no-zstd', Buffer.from('plain text')],
    ] as const) {
      const path = join(directory, `${name}.bad`);
      await writeFile(path, content);
      const outcome = await load(path);
      expect({ name, ...outcome }).toMatchObject({
        name,
        kind: 'broken',
        problem: expect.stringContaining('cannot be unpacked'),
      });
    }
    expect(await load(join(directory, 'nowhere'))).toEqual({ kind: 'broken', problem: 'Its data file is missing.' });
  });

  it('does not blame the data for a server that is missing, too old, or too slow', async () => {
    const stored = await store(await readFile(dump), 'fine');
    await expect(load(stored, { command: '/nowhere/redis-server' })).rejects.toMatchObject({
      refusal: { code: 'backup_failed', next: expect.stringContaining('SWITCHYARD_REDIS_SERVER') },
    });
    const newer = Buffer.from(await readFile(dump));
    newer.write('REDIS0099', 0, 'latin1');
    await expect(load(await store(newer, 'newer'))).rejects.toBeInstanceOf(RefusalError);
    await expect(load(stored, { deadlineMs: 1 })).rejects.toThrow('did not end within 1 ms');
    await expect(load(stored, { signal: AbortSignal.abort(new Error('cancelled')) })).rejects.toThrow();
  });

  it('removes what a machine that went down left behind, and nothing of others', async () => {
    await mkdir(join(scratch(), 'switchyard-scratch-old'), { recursive: true });
    await mkdir(join(scratch(), 'switchyard-scratch-new'));
    await mkdir(join(scratch(), 'somebody-else'));
    const longAgo = new Date(1_000_000);
    for (const name of ['switchyard-scratch-old', 'somebody-else'])
      await utimes(join(scratch(), name), longAgo, longAgo);
    await removeScratchLeftovers(scratch(), 2_000_000_000);
    expect((await readdir(scratch())).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
      'somebody-else',
      'switchyard-scratch-new',
    ]);
    await rm(scratch(), { recursive: true });
    await removeScratchLeftovers(scratch(), 2_000_000_000);
  });

  it('tells what it would run', async () => {
    const prover = createProver({ command, scratchDirectory: scratch(), deadlineMs: 1_000, clock: systemClock });
    expect(await prover.version(never)).toMatch(/^(redis|valkey) \d+\.\d+/);
  });

  it('leaves no server and no file when the whole process is killed', async () => {
    const module = join(dirname(fileURLToPath(import.meta.url)), 'scratch-server.ts');
    const script = `const { makeScratch } = await import(${JSON.stringify(module)});
      const place = await makeScratch({ command: ${JSON.stringify(command)}, directory: ${JSON.stringify(scratch())} });
      const server = await place.start();
      for (;;) {
        const info = await server.ask(['INFO', 'server'], 1000, new AbortController().signal).catch(() => '');
        const pid = /process_id:(\\d+)/.exec(info)?.[1];
        if (pid) { console.log(pid); break; }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = Number(await new Promise<string>((resolve) => child.stdout.setEncoding('utf8').once('data', resolve)));
    expect(process.kill(pid, 0)).toBe(true);
    child.kill('SIGKILL');
    await eventually(() => {
      try {
        return !process.kill(pid, 0);
      } catch {
        return true;
      }
    });
    await eventually(async () => (await readdir(scratch())).length === 0);
  });
});
