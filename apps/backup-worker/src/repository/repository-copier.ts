// How do the other repositories come to hold what the first one does? By comparing names and sizes now and then, and by hearing of what
// is written in between. Each copy is read back and compared; where a copy of before broke off, comparing finds it.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { backupFiles } from '@switchyard/backup';
import { createTicker, type Clock, type Component, type Health, type Logger, type Metrics } from '@switchyard/runtime';
import { textOf } from '../system-error.ts';
import { ObjectStoreError, type ObjectStore, type StoredObject } from './object-store.ts';
import type { RepositorySet } from './repository-set.ts';

/** Copies as a component; `copyNow` does one round at once. */
export interface RepositoryCopier extends Component {
  /** Compares and copies; resolves with how many objects each of the others lacks afterwards, by its place. */
  copyNow(signal: AbortSignal): Promise<ReadonlyMap<string, number>>;
}

const everyMs = 2_000;
/** Beyond what was heard: everything is compared so often. */
const compareEveryMs = 600_000;
const roundDeadlineMs = 3_600_000;
/** More is found by comparing. */
const mostHeard = 10_000;
const copyAtOnce = 4;
const smallBytes = 8 * 1024 * 1024;

/** What is changed in place: a newer one replaces the copy. All other objects never change. */
const mutable = /\/(?:verification\.json|(?:rollbacks|rehearsals|pins|points)\/[^/]+)$/;
/** What is only true for a moment. */
const passing = /(?:^|\/)(?:owner\.json|claim\.json)$/;

