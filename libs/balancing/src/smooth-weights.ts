// Where on its cycle does smooth weighted round robin go on after a change? The arithmetic of the credits.
//
// Smooth weighted round robin (nginx, ngx_http_upstream_round_robin.c) keeps a credit for each candidate. From
// all-zero credits it walks a cycle as long as the sum of the weights and comes back to zero, so every window of that
// length is exact. Credits that were carried over raw from another list of candidates are not on that cycle: shares
// would be off for a while. So the carried credits are replaced by the nearest state of the new cycle.

/** More work than this (steps of the cycle times candidates) is not worth an exact start; about 1 ms. */
const searchBudget = 100_000;

/** Whole numbers in the same ratio, as small as possible. Fractions are taken to three places, never rounded to 0. */
export function wholeWeights(weights: readonly number[]): Float64Array {
  const whole = weights.every((weight) => Number.isInteger(weight));
  const scaled = Float64Array.from(weights, (weight) =>
    weight > 0 ? (whole ? weight : Math.max(1, Math.round(weight * 1_000))) : 0,
  );
  const divisor = scaled.reduce(greatestCommonDivisor, 0);
  return divisor > 1 ? scaled.map((weight) => weight / divisor) : scaled;
}

/** One step: raises the credits, takes the total from the richest (the first of equals), and returns its index. */
export function step(credits: Float64Array, weights: Float64Array, total: number): number {
  let richest = -1;
  for (let index = 0; index < weights.length; index += 1) {
    const weight = weights[index] as number;
    if (weight === 0) continue;
    credits[index] = (credits[index] as number) + weight;
    if (richest < 0 || (credits[index] as number) > (credits[richest] as number)) richest = index;
  }
  if (richest >= 0) credits[richest] = (credits[richest] as number) - total;
  return richest;
}

/**
 * The state of the cycle of `weights` that is nearest to `carried` (credits as shares of one whole cycle, 0 for
 * newcomers). When the cycle is too long to search, the carried credits themselves, brought back to a sum of 0.
 */
export function nearestCredits(weights: Float64Array, carried: Float64Array): Float64Array {
  const total = sumOf(weights);
  const surplus = sumOf(carried);
  const wanted = carried.map((credit, index) => credit * total - surplus * (weights[index] as number));
  if (total * weights.length > searchBudget) return wanted;

  const credits = new Float64Array(weights.length);
  let nearest = credits.slice();
  let nearestDistance = distanceBetween(credits, wanted);
  for (let taken = 1; taken < total; taken += 1) {
    step(credits, weights, total);
    const distance = distanceBetween(credits, wanted);
    if (distance >= nearestDistance) continue;
    nearestDistance = distance;
    nearest = credits.slice();
  }
  return nearest;
}

/** The sum of all numbers. */
export function sumOf(numbers: Float64Array): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

function distanceBetween(one: Float64Array, other: Float64Array): number {
  return one.reduce((sum, value, index) => sum + (value - (other[index] as number)) ** 2, 0);
}

function greatestCommonDivisor(one: number, other: number): number {
  let [larger, smaller] = [one, other];
  while (smaller > 0) [larger, smaller] = [smaller, larger % smaller];
  return larger;
}
