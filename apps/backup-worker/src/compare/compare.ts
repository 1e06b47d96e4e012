// How does one data set differ from another? What a rollback would do to every key that is there now, seen on two throw-away servers,
// so that nothing that lives is slowed down.
//
// First each key of the target is looked for in the present data, then each present one in the target: bounded memory, whatever the
// number of keys. Times to live are compared by PEXPIRETIME, values by the checksum of their DUMP; where that differs, the same content
// may be stored in another form (the order of a set is by chance), and the server's own digest decides (DEBUG DIGEST-VALUE, ten times
// slower). A key whose time has come counts as gone on both sides, as it would for a client.
import type { DataDiff } from '@switchyard/protocol';
import {
  databasesOf,
  digestsOf,
  presenceOf,
  scanKeys,
  statesOf,
  type Asks,
  type KeyNumbers,
  type Place,
} from './key-batches.ts';
import { keyName } from './key-name.ts';

/** What to compare. */
export interface Comparison {
  /** Throw-away servers (each a `Materialised`) with the data of now and of the moment that is asked for. */
  readonly now: Asks;
  readonly target: Asks;
  /** `all`: every key. `counts`: only how many there are. */
  readonly mode: 'all' | 'counts';
  /** Glob as SCAN understands it: only keys that match count. */
  readonly match?: string;
  /** Prefix of names that do not count at all. */
  readonly except?: string;
  readonly signal: AbortSignal;
  /** 0 to 1. */
  readonly onFraction?: (fraction: number) => void;
  /** Every key that differs, in batches of at most 1,000; the comparison waits for it. */
  readonly onKeys?: (found: DifferingKeys) => Promise<void>;
}

/** Keys that differ, and how: `added` ones are only in the target, `removed` ones only in the present data. */
export interface DifferingKeys {
  readonly kind: 'added' | 'changed' | 'removed';
  readonly database: number;
  readonly names: readonly Buffer[];
}

const mostSamples = 10;

/** Counts what would be added, changed and removed. Rejects when a server does not answer, and with the reason of `signal`. */
export async function compareData(comparison: Comparison): Promise<DataDiff> {
  const { mode, match, except, signal, onFraction } = comparison;
  const which = { match, except };
  const present = await databasesOf(comparison.now, signal);
  const wanted = await databasesOf(comparison.target, signal);
  if (mode === 'counts' && match === undefined && except === undefined)
    return { now: sumOf(present), target: sumOf(wanted), ...onlyCounts };

  const expected = sumOf(present) + sumOf(wanted);
  const totals = { now: 0, target: 0 };
  const tally = createTally(comparison.onKeys);
  let seen = 0;
  const count = (side: 'now' | 'target', keys: number): void => {
    totals[side] += keys;
    seen += keys;
    onFraction?.(Math.min(1, seen / expected));
  };
  for (const database of new Set([...wanted.keys(), ...present.keys()])) {
    const isLasting = (present.get(database)?.expires ?? 0) === 0 && (wanted.get(database)?.expires ?? 0) === 0;
    const now: Place = { server: comparison.now, database, isLasting, signal };
    const target: Place = { server: comparison.target, database, isLasting, signal };
    if (mode === 'counts') {
      const sizeOf = (names: readonly Buffer[]): Promise<number> => Promise.resolve(names.length);
      for await (const keys of scanKeys(now, which, sizeOf)) count('now', keys);
      for await (const keys of scanKeys(target, which, sizeOf)) count('target', keys);
      continue;
    }
    const both = async (names: readonly Buffer[]) => {
      const [there, here] = await Promise.all([statesOf(target, names), statesOf(now, names)]);
      const inBoth = (at: number): boolean => there.has(at) && here.has(at);
      const unsure = pick(names, (at) => inBoth(at) && there.sameTime(here, at) && !there.sameForm(here, at));
      const digests = unsure.length === 0 ? [] : await Promise.all([digestsOf(target, unsure), digestsOf(now, unsure)]);
      return {
        there: countOf(names, (at) => there.has(at)),
        added: pick(names, (at) => there.has(at) && !here.has(at)),
        changed: [
          ...pick(names, (at) => inBoth(at) && !there.sameTime(here, at)),
          ...pick(unsure, (at) => digests[0]?.[at] !== digests[1]?.[at]),
        ],
      };
    };
    for await (const { there, added, changed } of scanKeys(target, which, both)) {
      count('target', there);
      await tally.add('added', database, added);
      await tally.add('changed', database, changed);
    }
    const onlyHere = async (names: readonly Buffer[]) => {
      const there = await presenceOf(target, names);
      const missing = pick(names, (at) => !there.has(at));
      // Its time may have come on both sides since it was found.
      const here = missing.length === 0 ? undefined : await presenceOf(now, missing);
      const removed = pick(missing, (at) => here?.has(at) === true);
      return { here: names.length - missing.length + removed.length, removed };
    };
    for await (const { here, removed } of scanKeys(now, which, onlyHere)) {
      count('now', here);
      await tally.add('removed', database, removed);
    }
  }
  onFraction?.(1);
  return mode === 'counts' ? { ...totals, ...onlyCounts } : { ...totals, ...tally.outcome() };
}

const onlyCounts = Object.freeze({
  added: null,
  changed: null,
  removed: null,
  samples: { added: [], changed: [], removed: [] },
});

interface Tally {
  add(kind: DifferingKeys['kind'], database: number, names: readonly Buffer[]): Promise<void>;
  outcome(): Pick<DataDiff, 'added' | 'changed' | 'removed' | 'samples'>;
}

function createTally(onKeys: Comparison['onKeys']): Tally {
  const counts = { added: 0, changed: 0, removed: 0 };
  const samples: Record<DifferingKeys['kind'], string[]> = { added: [], changed: [], removed: [] };
  return {
    add: async (kind, database, names) => {
      if (names.length === 0) return;
      counts[kind] += names.length;
      for (const name of names.slice(0, mostSamples - samples[kind].length))
        samples[kind].push(keyName(name, database));
      await onKeys?.({ kind, database, names });
    },
    outcome: () => ({ ...counts, samples }),
  };
}

function sumOf(counts: ReadonlyMap<number, KeyNumbers>): number {
  return [...counts.values()].reduce((sum, { keys }) => sum + keys, 0);
}

function countOf(names: readonly Buffer[], isWanted: (at: number) => boolean): number {
  let found = 0;
  for (let at = 0; at < names.length; at += 1) if (isWanted(at)) found += 1;
  return found;
}

function pick(names: readonly Buffer[], isWanted: (at: number) => boolean): readonly Buffer[] {
  return names.filter((_, at) => isWanted(at));
}
