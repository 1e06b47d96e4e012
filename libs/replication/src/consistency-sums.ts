// Where does the data of two nodes differ? Sums over the hashes of their keys, by buckets of the names' hashes, so that the
// order in which keys are read does not count and the memory has a bound.
//
// A key adds two numbers of 48 bits to its bucket, modulo 2^52 (a double counts exactly up to 2^53). Two different data sets look
// alike in one bucket by chance with a probability of 2^-96. That is no protection from somebody who makes up colliding values
// on purpose: who may write to a replica has easier ways.

/** Sums of one database of one node. */
export interface KeySums {
  readonly bits: number;
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** Keys that were added. */
  readonly keys: number;
  /** Adds keys: 36 hex digits each, 12 of the name's hash and 24 of the entry's. */
  add(hashes: string): void;
  /** One text for all of it: keys and both sums. */
  total(): string;
}

const modulus = 2 ** 52;
const digitsOfKey = 36;
/** 2^20 buckets are 16 MiB for a node; a million keys are then about one in each. */
const mostBits = 20;
const fewestBits = 8;

/** Bits of the bucket number for so many keys: about one key in a bucket, and never more than 2^20 buckets. */
export const bucketBits = (keys: number): number =>
  Math.min(mostBits, Math.max(fewestBits, Math.ceil(Math.log2(Math.max(1, keys)))));

/** The bucket of a key by the hash of its name (hex, five digits or more). */
export const bucketOf = (nameHash: string, bits: number): number =>
  Number.parseInt(nameHash.slice(0, 5), 16) >>> (mostBits - bits);

/** Empty sums. */
export const createKeySums = (bits: number): KeySums => {
  const low = new Float64Array(2 ** bits);
  const high = new Float64Array(2 ** bits);
  let keys = 0;
  const all = { low: 0, high: 0 };
  return {
    bits,
    low,
    high,
    get keys() {
      return keys;
    },
    add(hashes) {
      for (let at = 0; at + digitsOfKey <= hashes.length; at += digitsOfKey) {
        const bucket = bucketOf(hashes.slice(at, at + 5), bits);
        const [first, second] = [hashes.slice(at + 12, at + 24), hashes.slice(at + 24, at + 36)];
        const [one, other] = [Number.parseInt(first, 16), Number.parseInt(second, 16)];
        low[bucket] = ((low[bucket] ?? 0) + one) % modulus;
        high[bucket] = ((high[bucket] ?? 0) + other) % modulus;
        all.low = (all.low + one) % modulus;
        all.high = (all.high + other) % modulus;
        keys += 1;
      }
    },
    total: () => `${String(keys)}:${all.low.toString(16)}:${all.high.toString(16)}`,
  };
};

/**
 * Buckets whose sums differ, in ascending order, among those from `from` to before `to`: a million at once would take a while.
 * Both have to have the same number of buckets.
 */
export const differingBuckets = (
  one: KeySums,
  other: KeySums,
  { from = 0, to = one.low.length }: { readonly from?: number; readonly to?: number } = {},
): readonly number[] => {
  const found: number[] = [];
  for (let bucket = from; bucket < Math.min(to, one.low.length); bucket += 1) {
    if (one.low[bucket] !== other.low[bucket] || one.high[bucket] !== other.high[bucket]) found.push(bucket);
  }
  return found;
};
