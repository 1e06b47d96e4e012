// How are latencies kept without storing each one? Log-linear buckets as in HdrHistogram (Gil Tene, public domain): 16 per
// power of two, so a quantile is at most 6.25 % too high; one preallocated Uint32Array, no allocation per observation.

const subBuckets = 16;
/** Powers of two above the linear part: up to 2^32 us, more than an hour. */
const doublings = 28;
const bucketCount = subBuckets * (doublings + 1);

/** Latencies of one instance. */
export interface LatencyHistogram {
  record(ms: number): void;
  /** Upper bound, in ms, of the bucket that holds the quantile (0..1); 0 when nothing was recorded. */
  quantileMs(quantile: number): number;
  readonly count: number;
  /** In ms. */
  readonly sumMs: number;
  /** How many were at most so long, within the accuracy of the buckets. */
  countUpTo(ms: number): number;
  clear(): void;
}

/** An empty histogram: 1.8 KiB, whatever is recorded. */
export function createLatencyHistogram(): LatencyHistogram {
  const counts = new Uint32Array(bucketCount);
  let count = 0;
  let sumMs = 0;
  return {
    record(ms) {
      const index = bucketOf(ms * 1_000);
      counts[index] = (counts[index] as number) + 1;
      count += 1;
      sumMs += ms > 0 ? ms : 0;
    },
    quantileMs(quantile) {
      if (count === 0) return 0;
      let left = Math.max(1, Math.ceil(quantile * count));
      for (let index = 0; index < bucketCount; index += 1) {
        left -= counts[index] as number;
        if (left <= 0) return upperBoundOf(index) / 1_000;
      }
      return upperBoundOf(bucketCount - 1) / 1_000;
    },
    get count() {
      return count;
    },
    get sumMs() {
      return sumMs;
    },
    countUpTo(ms) {
      const last = bucketOf(ms * 1_000);
      let sum = 0;
      for (let index = 0; index <= last; index += 1) sum += counts[index] as number;
      return sum;
    },
    clear() {
      counts.fill(0);
      count = 0;
      sumMs = 0;
    },
  };
}

function bucketOf(us: number): number {
  const whole = us >= 4_294_967_295 ? 4_294_967_295 : us > 0 ? Math.floor(us) : 0;
  if (whole < subBuckets) return whole;
  const exponent = 31 - Math.clz32(whole);
  return subBuckets * (exponent - 3) + ((whole >>> (exponent - 4)) & (subBuckets - 1));
}

function upperBoundOf(index: number): number {
  if (index < subBuckets) return index + 1;
  const exponent = Math.floor(index / subBuckets) + 3;
  return 2 ** exponent + ((index % subBuckets) + 1) * 2 ** (exponent - 4);
}
