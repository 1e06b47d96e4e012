// Which keys of a copy does the present primary not have, or have with another content?
import { redisProbeKey } from '@switchyard/protocol';
import type { RedisNodeAdmin } from '@switchyard/redis';
import { keyText, scanKeys, sumsOf, type KeyPlace } from './salvage-scripts.ts';

/** A key that the two do not have alike. */
export interface DifferingKey extends KeyPlace {
  readonly key: string;
  /** `only-there`: the primary has none of that name. `different`: it has another content, older or newer. */
  readonly kind: 'only-there' | 'different';
}

/** The outcome. */
export interface Comparison {
  /** Those that are only there first. */
  readonly keys: readonly DifferingKey[];
  /** There are more. */
  readonly truncated: boolean;
  /** Keys that were looked at. */
  readonly compared: number;
}

/** How far to go. */
export interface CompareOptions {
  readonly copy: RedisNodeAdmin;
  readonly primary: RedisNodeAdmin;
  /** Keys that are listed at most. */
  readonly mostKeys: number;
  /** Only these, as `keyText` writes them; all when left out. */
  readonly only?: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

/** Keys of one script: a few milliseconds of the primary at most. */
const chunkKeys = 200;

/** Compares; stops looking when enough differ. Rejects when one of the two does not answer. */
export const compareWithPrimary = async (options: CompareOptions): Promise<Comparison> => {
  const { copy, primary, mostKeys, only, signal } = options;
  const keys: DifferingKey[] = [];
  let compared = 0;
  for (const db of databasesOf(await copy.info('keyspace'))) {
    let cursor = '0';
    do {
      signal.throwIfAborted();
      const page = await scanKeys(copy, { db, cursor, count: chunkKeys });
      cursor = page.cursor;
      const named = page.keys.map((place) => ({ ...place, key: keyText(place) }));
      const wanted = named.filter(({ key }) => key !== redisProbeKey && only?.has(key) !== false);
      for (let at = 0; at < wanted.length; at += chunkKeys) {
        const chunk = wanted.slice(at, at + chunkKeys);
        const hexes = chunk.map(({ hex }) => hex);
        const [there, here] = await Promise.all([sumsOf(copy, db, hexes), sumsOf(primary, db, hexes)]);
        compared += chunk.length;
        for (const [index, one] of chunk.entries()) {
          // Its time came while it was looked at.
          if (there[index] === '' || there[index] === here[index]) continue;
          keys.push({ ...one, kind: here[index] === '' ? 'only-there' : 'different' });
        }
      }
    } while (cursor !== '0' && keys.length <= mostKeys);
    if (keys.length > mostKeys) break;
  }
  const truncated = keys.length > mostKeys;
  const order = { 'only-there': 0, different: 1 } as const;
  return {
    keys: keys.toSorted((a, b) => order[a.kind] - order[b.kind] || (a.key < b.key ? -1 : 1)).slice(0, mostKeys),
    truncated,
    compared,
  };
};

const databasesOf = (keyspace: string): readonly number[] =>
  [...keyspace.matchAll(/^db(\d+):/gm)].map(([, db]) => Number(db));
