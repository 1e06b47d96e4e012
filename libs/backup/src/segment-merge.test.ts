import { seededRandom } from '@switchyard/testing';
import { planMerges, thinTimes, type MergeableSegment } from './segment-merge.ts';

const rules = { endedBeforeMs: 1e12, mostBytes: 1_000, mostParts: 50, longestMs: 900_000 };
const segment = (from: number, to: number, facts: Partial<MergeableSegment> = {}): MergeableSegment => ({
  from,
  to,
  startedAtMs: from,
  endedAtMs: to,
  bytes: to - from,
  parts: { length: 1 },
  ...facts,
});
const shapes = (runs: readonly (readonly MergeableSegment[])[]): string[] =>
  runs.map((run) => `${run[0]?.from}-${run.at(-1)?.to} of ${run.length}`);

describe('planMerges', () => {
  it('joins neighbours up to the bounds and never across a missing one', () => {
    const list = [
      segment(0, 400),
      segment(400, 800),
      segment(800, 1_300),
      segment(1_300, 1_400),
      segment(1_500, 1_600),
      segment(1_600, 1_700),
    ];
    expect(shapes(planMerges(list, rules))).toEqual(['0-800 of 2', '800-1400 of 2', '1500-1700 of 2']);
  });

  it('leaves what is young, alone, too old together, or already large', () => {
    expect(planMerges([segment(0, 10), segment(10, 20)], { ...rules, endedBeforeMs: 20 })).toEqual([]);
    expect(planMerges([segment(0, 10)], rules)).toEqual([]);
    expect(planMerges([segment(0, 10), segment(10, 20, { endedAtMs: 900_001 })], rules)).toEqual([]);
    expect(planMerges([segment(0, 10, { parts: { length: 40 } }), segment(10, 20)], rules)).toEqual([]);
  });

  it('rewrites each part a few times at most, however they arrive', () => {
    const random = seededRandom();
    let list: MergeableSegment[] = [];
    let rewritten = 0;
    for (let at = 0; at < 2_000; at += 1) {
      list.push(segment(at, at + 1, { bytes: 1 + Math.floor(random() * 3) }));
      for (const run of planMerges(list, { ...rules, mostBytes: 1e6, mostParts: 1_000 })) {
        const parts = run.reduce((sum, one) => sum + one.parts.length, 0);
        rewritten += parts;
        const [first] = run;
        const last = run.at(-1);
        if (first === undefined || last === undefined) continue;
        const bytes = run.reduce((sum, one) => sum + one.bytes, 0);
        const merged = { ...segment(first.from, last.to), bytes, parts: { length: parts } };
        list = [...list.filter((one) => !run.includes(one)), merged].toSorted((a, b) => a.from - b.from);
      }
    }
    expect(rewritten / 2_000).toBeLessThan(15);
    expect(list.length).toBeLessThan(1_000);
    expect(list.reduce((sum, one) => sum + one.parts.length, 0)).toBe(2_000);
  });
});

describe('thinTimes', () => {
  it('keeps the last position of each slot', () => {
    expect(
      thinTimes(
        [
          [10, 1_000],
          [20, 1_040],
          [30, 1_090],
          [40, 1_100],
          [50, 1_250],
        ],
        100,
      ),
    ).toEqual([
      [30, 1_090],
      [40, 1_100],
      [50, 1_250],
    ]);
  });
});
