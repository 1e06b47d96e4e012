// How can a random test be run again? mulberry32 (Tommy Ettinger, public domain): 32 bits of state, one seed.

/** A source of numbers in [0, 1) that repeats for the same seed. */
export interface SeededRandom {
  (): number;
  /** Print this in the failure message, so that the run can be repeated. */
  readonly seed: number;
  /** A whole number in [low, high], both included. */
  readonly integer: (low: number, high: number) => number;
  /** One of the items; the list must not be empty. */
  readonly pick: <T>(items: readonly T[]) => T;
}

/** Makes a generator; without a seed one is taken from SWITCHYARD_TEST_SEED, else from real randomness. Prints nothing itself. */
export function seededRandom(seed: number = Number(process.env['SWITCHYARD_TEST_SEED'] ?? freshSeed())): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  const pick = <T>(items: readonly T[]): T => {
    if (items.length === 0) throw new Error('pick() needs at least one item.');
    return items[integer(0, items.length - 1)] as T;
  };
  return Object.assign(next, { seed: seed >>> 0, integer, pick });
}

function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}
