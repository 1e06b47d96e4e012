import { seededRandom } from '@switchyard/testing';
import { planStreamRetention, type RetainedStream } from './stream-retention.ts';

const stream = (timeline: string, endsMs: readonly number[], bases: RetainedStream['bases']): RetainedStream => ({
  timeline,
  segments: endsMs.map((endedAtMs, index) => ({ from: index * 10, to: index * 10 + 10, endedAtMs })),
  bases,
});
const base = (offset: number, atMs: number, verified = true): RetainedStream['bases'][number] => ({
  offset,
  atMs,
  verified,
});

describe('planStreamRetention', () => {
  it('keeps what the oldest moment of the window needs, and no more', () => {
    const one = stream('a', [10, 20, 30, 40, 50], [base(0, 0), base(20, 20), base(30, 30)]);
    const [verdict] = planStreamRetention([one], { windowMs: 25, nowMs: 50 });
    expect(verdict?.remove.map(({ to }) => to)).toEqual([10, 20]);
    expect(verdict?.removeTimeline).toBe(false);
  });

  it('does not trust an unproven backup alone with the oldest moment', () => {
    const one = stream('a', [10, 20, 30, 40], [base(0, 0), base(20, 20, false)]);
    expect(planStreamRetention([one], { windowMs: 5, nowMs: 40 })[0]?.remove).toEqual([]);
  });

  it('removes a timeline when all of it is too old, but never the newest one', () => {
    const [old, kept, newest] = planStreamRetention(
      [stream('a', [1, 2], []), stream('b', [3], [base(0, 1)]), stream('c', [1_000], [])],
      { windowMs: 100, nowMs: 1_000 },
    );
    expect(old).toMatchObject({ removeTimeline: true, keep: [] });
    expect(kept).toMatchObject({ removeTimeline: false, keep: [] });
    expect(newest).toMatchObject({ removeTimeline: false, remove: [] });
    expect(planStreamRetention([stream('a', [1], [])], { windowMs: 1, nowMs: 1_000_000 })[0]?.remove).toEqual([]);
  });

  it('removes nothing more when the clock jumps ahead', () => {
    const streams = [stream('a', [10, 20], []), stream('b', [30, 40], [base(0, 25)])];
    const now = planStreamRetention(streams, { windowMs: 35, nowMs: 40 });
    expect(planStreamRetention(streams, { windowMs: 35, nowMs: 10 ** 12 })).toEqual(now);
  });

  it('leaves every moment of the window restorable that was (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 1_000; round += 1) {
      let atMs = 0;
      const streams = Array.from({ length: random.integer(1, 3) }, (_, index) => {
        const ends = Array.from({ length: random.integer(1, 8) }, () => (atMs += random.integer(1, 20)));
        const startMs = (ends[0] ?? 0) - 1;
        // A backup lies where a segment ends, or at the beginning.
        const bases = [0, ...ends.map((_end, at) => (at + 1) * 10)]
          .filter(() => random.integer(0, 2) === 0)
          .map((offset) =>
            base(offset, offset === 0 ? startMs : (ends[offset / 10 - 1] ?? 0), random.integer(0, 1) === 0),
          );
        return stream(String(index), ends, bases);
      });
      const windowMs = random.integer(0, 60);
      const nowMs = atMs + random.integer(0, 5);
      const plan = planStreamRetention(streams, { windowMs, nowMs });
      for (const [index, { segments, bases, timeline }] of streams.entries()) {
        const verdict = plan[index];
        for (const segment of segments.filter(({ endedAtMs }) => endedAtMs >= atMs - windowMs)) {
          // The end of this segment was restorable by a base before it; it must be, by kept segments alone.
          const before = bases.filter(({ offset }) => offset <= segment.to);
          const kept = before.filter(({ offset }) =>
            segments
              .filter(({ from, to }) => from >= offset && to <= segment.to)
              .every((needed) => verdict?.keep.includes(needed)),
          );
          const context = { seed: random.seed, round, timeline, segment };
          expect({ ...context, restorable: kept.length > 0 }).toEqual({ ...context, restorable: before.length > 0 });
        }
      }
    }
  });
});
