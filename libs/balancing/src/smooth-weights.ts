// Which order does smooth weighted round robin give, and where on it does it go on after a change? The arithmetic of the credits.
//
// Smooth weighted round robin (nginx, ngx_http_upstream_round_robin.c) keeps a credit for each candidate. From
// all-zero credits it walks a cycle as long as the sum of the weights and comes back to zero, so every window of that
// length is exact. The cycle is the same each time: it is walked once, and written down.
import { cycleTurns, strideTurns, type Turns } from './turns.ts';

/** More work than this (steps of the cycle times candidates) is not worth writing the cycle down; about 1 ms. */
const cycleBudget = 100_000;

/** Whole numbers in the same ratio, as small as possible. Fractions are taken to three places, never rounded to 0. */
export function wholeWeights(weights: readonly number[]): Float64Array {
  const whole = weights.every((weight) => Number.isInteger(weight));
  const scaled = Float64Array.from(weights, (weight) =>
    weight > 0 ? (whole ? weight : Math.max(1, Math.round(weight * 1_000))) : 0,
  );
  const divisor = scaled.reduce(greatestCommonDivisor, 0);
  return divisor > 1 ? scaled.map((weight) => weight / divisor) : scaled;
}

/** Where an order begins: anywhere (a number in [0, 1)), or nearest to what each was owed before. */
export type Start = number | Float64Array;

/** The smooth order of these whole weights. */
export function smoothTurns(weights: Float64Array, start: Start): Turns {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (weights.every((weight) => weight <= 1)) return equalTurns(weights, total, start);
  if (total * weights.length > cycleBudget) return strideTurns(weights, typeof start === 'number' ? undefined : start);
  const { order, nearest } = walk(weights, total, typeof start === 'number' ? undefined : start);
  const place = typeof start === 'number' ? Math.floor(start * total) : nearest;
  return cycleTurns(order, place, (at) => owedAfter(order.subarray(0, at), weights, total));
}

/** Plain round robin among those that have a weight. */
function equalTurns(weights: Float64Array, total: number, start: Start): Turns {
  const order = Int32Array.from([...weights.keys()].filter((index) => weights[index] === 1));
  let place = 0;
  if (typeof start === 'number') place = Math.floor(start * total);
  else for (const [at, index] of order.entries()) if (owedMore(start, index, order[place] as number)) place = at;
  return cycleTurns(order, place, (at) => owedAfter(order.subarray(0, at), weights, total));
}

const owedMore = (owed: Float64Array, one: number, other: number): boolean =>
  (owed[one] as number) > (owed[other] as number);

/** What each is owed once these have had their turns. */
function owedAfter(taken: Int32Array, weights: Float64Array, total: number): Float64Array {
  const owed = weights.map((weight) => (weight * taken.length) / total);
  for (const index of taken) owed[index] = (owed[index] as number) - 1;
  return owed;
}

/** The whole cycle from all-zero credits, and the place of it that is nearest to what was owed before. */
function walk(
  weights: Float64Array,
  total: number,
  owed: Float64Array | undefined,
): { readonly order: Int32Array; readonly nearest: number } {
  const credits = new Float64Array(weights.length);
  const order = new Int32Array(total);
  const wanted = owed && creditsFor(owed, weights, total);
  let nearest = 0;
  let nearestDistance = Infinity;
  for (let at = 0; at < total; at += 1) {
    if (wanted !== undefined) {
      const distance = distanceBetween(credits, wanted);
      if (distance < nearestDistance) [nearest, nearestDistance] = [at, distance];
    }
    order[at] = step(credits, weights, total);
  }
  return { order, nearest };
}

/** Credits that were carried over from another list of candidates, brought back to a sum of 0. */
function creditsFor(owed: Float64Array, weights: Float64Array, total: number): Float64Array {
  const surplus = owed.reduce((sum, share) => sum + share, 0);
  return owed.map((share, index) => share * total - surplus * (weights[index] as number));
}

/** One step: raises the credits, takes the total from the richest (the first of equals), and returns its index. */
function step(credits: Float64Array, weights: Float64Array, total: number): number {
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

function distanceBetween(one: Float64Array, other: Float64Array): number {
  return one.reduce((sum, value, index) => sum + (value - (other[index] as number)) ** 2, 0);
}

function greatestCommonDivisor(one: number, other: number): number {
  let [larger, smaller] = [one, other];
  while (smaller > 0) [larger, smaller] = [smaller, larger % smaller];
  return larger;
}
