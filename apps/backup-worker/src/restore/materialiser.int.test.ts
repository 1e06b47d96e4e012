import { readdir, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { RefusalError, type RestorePoint } from '@switchyard/protocol';
import { eventually, startRedis } from '@switchyard/testing';
import { made, makeMaterialiser, record, type Recording } from './restore-fixture.ts';
import type { Materialised, MaterialiseProgress, Materialiser } from './materialise.ts';
import type { MaterialSource } from './load.ts';

const never = new AbortController().signal;
let recording: Recording;
let materialise: Materialiser;
let directory: string;
let end: () => Promise<void>;

beforeAll(async () => {
  recording = await record(
    async (redis) => {
      await redis.cli('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
      await redis.cli('EVAL', "for i = 1, 3000 do redis.call('SET', 'key:' .. i, string.rep('v' .. i, 20)) end", 0);
      await redis.cli('SET', 'needle', 'needle-in-the-hay');
      await redis.cli('SET', 'soon', 'gone', 'PX', 1);
    },
    ['--databases', '100'],
  );
  ({ materialise, directory, end } = await makeMaterialiser(recording.source));
});
afterAll(async () => {
  await recording.stop();
  await end();
});
afterEach(async () => {
  expect(await readdir(directory)).toEqual([]);
});

const opened = async <T>(point: RestorePoint, use: (server: Materialised) => Promise<T>): Promise<T> => {
  const server = await made(materialise, point);
  try {
    return await use(server);
  } finally {
    await server.close();
  }
};
const contentAt = (point: RestorePoint): Promise<unknown> =>
  opened(point, async (server) => ({ ...(await server.content(never)) }));
const withSource = (changes: Partial<MaterialSource>): ReturnType<typeof makeMaterialiser> =>
  makeMaterialiser({ ...recording.source, ...changes });

describe('a materialised moment', () => {
  it('holds the base, also keys whose time has come, and nothing after it', async () => {
    const digest = await recording.redis.cli('DEBUG', 'DIGEST');
    expect(await contentAt(recording.base())).toEqual({
      keys: { total: 3_002, perDatabase: { '0': 3_002 } },
      digest,
      expires: 1,
      types: { string: 3_001 },
      due: 1,
    });
  });

  it('holds every moment of the stream: what was written, flushed, moved and timed', async () => {
    const { redis } = recording;
    const moments: { readonly point: RestorePoint; readonly digest: unknown }[] = [];
    const steps: readonly (readonly (string | number)[])[] = [
      ['SET', 'after', '1', 'PX', '1'],
      ['EVAL', "redis.call('SELECT', 77); redis.call('HSET', 'hash', 'a', '1'); redis.call('ZADD', 'z', 1, 'm')", 0],
      [
        'EVAL',
        "redis.call('XADD', 's', '*', 'a', '1'); redis.call('LPUSH', 'l', '1'); redis.call('SADD', 't', '1')",
        0,
      ],
      ['FUNCTION', 'LOAD', "#!lua name=mine\nredis.register_function('mine', function() return 1 end)"],
      ['FLUSHALL'],
      ['SET', 'later', '1'],
    ];
    for (const step of steps) {
      await redis.cli(...step);
      moments.push({ point: await recording.now(), digest: await redis.cli('DEBUG', 'DIGEST') });
    }
    for (const { point, digest } of moments) expect(await contentAt(point)).toMatchObject({ digest });
    const before = moments[3];
    if (before === undefined) throw new Error('no moment');
    await opened(before.point, async (server) => {
      expect((await server.content(never)).types).toEqual({
        string: 3_001,
        hash: 1,
        zset: 1,
        stream: 1,
        list: 1,
        set: 1,
      });
      expect(String(await server.ask(['FUNCTION', 'LIST']))).toContain('mine');
      expect(await server.ask(['HGET', 'hash', 'a'], { database: 77 })).toEqual(Buffer.from('1'));
      expect(await server.ask(['GET', 'key:7'])).toEqual(Buffer.from('v7'.repeat(20)));
      expect(await server.ask(['GET', 'soon'])).toBeNull();
    });
  });

  it('saves the whole, with what was appended, as a data set that a server loads', async () => {
    const loaded = await opened(recording.base(), async (server) => {
      await server.append(
        [
          ['SET', 'mark', '1'],
          ['INCR', 'mark'],
        ],
        { signal: never },
      );
      await expect(server.append([['SET', 'never', '1'], ['NO-SUCH-COMMAND']], { signal: never })).rejects.toThrow(
        'unknown command',
      );
      await expect(server.ask(['SET', 'key', '1'])).rejects.toThrow('READONLY');
      const { path, bytes } = await server.snapshot(never);
      const rdb = await readFile(path);
      expect(rdb.length).toBe(bytes);
      const { digest, keys } = await server.content(never);
      return { rdb, digest, keys };
    });
    expect(loaded.keys.total).toBe(3_003);
    const point = recording.base();
    const found = await recording.source.find(point.base, point.group);
    if (!found.ok) throw new Error('no base');
    const [file] = found.value.manifest.files;
    const resized = {
      ...found.value.manifest,
      files: file === undefined ? [] : [{ ...file, rawBytes: loaded.rdb.length }],
    };
    const other = await withSource({
      data: () => Readable.from([loaded.rdb]),
      find: () => Promise.resolve({ ok: true, value: { manifest: resized, verification: null } }),
    });
    const server = await made(other.materialise, point);
    expect(await server.content(never)).toMatchObject({ digest: loaded.digest, keys: loaded.keys });
    expect(await server.ask(['GET', 'mark'])).toEqual(Buffer.from('2'));
    await server.close();
    await server.close();
    await other.end();
  });

  it('says so when its disk does not take the data', async () => {
    await opened(recording.base(), async (server) => {
      const { path } = await server.snapshot(never);
      await rm(dirname(path), { recursive: true });
      await expect(server.snapshot(never)).rejects.toMatchObject({
        refusal: { code: 'refused_for_safety', detail: expect.stringContaining(dirname(path)) },
      });
    });
  });

  it('tells how far it is', async () => {
    const seen: MaterialiseProgress[] = [];
    const server = await made(materialise, await recording.now(), { report: (progress) => seen.push(progress) });
    await server.close();
    const last = seen.at(-1);
    expect(last).toMatchObject({ fraction: 1, bytes: last?.totalBytes });
    const fractions = seen.map(({ fraction }) => fraction);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
  });
});

describe('materialise', () => {
  const point = async (): Promise<RestorePoint> => recording.now();

  const whole = (): Buffer[] => [...recording.pieces];
  it.each<[string, Partial<MaterialSource>, string, string]>([
    [
      'a base that is gone',
      { find: () => Promise.resolve({ ok: false, error: { code: 'not_found', detail: 'There is no backup.' } }) },
      'not_found',
      'no backup',
    ],
    [
      'a base that is no data set',
      { data: () => Readable.from([Buffer.alloc(9_000, 'x')]) },
      'backup_corrupt',
      'does not begin',
    ],
    ['an empty base', { data: () => Readable.from([]) }, 'backup_corrupt', 'does not begin'],
    [
      'a base whose hash is wrong',
      {
        data: () =>
          Readable.from(
            (async function* () {
              yield* recording.source.data(recording.manifest, never) as Readable;
              throw new RefusalError({ code: 'backup_corrupt', detail: 'data.rdb.zst: its sha256 is wrong' });
            })(),
          ),
      },
      'backup_corrupt',
      'sha256',
    ],
    [
      'a base that changed and yet has the right hash',
      {
        data: () => {
          const bytes = Buffer.concat(whole());
          const at = bytes.indexOf('needle-in-the-hay') + 3;
          bytes[at] = (bytes[at] ?? 0) ^ 1;
          return Readable.from([bytes]);
        },
      },
      'backup_corrupt',
      'could not load it',
    ],
    [
      'a base that is too long',
      { data: () => Readable.from([...whole(), Buffer.of(1)]) },
      'backup_corrupt',
      'has more',
    ],
    ['a base that is too short', { data: () => Readable.from(whole().slice(0, 1)) }, 'backup_corrupt', 'has less'],
    [
      'a stream that is too short',
      { stream: () => Readable.from([Buffer.from('*1\r\n')]) },
      'backup_corrupt',
      'has less',
    ],
    [
      'a stream with a command that the server does not know',
      {
        stream: ({ from, to }) => {
          const length = to - from;
          const command = '*2\r\n$6\r\nNOSUCH\r\n';
          const rest = length - command.length - 2;
          const head = `$${rest - String(rest).length - 3}\r\n`;
          return Readable.from([Buffer.from(command), Buffer.from(head.padEnd(rest, 'x')), Buffer.from('\r\n')]);
        },
      },
      'not_restorable',
      'did not understand 1',
    ],
    [
      'a missing segment',
      {
        stream: () =>
          Readable.from(
            (async function* () {
              yield Buffer.from('*1\r\n$4\r\nPING\r\n');
              throw new RefusalError({ code: 'backup_corrupt', detail: 'The segment 5-9 is missing.' });
            })(),
          ),
      },
      'backup_corrupt',
      'segment 5-9',
    ],
    [
      'a key that is not here',
      {
        data: () => {
          throw new RefusalError({ code: 'key_missing', detail: 'The key 0123 is not here.' });
        },
      },
      'key_missing',
      '0123',
    ],
    [
      'a base of a newer server',
      {
        find: () =>
          Promise.resolve({
            ok: true,
            value: {
              manifest: { ...recording.manifest, server: { kind: 'redis', version: '99.0.0' } },
              verification: null,
            },
          }),
      },
      'not_restorable',
      'read',
    ],
    [
      'a base of a foreign server',
      {
        find: () =>
          Promise.resolve({
            ok: true,
            value: {
              manifest: { ...recording.manifest, server: { kind: 'valkey', version: '9.0.0' } },
              verification: null,
            },
          }),
      },
      'not_restorable',
      'read',
    ],
  ])('refuses %s and says so', async (_what, changes, code, detail) => {
    const other = await withSource(changes);
    const result = await other.materialise(await point(), { signal: never });
    expect(result).toMatchObject({ ok: false, error: { code, detail: expect.stringContaining(detail) } });
    expect(await readdir(other.directory)).toEqual([]);
    await other.end();
  });

  it('refuses beforehand what does not fit into memory or onto the disk', async () => {
    const other = await makeMaterialiser(recording.source, {
      room: (needed) => {
        expect(needed.memoryBytes).toBeGreaterThan(1_000_000);
        return Promise.resolve({ ok: false, error: { code: 'refused_for_safety', detail: 'too little' } });
      },
    });
    expect(await other.materialise(recording.base(), { signal: never })).toMatchObject({
      error: { code: 'refused_for_safety' },
    });
    await other.end();
  });

  it('refuses a moment that does not follow from its base', async () => {
    const wrong = { ...recording.base(), offset: recording.base().offset + 5 };
    expect(await materialise(wrong, { signal: never })).toMatchObject({ error: { code: 'not_restorable' } });
  });

  it('has no more than two at once, and one more for what has time', async () => {
    const servers = await Promise.all([made(materialise, recording.base()), made(materialise, recording.base())]);
    const background = await made(materialise, recording.base(), { background: true });
    let third: Materialised | undefined;
    const waiting = made(materialise, recording.base()).then((server) => (third = server));
    const cancelled = new AbortController();
    const given = materialise(recording.base(), { signal: cancelled.signal });
    cancelled.abort(new Error('not wanted any more'));
    await expect(given).rejects.toThrow('not wanted');
    expect(third).toBeUndefined();
    await servers[0].close();
    await waiting;
    for (const server of [...servers, background, third]) await server?.close();
  });

  it('leaves nothing when it is cancelled while it loads', async () => {
    const cancel = new AbortController();
    const other = await withSource({
      stream: () =>
        Readable.from(
          (async function* () {
            yield Buffer.from('*1\r\n$4\r\nPING\r\n');
            cancel.abort(new Error('cancelled'));
            await new Promise(() => undefined);
          })(),
        ),
    });
    await expect(other.materialise(await point(), { signal: cancel.signal })).rejects.toThrow('cancelled');
    expect(await readdir(other.directory)).toEqual([]);
    await other.end();
  });

  it('is not disturbed by what somebody else serves', async () => {
    const server = await made(materialise, recording.base());
    const stranger = await startRedis();
    await eventually(async () => String(await server.ask(['INFO', 'replication'])).includes('master_port:0'));
    expect(await server.keys(never)).toMatchObject({ total: 3_002 });
    await stranger.stop();
    await server.close();
    await expect(server.ask(['PING'])).rejects.toThrow();
  });
});
