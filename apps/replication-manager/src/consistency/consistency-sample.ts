// Are some of the keys the same everywhere? For when there are too many to compare all of them in the time that there is.
import type { CompareOptions, Comparison, ReplicaData } from './consistency-compare.ts';
import { samplesOf } from './consistency-compare.ts';
import { settleKeys } from './consistency-settle.ts';
import type { DigestReader } from '@switchyard/redis';

/** Compares about `keys` keys that the primary has and as many that each replica has: what is missing is seen both ways. */
export const compareSample = async (options: CompareOptions, keys: number): Promise<Comparison> => {
  const { primary, replicas, onProgress } = options;
  const own = await pick(primary, keys);
  const found: ReplicaData[] = [];
  for (const [at, replica] of replicas.entries()) {
    onProgress((at / replicas.length) * 100, `${String(keys)} keys of each node are compared`);
    const theirs = await pick(replica, keys);
    const different: { readonly database: number; readonly name: Buffer }[] = [];
    let unsettled = 0;
    let count = 0;
    for (const database of new Set([...own.keys(), ...theirs.keys()])) {
      const both = [...(own.get(database) ?? []), ...(theirs.get(database) ?? [])];
      const names = [...new Map(both.map((name) => [name.toString('latin1'), name])).values()];
      const settled = await settleKeys({ ...options, replica, database, names });
      different.push(...settled.different.map((name) => ({ database, name })));
      unsettled += settled.unsettled.length;
      count += names.length;
    }
    found.push({
      digest: null,
      keys: count,
      differing: different.length,
      more: different.length > 0,
      unsettled,
      samples: await samplesOf(primary, replica, different),
    });
  }
  const count = [...own.values()].reduce((sum, names) => sum + names.length, 0);
  return { primary: { digest: null, keys: count }, replicas: found };
};

/** The first keys of each database in the order of its table, which is that of their hashes: as good as any others. */
const pick = async (node: DigestReader, keys: number): Promise<ReadonlyMap<number, readonly Buffer[]>> => {
  const picked = new Map<number, readonly Buffer[]>();
  const databases = await node.databases();
  const total = [...databases.values()].reduce((a, b) => a + b, 0);
  for (const [database, size] of databases) {
    const share = Math.ceil((size / Math.max(1, total)) * keys);
    const names: Buffer[] = [];
    await node.names(database, (some) => {
      names.push(...some);
      return names.length < share;
    });
    picked.set(database, names.slice(0, share));
  }
  return picked;
};
