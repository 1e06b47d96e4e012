import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, manualClock, type ManualClock } from '@switchyard/testing';
import { directoryStore } from '../repository/directory-store.ts';
import { quietLogger } from '../test-fixtures.ts';
import { createOwnership, type Ownership } from './ownership.ts';

let root: string;
let clock: ManualClock;
let started: Ownership[];
/** Those whose look at the record goes on. */
let alive: number;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'switchyard-test-owner-'));
  clock = manualClock();
  started = [];
  alive = 0;
});
afterEach(async () => {
  for (const one of started) await one.stop?.();
  await rm(root, { recursive: true, force: true });
});

async function start(instance: string, pid = process.ppid): Promise<{ ownership: Ownership; changes: boolean[] }> {
  const changes: boolean[] = [];
  const store = directoryStore(root);
  const self = { host: hostname(), pid };
  const onChange = (isOwner: boolean): unknown => changes.push(isOwner);
  const ownership = createOwnership({ group: 'main', store, instance, clock, logger: quietLogger, onChange, self });
  started.push(ownership);
  alive += 1;
  await ownership.start?.(new AbortController().signal);
  return { ownership, changes };
}
/** Half a second, with everything that each of them does in it: the disk may be slow, the clock must not run on meanwhile. */
async function halfSecond(): Promise<void> {
  await clock.advance(500);
  await eventually(() => clock.sleepers() >= alive, { timeoutMs: 20_000 });
}
/** Lets time go by until it is so; never more than `mostMs`. */
async function within(mostMs: number, isSo: () => boolean): Promise<void> {
  for (let ms = 0; ms < mostMs && !isSo(); ms += 500) {
    await halfSecond();
  }
  expect(isSo()).toBe(true);
}

describe('createOwnership', () => {
  it('is held by one; the other takes over at once when it is given back', async () => {
    const first = await start('one');
    await within(5_000, () => first.ownership.isOwner());
    const second = await start('two');
    await within(5_000, () => second.ownership.owner()?.instance === 'one');
    // As long as the owner lives, however long.
    for (let ms = 0; ms < 30_000; ms += 500) {
      await halfSecond();
    }
    expect([first.ownership.isOwner(), second.ownership.isOwner()]).toEqual([true, false]);
    await first.ownership.stop?.();
    alive -= 1;
    await within(5_000, () => second.ownership.isOwner());
    expect(first.ownership.held().aborted).toBe(true);
  });

  it('is taken over after ten seconds of silence, and the one that was silent gives way', async () => {
    const first = await start('one');
    await within(5_000, () => first.ownership.isOwner());
    // A record of somebody else, as if the first had been frozen meanwhile: whose record is there has it.
    const record = {
      formatVersion: 1,
      instance: 'two',
      token: 't',
      host: 'elsewhere',
      pid: 1,
      sinceMs: 1,
      beat: 1,
      released: false,
    };
    await writeFile(join(root, 'main', 'owner.json'), JSON.stringify(record));
    await within(5_000, () => !first.ownership.isOwner());
    expect(first.changes).toEqual([true, false]);
    expect(first.ownership.owner()?.instance).toBe('two');
    // It never beats: silent.
    const startedMs = clock.monotonicMs();
    await within(20_000, () => first.ownership.isOwner());
    expect(clock.monotonicMs() - startedMs).toBeGreaterThanOrEqual(9_000);
  });

  it('does not wait for an owner of this machine whose process is gone', async () => {
    const store = directoryStore(root);
    await store.prepare(AbortSignal.timeout(5_000));
    const record = {
      formatVersion: 1,
      instance: 'two',
      token: 't',
      host: hostname(),
      pid: 4_194_300,
      sinceMs: 1,
      beat: 1,
      released: false,
    };
    await store.put('main/owner.json', Buffer.from(JSON.stringify(record)), { signal: AbortSignal.timeout(5_000) });
    const { ownership } = await start('one');
    await eventually(async () => {
      await clock.advance(200);
      return ownership.isOwner();
    });
    expect(clock.monotonicMs()).toBeLessThan(9_000);
  });

  it('survives a record that cannot be read', async () => {
    const store = directoryStore(root);
    await store.prepare(AbortSignal.timeout(5_000));
    await store.put('main/owner.json', Buffer.from('{'), { signal: AbortSignal.timeout(5_000) });
    const { ownership } = await start('one');
    expect(ownership.isOwner()).toBe(false);
    await within(20_000, () => ownership.isOwner());
  });
});