/** Copies from the first repository of `set` to the others. */
export function createRepositoryCopier(options: {
  readonly set: RepositorySet;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly clock: Clock;
  readonly logger: Logger;
}): RepositoryCopier {
  const { set, metrics, health, clock, logger } = options;
  const [first, ...others] = set.copies;
  if (first === undefined) throw new Error('There is no repository.');
  const labels = { labels: ['repository'], maxSeries: 10 } as const;
  const lag = metrics.gauge(
    'backup_copy_lag_seconds',
    'Age of the oldest object that a further repository lacks',
    labels,
  );
  const missing = metrics.gauge('backup_copy_missing_objects', 'Objects that a further repository lacks', labels);
  let heard = new Set<string>();
  let hasMissedSome = false;
  let comparedAtMs = -Infinity;
  set.onWritten((name) => {
    if (heard.size < mostHeard) heard.add(name);
    else hasMissedSome = true;
  });
  const compared = new Set<ObjectStore>();
  /** What each of them lacks, as far as is known. */
  const lacking = new Map<ObjectStore, Map<string, StoredObject>>(others.map((store) => [store, new Map()]));

  const compare = async (store: ObjectStore, signal: AbortSignal): Promise<Map<string, StoredObject>> => {
    const lacks = new Map<string, StoredObject>();
    const theirs = store.list('', signal)[Symbol.asyncIterator]();
    let their = await theirs.next();
    for await (const own of first.list('', signal)) {
      while (their.done !== true && their.value.name < own.name) their = await theirs.next();
      const copy = their.done !== true && their.value.name === own.name ? their.value : undefined;
      if (!passing.test(own.name) && !isSame(own, copy)) lacks.set(own.name, own);
    }
    await theirs.return?.();
    return lacks;
  };

  const everything = async (signal: AbortSignal): Promise<Map<string, StoredObject>> => {
    const all = new Map<string, StoredObject>();
    for await (const own of first.list('', signal)) if (!passing.test(own.name)) all.set(own.name, own);
    return all;
  };

  /** Whether it may go on its way: the data of a backup only once its manifest is there, so that no half one is copied. */
  const isWhole = async (name: string, signal: AbortSignal): Promise<boolean> => {
    if (!name.endsWith(`/${backupFiles.data}`)) return true;
    try {
      await first.read(name.replace(/[^/]+$/, backupFiles.manifest), 2 ** 20, signal);
      return true;
    } catch (error) {
      if (error instanceof ObjectStoreError && error.kind === 'missing') return false;
      throw error;
    }
  };

  const copy = async (store: ObjectStore, { name, bytes }: StoredObject, signal: AbortSignal): Promise<void> => {
    const hash = createHash('sha256');
    if (bytes <= smallBytes) {
      const body = await first.read(name, smallBytes, signal);
      hash.update(body);
      await store.put(name, body, { signal });
    } else {
      const source = await first.get(name, { signal });
      const hashed = async function* hashed(): AsyncGenerator<Buffer> {
        for await (const chunk of source as AsyncIterable<Buffer>) {
          hash.update(chunk);
          yield chunk;
        }
      };
      await store.putStream(name, () => Readable.from(hashed(), { objectMode: false }), signal);
    }
    const sent = hash.digest('hex');
    const arrived = await hashOf(await store.get(name, { signal }));
    if (arrived === sent) return;
    await store.remove(name, signal);
    throw new ObjectStoreError('unreachable', `${name}: the copy at ${store.place} is not what was sent.`);
  };

  const copyAll = async (store: ObjectStore, signal: AbortSignal): Promise<void> => {
    const lacks = lacking.get(store);
    if (lacks === undefined) return;
    let refused: ObjectStoreError | undefined;
    const take = async (object: StoredObject): Promise<void> => {
      signal.throwIfAborted();
      try {
        if (!(await isWhole(object.name, signal))) return;
        await copy(store, object, signal);
      } catch (error) {
        if (!(error instanceof ObjectStoreError)) throw error;
        if (error.kind === 'refused') {
          // One that cannot be copied does not keep the others from it.
          refused ??= error;
          return;
        }
        // Missing: removed since it was listed.
        if (error.kind !== 'missing') throw error;
      }
      lacks.delete(object.name);
    };
    // The manifest comes after the data in the order of names, and not beside it.
    const inOrder = [...lacks.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const segments = inOrder.filter(({ name }) => name.endsWith('.segment'));
    for (const object of inOrder) if (!object.name.endsWith('.segment')) await take(object);
    for (let at = 0; at < segments.length; at += copyAtOnce)
      await Promise.all(segments.slice(at, at + copyAtOnce).map(take));
    if (refused !== undefined) throw refused;
  };

  const hear = async (signal: AbortSignal): Promise<void> => {
    const names = heard;
    heard = new Set();
    for (const name of names) {
      if (passing.test(name)) continue;
      for await (const object of first.list(name, signal))
        if (object.name === name) for (const lacks of lacking.values()) lacks.set(name, object);
    }
  };

  const round = async (signal: AbortSignal): Promise<void> => {
    await set.removePending(signal);
    const isDue = hasMissedSome || clock.monotonicMs() - comparedAtMs >= compareEveryMs;
    if (isDue) hasMissedSome = false;
    await hear(signal);
    const problems: string[] = [];
    for (const store of others) {
      try {
        if (isDue) {
          lacking.set(store, await compare(store, signal));
          compared.add(store);
        }
        await copyAll(store, signal);
      } catch (error) {
        signal.throwIfAborted();
        problems.push(`${store.place}: ${textOf(error)}`);
        // What is compared only in part is compared again.
        if (isDue) hasMissedSome = true;
        // One that was never seen is taken to be empty: better too much of a lag than none.
        if (!compared.has(store)) lacking.set(store, await everything(signal));
      }
      show(store);
    }
    if (isDue && !hasMissedSome) comparedAtMs = clock.monotonicMs();
    health.set('copies', { ok: problems.length === 0, critical: false, detail: problems.join('; ').slice(0, 500) });
    if (problems.length > 0) throw new Error(problems.join('; '));
  };

  const show = (store: ObjectStore): void => {
    const lacks = [...(lacking.get(store)?.values() ?? [])];
    const oldestMs = Math.min(...lacks.map(({ modifiedAtMs }) => modifiedAtMs));
    missing.set({ repository: store.place }, lacks.length);
    lag.set({ repository: store.place }, lacks.length === 0 ? 0 : Math.max(0, (clock.unixMs() - oldestMs) / 1_000));
  };

  const ticker = createTicker({ name: 'copies', everyMs, run: round, clock, logger, deadlineMs: roundDeadlineMs });
  return {
    name: 'copies',
    start: (signal) => ticker.start(signal),
    stop: () => ticker.stop(),
    copyNow: async (signal) => {
      comparedAtMs = -Infinity;
      await round(signal);
      return new Map(others.map((store) => [store.place, lacking.get(store)?.size ?? 0]));
    },
  };
}

function isSame(own: StoredObject, copy: StoredObject | undefined): boolean {
  if (copy === undefined || copy.bytes !== own.bytes) return false;
  return !mutable.test(own.name) || copy.modifiedAtMs >= own.modifiedAtMs;
}

async function hashOf(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}
