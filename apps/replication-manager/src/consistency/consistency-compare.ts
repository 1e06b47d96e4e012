// Do the replicas have the data of the primary? All keys of all nodes are summed up in buckets; where sums differ, the keys are
// read again until it is clear whether they differ or were only being written.
import { createHash } from 'node:crypto';
import type { RedisKeyDifference } from '@switchyard/protocol';
import {
  bucketBits,
  bucketOf,
  createKeySums,
  differenceKind,
  differingBuckets,
  type KeySums,
} from '@switchyard/replication';
import { nameHash, type DigestReader } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';
import { settleKeys } from './consistency-settle.ts';

/** Whom to compare. */
export interface CompareOptions {
  readonly primary: DigestReader;
  readonly replicas: readonly DigestReader[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (percent: number, detail: string) => void;
}

/** What is known about one node's data. */
export interface NodeData {
  /** Null when only a sample was compared. */
  readonly digest: string | null;
  readonly keys: number;
}

/** How a replica compares. */
export interface ReplicaData extends NodeData {
  readonly differing: number;
  /** There are more than were counted. */
  readonly more: boolean;
  readonly unsettled: number;
  readonly samples: readonly RedisKeyDifference[];
}

/** The whole comparison; replicas in the order they were given. */
export interface Comparison {
  readonly primary: NodeData;
  readonly replicas: readonly ReplicaData[];
}

/** Keys under suspicion that are looked at together. */
const keysOfWave = 50_000;
/** After so many differing keys the rest is not counted any more. */
const mostDiffering = 1_000;
const mostSamples = 20;
const bucketsAtOnce = 65_536;
const scanShare = 80;

interface Tally {
  readonly different: { readonly database: number; readonly name: Buffer }[];
  unsettled: number;
  more: boolean;
}

/** Compares; rejects when a node stops answering, or with the signal's reason. Sums take 16 MiB a node and database at most. */
export const compareNodes = async (options: CompareOptions): Promise<Comparison> => {
  const { primary, replicas, onProgress, signal } = options;
  const nodes = [primary, ...replicas];
  const sizes = await Promise.all(nodes.map((node) => node.databases()));
  const total = sizes.reduce((sum, databases) => sum + [...databases.values()].reduce((a, b) => a + b, 0), 0);
  const lines: string[][] = nodes.map(() => []);
  const counts = nodes.map(() => 0);
  const tallies: Tally[] = replicas.map(() => ({ different: [], unsettled: 0, more: false }));
  let seen = 0;
  let told = 0;
  for (const database of [...new Set(sizes.flatMap((one) => [...one.keys()]))].sort((a, b) => a - b)) {
    const bits = bucketBits(Math.max(...sizes.map((one) => one.get(database) ?? 0)));
    const sums = nodes.map(() => createKeySums(bits));
    await Promise.all(
      nodes.map((node, at) =>
        node.scan(database, (hashes) => {
          sums[at]?.add(hashes);
          seen += hashes.length / 36;
          const percent = Math.min(scanShare, Math.floor((seen / Math.max(1, total)) * scanShare));
          if (percent > told)
            onProgress(percent, `${String(Math.round(seen))} keys read on ${String(nodes.length)} nodes`);
          told = Math.max(told, percent);
        }),
      ),
    );
    for (const [at, one] of sums.entries()) {
      lines[at]?.push(`${String(database)}:${one.total()}`);
      counts[at] = (counts[at] ?? 0) + one.keys;
    }
    signal.throwIfAborted();
    await settleDatabase({ ...options, database, sums, tallies });
  }
  const data = nodes.map((_node, at) => ({
    digest: createHash('sha1')
      .update((lines[at] ?? []).join('\n'))
      .digest('hex'),
    keys: counts[at] ?? 0,
  }));
  onProgress(99, 'differences are described');
  return {
    primary: data[0] as NodeData,
    replicas: await Promise.all(
      replicas.map(async (replica, at) => {
        const { different, unsettled, more } = tallies[at] as Tally;
        const samples = await samplesOf(primary, replica, different);
        // What was being written while it was read, and is the same by now, counts as the primary had it.
        const isSame = different.length === 0 && unsettled === 0 && !more;
        const { digest, keys } = (isSame ? data[0] : data[at + 1]) as NodeData;
        return { digest, keys, differing: different.length, more, unsettled, samples };
      }),
    ),
  };
};

const settleDatabase = async (
  options: CompareOptions & {
    readonly database: number;
    readonly sums: readonly KeySums[];
    readonly tallies: readonly Tally[];
  },
): Promise<void> => {
  const { primary, replicas, sums, tallies, database, clock, signal, onProgress } = options;
  const [own, ...others] = sums as [KeySums, ...KeySums[]];
  const suspects: number[][] = others.map(() => []);
  for (let from = 0; from < own.low.length; from += bucketsAtOnce) {
    for (const [at, one] of others.entries()) {
      suspects[at]?.push(...differingBuckets(own, one, { from, to: from + bucketsAtOnce }));
    }
    // The manager has other things to do at the same time.
    await clock.sleep(0, signal);
  }
  const all = [...new Set(suspects.flat())].sort((a, b) => a - b);
  const each = Math.max(1, Math.max(...sums.map(({ keys }) => keys)) / 2 ** own.bits);
  const wave = Math.max(1, Math.floor(keysOfWave / each));
  for (let from = 0; from < all.length; from += wave) {
    if (tallies.some(({ different }) => different.length >= mostDiffering)) {
      for (const tally of tallies) tally.more = true;
      return;
    }
    const wanted = new Set(all.slice(from, from + wave));
    const share = Math.floor(scanShare + (from / all.length) * (98 - scanShare));
    onProgress(share, `keys that were written meanwhile or differ: ${String(all.length - from)} buckets to look at`);
    const names = new Map<string, Buffer>();
    const gather = (some: readonly Buffer[]): void => {
      for (const name of some)
        if (wanted.has(bucketOf(nameHash(name), own.bits))) names.set(name.toString('latin1'), name);
    };
    await Promise.all([primary, ...replicas].map((node) => node.names(database, gather)));
    await Promise.all(
      replicas.map(async (replica, at) => {
        const mine = new Set(suspects[at]);
        const suspected = [...names.values()].filter((name) => mine.has(bucketOf(nameHash(name), own.bits)));
        const { different, unsettled } = await settleKeys({ ...options, replica, names: suspected });
        tallies[at]?.different.push(...different.map((name) => ({ database, name })));
        const tally = tallies[at];
        if (tally !== undefined) tally.unsettled += unsettled.length;
      }),
    );
  }
};

/** Some of them, from everywhere in the list, with what both sides have. */
export const samplesOf = async (
  primary: DigestReader,
  replica: DigestReader,
  different: Tally['different'],
): Promise<readonly RedisKeyDifference[]> => {
  const found: RedisKeyDifference[] = [];
  const step = Math.max(1, different.length / mostSamples);
  const picked = different.filter((_one, at) => Math.floor(at / step) !== Math.floor((at - 1) / step));
  for (const { database, name } of picked) {
    const [one, other] = [await sideOf(primary, database, name), await sideOf(replica, database, name)];
    const kind = differenceKind(one, other);
    if (kind === null) continue;
    found.push({ database, key: printable(name), kind, primary: shown(one), replica: shown(other) });
  }
  return found;
};

interface Side {
  readonly type: string;
  readonly size: number | null;
  readonly expiresAtMs: number | null;
  readonly content: string | null;
}

const sideOf = async (node: DigestReader, database: number, name: Buffer): Promise<Side | null> => {
  const [key] = (await node.keys(database, [name], 'content')).keys;
  const facts = await node.describe(database, name);
  if (key === null || key === undefined || facts === null) return null;
  return { ...facts, expiresAtMs: key.expiresAtMs, content: key.hash };
};

const shown = (side: Side | null): RedisKeyDifference['primary'] =>
  side === null ? null : { type: side.type, size: side.size, expiresAtMs: side.expiresAtMs };

const longestKey = 200;

/** A key for people: text as it is, other bytes as \xNN. */
export const printable = (name: Buffer): string => {
  const text = name.toString('utf8');
  const whole = Buffer.from(text, 'utf8').equals(name) && !/\p{Cc}/u.test(text);
  const written = whole
    ? text
    : [...name].map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : hexOf(byte))).join('');
  return written.length > longestKey ? `${written.slice(0, longestKey)}...` : written;
};

const hexOf = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`;
