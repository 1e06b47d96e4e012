// Which small segments become one larger one? Neighbours that are older than a minute, so that a listing stays short; what each part
// was, and its place in the chain, is kept.
import type { SegmentHeader } from '@switchyard/protocol';

/** When and how far segments are merged. */
export interface MergeRules {
  /** Only segments that ended before this (unix ms). */
  readonly endedBeforeMs: number;
  readonly mostBytes: number;
  readonly mostParts: number;
  /** Longest time between the first and the last byte of one. */
  readonly longestMs: number;
}

/** What merging needs to know of a segment; a header fulfils it. */
export type MergeableSegment = Pick<SegmentHeader, 'from' | 'to' | 'startedAtMs' | 'endedAtMs' | 'bytes'> & {
  readonly parts: { readonly length: number };
};

/**
 * Runs of at least two neighbours to be merged, oldest first. `segments` by position; where one is missing a run ends. A run that could
 * still grow is left alone until it is old or large enough: each byte is rewritten a few times at most.
 */
export function planMerges<S extends MergeableSegment>(segments: readonly S[], rules: MergeRules): S[][] {
  const runs: S[][] = [];
  let run: S[] = [];
  const close = (): void => {
    if (run.length > 1) runs.push(run);
    run = [];
  };
  for (const segment of segments) {
    if (segment.endedAtMs >= rules.endedBeforeMs) break;
    const first = run[0];
    const last = run.at(-1);
    if (first !== undefined && last !== undefined) {
      const bytes = run.reduce((sum, one) => sum + one.bytes, 0) + segment.bytes;
      const parts = run.reduce((sum, one) => sum + one.parts.length, 0) + segment.parts.length;
      const isWithin =
        last.to === segment.from &&
        bytes <= rules.mostBytes &&
        parts <= rules.mostParts &&
        Math.abs(segment.endedAtMs - first.startedAtMs) <= rules.longestMs;
      if (!isWithin) close();
    }
    run.push(segment);
  }
  close();
  return runs.filter((one) => worthIt(one));
}

/** At most one time a `everyMs`, and always the last: merged segments need less precision than fresh ones. */
export function thinTimes(
  times: readonly (readonly [position: number, atMs: number])[],
  everyMs: number,
): [number, number][] {
  const kept: [number, number][] = [];
  let lastSlot: number | undefined;
  for (const [position, atMs] of times) {
    const slot = Math.floor(atMs / everyMs);
    // The latest position of each slot: everything before it had arrived by its time.
    if (slot === lastSlot) kept.pop();
    kept.push([position, atMs]);
    lastSlot = slot;
  }
  return kept;
}

// The newcomers must be a fair share of the result: otherwise a large one would be written again for each small one.
function worthIt(run: readonly MergeableSegment[]): boolean {
  const largest = Math.max(...run.map(({ parts }) => parts.length));
  const parts = run.reduce((sum, one) => sum + one.parts.length, 0);
  return parts - largest >= Math.min(largest, 200);
}
