import { coveringRanges, layout, segmentRange } from './layout.ts';

describe('the names of objects', () => {
  it('say the range of a segment, and sort by it', () => {
    const name = layout.segment('main', '20260102T030405.678Z', { from: 7, to: 1_000 });

    expect(name).toBe('main/stream/20260102T030405.678Z/0000000000000007-0000000000001000.segment');
    expect(segmentRange(name)).toEqual({ from: 7, to: 1_000 });
    expect(
      layout.segment('main', 'x', { from: 1_000, to: 1_001 }) > layout.segment('main', 'x', { from: 999, to: 1_000 }),
    ).toBe(true);
  });

  it('of anything else say no range', () => {
    for (const name of [
      'timeline.json',
      '7-8.segment',
      '0000000000000008-0000000000000007.segment',
      '9999999999999998-9999999999999999.segment',
    ])
      expect(segmentRange(name)).toBeUndefined();
  });
});

describe('coveringRanges', () => {
  const range = (from: number, to: number): { from: number; to: number } => ({ from, to });

  it('takes a merged piece instead of those inside it, and keeps gaps', () => {
    expect(coveringRanges([range(20, 30), range(0, 10), range(10, 20), range(0, 20), range(40, 50)])).toEqual([
      range(0, 20),
      range(20, 30),
      range(40, 50),
    ]);
    expect(coveringRanges([])).toEqual([]);
  });
});
