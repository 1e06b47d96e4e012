// Whose turn is it? What a weighted order looks like to its picker, and the two ways to keep one that cost no walk through all
// candidates for a pick: a cycle that is written down, or a heap.

/** An order of candidates, given as indices into their list. */
export interface Turns {
  /** Whose turn it is; the order goes on. -1 when nobody has any weight. Allocates nothing. */
  next(): number;
  /** Somebody for whom `isUsable` holds, in proportion to the weights; costs nobody else a turn. -1 when there is nobody. */
  nextAmong(isUsable: (index: number) => boolean): number;
  /** How much each is owed now, as part of a whole cycle: about -1 (has just had its turn) to 1 (is next). */
  owed(): Float64Array;
}

/** A cycle, written down: O(1) a pick. `owedAt` says what is owed at a place of it. */
export function cycleTurns(order: Int32Array, start: number, owedAt: (place: number) => Float64Array): Turns {
  let place = start;
  // second attempts walk by themselves: they must not take anybody's turn away
  let again = start;

  return {
    next() {
      if (order.length === 0) return -1;
      const index = order[place] as number;
      place = place + 1 < order.length ? place + 1 : 0;
      return index;
    },
    nextAmong(isUsable) {
      for (let passed = 0; passed < order.length; passed += 1) {
        const index = order[again] as number;
        again = again + 1 < order.length ? again + 1 : 0;
        if (isUsable(index)) return index;
      }
      return -1;
    },
    owed: () => owedAt(place),
  };
}

/** Where the fractions of the golden section fall: no two candidates begin together. */
const GOLDEN = 0.618_033_988_749_895;

/**
 * Stride scheduling (Waldspurger and Weihl, 1995) for cycles that are too long to be written down: O(log n) a pick. Each has its next
 * turn at a time of its own, 1/weight after the last one. `carried`: what each was owed before.
 */
export function strideTurns(weights: Float64Array, carried?: Float64Array): Turns {
  const dueAt = weights.map((weight, index) =>
    weight > 0 ? (carried === undefined ? (index * GOLDEN) % 1 : -(carried[index] as number)) / weight : 0,
  );
  const heap = Int32Array.from([...weights.keys()].filter((index) => (weights[index] as number) > 0));
  for (let place = heap.length >> 1; place >= 0; place -= 1) sink(place);

  return {
    next: () => (heap.length === 0 ? -1 : serve(0)),
    nextAmong(isUsable) {
      let first = -1;
      for (let place = 0; place < heap.length; place += 1) {
        if (isUsable(heap[place] as number) && (first < 0 || isBefore(place, first))) first = place;
      }
      return first < 0 ? -1 : serve(first);
    },
    owed() {
      const now = heap.length === 0 ? 0 : (dueAt[heap[0] as number] as number);
      return weights.map((weight, index) => (now - (dueAt[index] as number)) * weight);
    },
  };

  function serve(place: number): number {
    const index = heap[place] as number;
    dueAt[index] = (dueAt[index] as number) + 1 / (weights[index] as number);
    sink(place);
    return index;
  }

  function isBefore(one: number, other: number): boolean {
    const [a, b] = [heap[one] as number, heap[other] as number];
    const difference = (dueAt[a] as number) - (dueAt[b] as number);
    return difference < 0 || (difference === 0 && a < b);
  }

  function sink(from: number): void {
    let place = from;
    for (;;) {
      const left = 2 * place + 1;
      if (left >= heap.length) return;
      const least = left + 1 < heap.length && isBefore(left + 1, left) ? left + 1 : left;
      if (!isBefore(least, place)) return;
      const moved = heap[place] as number;
      heap[place] = heap[least] as number;
      heap[least] = moved;
      place = least;
    }
  }
}
