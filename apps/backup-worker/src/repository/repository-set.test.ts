import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { backupFiles } from '@switchyard/backup';
import { createHealth, createMetrics, type Metrics } from '@switchyard/runtime';
import { manualClock } from '@switchyard/testing';
import { publishSmall, quietLogger } from '../test-fixtures.ts';
import { createBackupRepository } from './backup-repository.ts';
import { directoryStore } from './directory-store.ts';
import { bytesOf, describeObjectStore, listed } from './object-store-conformance.ts';
import { ObjectStoreError, type ObjectStore } from './object-store.ts';
import { createRepositoryCopier, type RepositoryCopier } from './repository-copier.ts';
import { createRepositorySet, type RepositorySet } from './repository-set.ts';

const never = new AbortController().signal;
const temporary = (): Promise<string> => mkdtemp(join(tmpdir(), 'switchyard-test-set-'));

describeObjectStore('several repositories as one', async () => {
  const roots = [await temporary(), await temporary()] as const;
  const open = (): ObjectStore => createRepositorySet([directoryStore(roots[0]), directoryStore(roots[1])], () => 0);
  return {
    store: open(),
    again: open,
    end: async () => {
      for (const root of roots) await rm(root, { recursive: true, force: true });
    },
  };
});

describe('several repositories', () => {
  let roots: readonly [string, string];
  /** Whether the second one can be reached. */
  let isUp: boolean;
  let clock: ReturnType<typeof manualClock>;
  let set: RepositorySet;
  let metrics: Metrics;
  let copier: RepositoryCopier;
  let second: ObjectStore;

  beforeEach(async () => {
    roots = [await temporary(), await temporary()];
    isUp = true;
    clock = manualClock({ unixMs: Date.now() });
    second = shaky(directoryStore(roots[1]), () => isUp);
    set = createRepositorySet([directoryStore(roots[0]), second], () => clock.monotonicMs());
    metrics = createMetrics();
    copier = createRepositoryCopier({ set, metrics, health: createHealth({ clock }), clock, logger: quietLogger });
    await set.prepare(never);
  });
  afterEach(async () => {
    for (const root of roots) await rm(root, { recursive: true, force: true });
  });

  const namesIn = async (root: string): Promise<string[]> =>
    (await listed(directoryStore(root))).map(({ name }) => name);
  const lacks = async (): Promise<number | undefined> => [...(await copier.copyNow(never)).values()][0];

  it('writes to the first and copies to the others, the manifest last; each alone holds every backup', async () => {
    const labels = [await publishSmall(createBackupRepository({ store: set }), 1_000)];
    labels.unshift(await publishSmall(createBackupRepository({ store: set }), 2_000));
    expect(await namesIn(roots[1])).toEqual([]);
    expect(await lacks()).toBe(0);
    expect(await namesIn(roots[1])).toEqual(await namesIn(roots[0]));
    for (const root of roots) {
      const { backups, problems } = await createBackupRepository({ store: directoryStore(root) }).list();
      expect({ labels: backups.map(({ manifest }) => manifest.label), problems }).toEqual({ labels, problems: [] });
    }
    expect(await metrics.text()).toMatch(/switchyard_backup_copy_missing_objects\{[^}]*\} 0/);
  });

  it('copies no backup that is not finished, and nothing that is only true for a moment', async () => {
    await set.put('main/owner.json', Buffer.from('{}'), { signal: never });
    const draft = await createBackupRepository({ store: set }).begin('main', 1_000);
    await draft.store(Readable.from([Buffer.from('data')]), { signal: never });
    expect(await lacks()).toBe(1);
    expect(await namesIn(roots[1])).toEqual([]);
  });

  it('reads what is missing or damaged in one from the other', async () => {
    const repository = createBackupRepository({ store: set });
    const label = await publishSmall(repository, 1_000);
    await copier.copyNow(never);
    const found = await repository.find(label);
    const file = found.ok ? found.value.manifest.files[0] : undefined;
    if (!found.ok || file === undefined) throw new Error('It is not there.');
    const { manifest } = found.value;
    const content = async (): Promise<string> => {
      const chunks: Buffer[] = [];
      for await (const chunk of repository.read(manifest, file, never)) chunks.push(chunk);
      return String(Buffer.concat(chunks));
    };
    const at = (root: string, name: string): string => join(root, 'main', label, name);
    const data = await readFile(at(roots[0], file.path));
    for (const spoil of [
      () => writeFile(at(roots[0], file.path), Buffer.alloc(data.length)),
      () => rm(at(roots[0], file.path)),
      () => writeFile(at(roots[0], backupFiles.manifest), '{'),
      () => rm(join(roots[0], 'main'), { recursive: true }),
      () => rename(roots[0], `${roots[0]}-away`),
    ]) {
      await spoil();
      expect(await repository.list()).toMatchObject({ backups: [{ manifest: { label } }], problems: [] });
      expect(await content()).toBe('data');
      expect(await repository.check(manifest, file, never)).toBeUndefined();
    }
    await rename(`${roots[0]}-away`, roots[0]);
    await writeFile(at(roots[1], file.path), 'x');
    await expect(content()).rejects.toMatchObject({ refusal: { code: 'backup_corrupt' } });
  });

  it('goes on without one that is away, tells how far behind it is, and catches up', async () => {
    isUp = false;
    await set.put('main/points/one.json', Buffer.from('1'), { signal: never });
    await clock.advance(60_000);
    await expect(copier.copyNow(never)).rejects.toThrow('away');
    expect(await metrics.text()).toMatch(/switchyard_backup_copy_missing_objects\{[^}]*\} 1/);
    expect(await metrics.text()).toMatch(/switchyard_backup_copy_lag_seconds\{[^}]*\} (?:59|60)/);
    expect(await set.read('main/points/one.json', 1, never)).toEqual(Buffer.from('1'));
    expect((await listed(set)).map(({ name }) => name)).toEqual(['main/points/one.json']);
    isUp = true;
    await clock.advance(60_000);
    expect(await lacks()).toBe(0);
    await set.put('main/points/one.json', Buffer.from('2'), { signal: never });
    expect(await lacks()).toBe(0);
    expect(String(await second.read('main/points/one.json', 1, never))).toBe('2');
  });

  it('removes from one that was away what was removed meanwhile, and does not show it until then', async () => {
    await set.put('main/points/one.json', Buffer.from('1'), { signal: never });
    await copier.copyNow(never);
    isUp = false;
    await set.remove('main/points/one.json', never);
    isUp = true;
    await clock.advance(60_000);
    expect(await listed(set)).toEqual([]);
    expect(await namesIn(roots[1])).toEqual(['main/points/one.json']);
    await copier.copyNow(never);
    expect(await namesIn(roots[1])).toEqual([]);
  });

  it('takes up copying where it was cut off, and puts no copy there that differs', async () => {
    for (let index = 0; index < 6; index += 1)
      await set.put(`main/points/${index}.json`, Buffer.from(String(index)), { signal: never });
    const put = second.put.bind(second);
    let puts = 0;
    Object.assign(second, {
      put: async (...words: Parameters<ObjectStore['put']>) => {
        puts += 1;
        if (puts === 3) throw new ObjectStoreError('unreachable', 'it went away');
        if (puts === 4) return put(words[0], Buffer.from('X'), words[2]);
        return put(...words);
      },
    });
    await expect(copier.copyNow(never)).rejects.toThrow('it went away');
    expect(await namesIn(roots[1])).toHaveLength(2);
    await expect(copier.copyNow(never)).rejects.toThrow('is not what was sent');
    expect(await lacks()).toBe(0);
    expect(puts).toBe(8);
    expect(await bytesOf(await second.get('main/points/3.json', { signal: never }))).toEqual(Buffer.from('3'));
  });
});

/** A store that is away while `isUp` says so. */
function shaky(store: ObjectStore, isUp: () => boolean): ObjectStore {
  const check = (): void => {
    if (!isUp()) throw new ObjectStoreError('unreachable', 'it is away');
  };
  return {
    ...store,
    list: async function* list(prefix, signal) {
      check();
      yield* store.list(prefix, signal);
    },
    folders: async (prefix, signal) => {
      check();
      return store.folders(prefix, signal);
    },
    get: async (name, options) => {
      check();
      return store.get(name, options);
    },
    read: async (name, mostBytes, signal) => {
      check();
      return store.read(name, mostBytes, signal);
    },
    put: async (name, body, options) => {
      check();
      return store.put(name, body, options);
    },
    remove: async (name, signal) => {
      check();
      return store.remove(name, signal);
    },
  };
}
