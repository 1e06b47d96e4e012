import { seededRandom } from '@switchyard/testing';
import { bucketBits, bucketOf, createKeySums, differingBuckets } from './consistency-sums.ts';

const random = seededRandom(20_261_121);
const hex = (digits: number): string =>
  Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('');
const keysOf = (count: number): string[] => Array.from({ length: count }, () => hex(36));

describe('sums over keys', () => {
  it('are the same in any order and in any portions', () => {
    const keys = keysOf(2_000);
    const [one, other] = [createKeySums(8), createKeySums(8)];
    one.add(keys.join(''));
    for (const key of keys.toReversed()) other.add(key);
    expect(differingBuckets(one, other)).toEqual([]);
    expect(other.total()).toBe(one.total());
    expect(one.keys).toBe(2_000);
  });

  it('tell the bucket of each key that differs by one bit, and of each that is missing', () => {
    const keys = keysOf(2_000);
    for (let round = 0; round < 50; round += 1) {
      const at = Math.floor(random() * keys.length);
      const key = keys[at] ?? '';
      const digit = 12 + Math.floor(random() * 24);
      const flipped = (Number.parseInt(key.charAt(digit), 16) ^ 1).toString(16);
      const changed = key.slice(0, digit) + flipped + key.slice(digit + 1);
      const [one, other, less] = [createKeySums(10), createKeySums(10), createKeySums(10)];
      one.add(keys.join(''));
      other.add(keys.with(at, changed).join(''));
      less.add(keys.toSpliced(at, 1).join(''));
      expect(differingBuckets(one, other)).toEqual([bucketOf(key, 10)]);
      expect(differingBuckets(one, less)).toEqual([bucketOf(key, 10)]);
      expect(other.total()).not.toBe(one.total());
    }
  });

  it('have about a key in a bucket, and never more than 2^20 buckets', () => {
    expect([0, 1, 256, 1_000, 1_000_000, 1_000_000_000].map(bucketBits)).toEqual([8, 8, 8, 10, 20, 20]);
    expect(bucketOf('fffff0', 20)).toBe(2 ** 20 - 1);
    expect(bucketOf('fffff0', 8)).toBe(255);
    expect(bucketOf('000010', 20)).toBe(1);
  });
});
