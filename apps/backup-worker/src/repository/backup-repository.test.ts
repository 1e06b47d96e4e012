import { mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { seededRandom } from '@switchyard/testing';
import { good, manifestOf, publishSmall, temporaryRepository, type TestRepository } from '../test-fixtures.ts';

const never = new AbortController().signal;
const some = (text = 'data'): Readable => Readable.from([Buffer.from(text)]);
let repository: TestRepository;
let end: () => Promise<void>;

beforeEach(async () => {
  ({ repository, end } = await temporaryRepository());
});
afterEach(() => end());

const at = (...path: string[]): string => join(repository.root, ...path);
const labels = async (group?: string): Promise<string[]> =>
  (await repository.list(group)).backups.map(({ manifest }) => manifest.label);

describe('a backup repository', () => {
  it('is empty before it exists, and says whether it can be written to', async () => {
    await rm(repository.root, { recursive: true });
    expect(await repository.list()).toEqual({ backups: [], problems: [] });
    await repository.prepare();
    expect(await readdir(repository.root)).toEqual(['.unfinished']);
    await rm(repository.root, { recursive: true });
    await writeFile(repository.root, 'a file in its place');
    await expect(repository.prepare()).rejects.toThrow('EEXIST');
  });

  it('knows a backup from the moment of its manifest on, and nothing before', async () => {
    const draft = await repository.begin('main', 1_000);
    const data = await draft.store(some(), { signal: never });
    expect(await repository.list()).toEqual({ backups: [], problems: [] });
    const stored = {
      manifest: manifestOf(draft.label, { startedAtMs: 1_000, finishedAtMs: 1_001, files: [data] }),
      verification: good,
    };
    await draft.publish(stored);
    expect(await repository.list()).toEqual({ backups: [stored], problems: [] });
    expect(await repository.find(draft.label)).toEqual({ ok: true, value: stored });
    const read: Buffer[] = [];
    for await (const chunk of repository.read(stored.manifest, data, never)) read.push(chunk);
    expect(String(Buffer.concat(read))).toBe('data');
    expect(await repository.check(stored.manifest, data, never)).toBeUndefined();
    expect((await readdir(at('main', draft.label))).toSorted()).toEqual([
      'data.rdb.zst',
      'manifest.json',
      'verification.json',
    ]);
  });

  it('gives two backups of the same moment two labels, and lists the newest first over all groups', async () => {
    const made = [
      await publishSmall(repository, 5),
      await publishSmall(repository, 5),
      await publishSmall(repository, 9, 'other'),
    ];
    expect(new Set(made).size).toBe(3);
    expect(await labels()).toEqual([made[2], made[1], made[0]]);
    expect(await labels('other')).toEqual([made[2]]);
    expect(await repository.find(made[0] ?? '', 'other')).toMatchObject({ ok: false, error: { code: 'not_found' } });
  });

  it('leaves no trace of what is discarded or removed', async () => {
    const draft = await repository.begin('main', 1);
    await draft.store(some(), { signal: never });
    await draft.discard();
    const label = await publishSmall(repository, 2);
    await repository.remove('main', label);
    expect(await readdir(repository.root)).toEqual(['.unfinished']);
    expect(await repository.find(label)).toMatchObject({ error: { code: 'not_found' } });
  });

  it('notices any single flipped bit in a manifest (random)', async () => {
    const random = seededRandom();
    const label = await publishSmall(repository, 3);
    const path = at('main', label, 'manifest.json');
    const whole = await readFile(path);
    const original = await repository.find(label);
    for (let round = 0; round < 300; round += 1) {
      const position = random.integer(0, whole.length - 1);
      const bit = random.integer(0, 7);
      const damaged = Buffer.from(whole);
      damaged[position] = (damaged[position] ?? 0) ^ (1 << bit);
      await writeFile(path, damaged);
      const found = await repository.find(label);
      // A space that became another space changes nothing that is read.
      const verdict = found.ok ? JSON.stringify(found) === JSON.stringify(original) : found.error.code;
      expect({ seed: random.seed, position, bit, verdict }).toEqual({
        seed: random.seed,
        position,
        bit,
        verdict: found.ok ? true : 'backup_corrupt',
      });
    }
    await writeFile(path, whole);
    expect(await repository.find(label)).toEqual(original);
  });

  it.each<[string, (folder: string) => Promise<void>, string]>([
    ['a manifest that is no JSON', (folder) => writeFile(join(folder, 'manifest.json'), 'PK\u0003'), 'is not JSON'],
    ['a cut-off manifest', (folder) => writeFile(join(folder, 'manifest.json'), '{"formatVersion": 1,'), 'is not JSON'],
    ['an empty manifest', (folder) => writeFile(join(folder, 'manifest.json'), ''), 'is not JSON'],
    [
      'a manifest without a checksum',
      (folder) => writeFile(join(folder, 'manifest.json'), JSON.stringify(manifestOf('20200101T000000.000Z-full'))),
      'checksum',
    ],
    ['a foreign document', (folder) => writeFile(join(folder, 'manifest.json'), '{"name":"else"}'), 'not valid'],
    ['a newer format', (folder) => writeFile(join(folder, 'manifest.json'), '{"formatVersion":2}'), 'format version 2'],
    [
      'a huge file as manifest',
      (folder) => writeFile(join(folder, 'manifest.json'), Buffer.alloc(2 ** 20 + 1)),
      'at most 1048576 are expected',
    ],
    ['a directory as manifest', (folder) => mkdir(join(folder, 'manifest.json')), 'cannot be read'],
  ])('lists %s as a problem and goes on with the others', async (_what, damage, detail) => {
    const label = await publishSmall(repository, 4);
    await mkdir(at('main', '20200101T000000.000Z-full'));
    await damage(at('main', '20200101T000000.000Z-full'));
    expect(await labels()).toEqual([label]);
    const { problems } = await repository.list();
    expect(problems).toEqual([{ path: 'main/20200101T000000.000Z-full', detail: expect.stringContaining(detail) }]);
    expect(await repository.find('20200101T000000.000Z-full')).toMatchObject({ error: { code: 'backup_corrupt' } });
  });

  it('does not mind what else lies there, and follows no links', async () => {
    const label = await publishSmall(repository, 4);
    await mkdir(at('lost+found'));
    await mkdir(at('main', 'notes'));
    await writeFile(at('README'), 'hello');
    await symlink(at('main', label), at('main', '20200101T000000.000Z-full'));
    expect(await repository.list()).toMatchObject({ backups: [{ manifest: { label } }], problems: [] });
  });

  it('counts a backup as unverified when its verification cannot be read, and replaces it', async () => {
    const label = await publishSmall(repository, 4);
    await writeFile(at('main', label, 'verification.json'), '{"ok":');
    const found = await repository.find(label);
    if (!found.ok) throw new Error(found.error.detail);
    expect(found.value.verification).toBeNull();
    const bad = { ...good, ok: false, problem: 'data.rdb.zst: it is missing' };
    await repository.recordVerification(found.value.manifest, bad);
    expect(await repository.find(label)).toMatchObject({ value: { verification: bad } });
  });

  it('gives two who begin at the same moment two labels', async () => {
    const drafts = await Promise.all([1, 2, 3, 4].map(() => repository.begin('main', 7)));
    expect(new Set(drafts.map(({ label }) => label)).size).toBe(4);
  });

  it('says what is wrong with data that was changed, cut off or removed', async () => {
    const label = await publishSmall(repository, 4);
    const found = await repository.find(label);
    const data = found.ok ? found.value.manifest.files[0] : undefined;
    if (data === undefined) throw new Error('It has no data.');
    const path = at('main', label, data.path);
    const intact = await readFile(path);
    const read = async (): Promise<unknown> => {
      try {
        for await (const chunk of repository.read({ group: 'main', label }, data, never))
          expect(chunk).toBeInstanceOf(Buffer);
        return 'read';
      } catch (error) {
        return error;
      }
    };
    for (const [content, problem] of [
      [Buffer.concat([intact.subarray(1), Buffer.from('x')]), 'its sha256 is'],
      [intact.subarray(1), `it has ${intact.length - 1} bytes`],
      [Buffer.concat([intact, intact]), `it has`],
      [null, 'it is missing'],
    ] as const) {
      await (content === null ? rm(path) : writeFile(path, content));
      expect(await repository.check({ group: 'main', label }, data, never)).toContain(problem);
      expect(await read()).toMatchObject({
        refusal: { code: 'backup_corrupt', why: [expect.stringContaining(problem)] },
      });
    }
  });

  it('removes leftovers that nobody has written to for long, and nothing else', async () => {
    const label = await publishSmall(repository, 4);
    const old = await repository.begin('main', 5);
    await old.store(some('half'), { signal: never });
    const fresh = await repository.begin('main', 6);
    await fresh.store(some('half'), { signal: never });
    const longAgo = new Date(1_000_000);
    for (const folder of [label, old.label])
      for (const file of await readdir(at('main', folder))) await utimes(at('main', folder, file), longAgo, longAgo);
    await utimes(at('main', fresh.label, 'claim.json'), longAgo, longAgo);
    expect(await repository.removeLeftovers(2_000_000_000)).toEqual([`main/${old.label}`]);
    expect((await readdir(at('main'))).toSorted()).toEqual([label, fresh.label].toSorted());
  });
});
