import * as fc from 'fast-check';
import { createEventRing } from './watch-ring.ts';
import type { EventRing } from './watch-ring.ts';

const entry = (revision: number, bytes = 10) => ({
  revision,
  topic: 'instance',
  service: 'shop',
  frame: Buffer.alloc(bytes),
});
const revisionsIn = (ring: EventRing, after: number): number[] | undefined => {
  const entries = ring.after(after);
  return entries && [...entries].map(({ revision }) => revision);
};

describe('the ring of recent events', () => {
  it('has what came after a revision, in order, and says when it no longer has it', () => {
    const ring = createEventRing({ maxEvents: 3, maxBytes: 1_000 });
    ring.reset(10);
    for (const revision of [11, 12, 13, 14]) ring.push(entry(revision));

    expect([ring.floor, ring.latest]).toEqual([11, 14]);
    expect(revisionsIn(ring, 10)).toBeUndefined();
    expect(revisionsIn(ring, 11)).toEqual([12, 13, 14]);
    expect(revisionsIn(ring, 13)).toEqual([14]);
    expect(revisionsIn(ring, 14)).toEqual([]);
  });

  it('is empty after a reset, and after a hole knows only what came after it', () => {
    const ring = createEventRing({ maxEvents: 3, maxBytes: 1_000 });
    ring.push(entry(1));
    ring.reset(100);
    expect([revisionsIn(ring, 99), revisionsIn(ring, 100)]).toEqual([undefined, []]);
    ring.push(entry(101));
    ring.push(entry(105));

    expect([revisionsIn(ring, 101), revisionsIn(ring, 104)]).toEqual([undefined, [105]]);
  });

  it('keeps within both bounds, without a gap, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 120 }), { maxLength: 60 }), fc.nat(70), (sizes, after) => {
        const ring = createEventRing({ maxEvents: 8, maxBytes: 300 });
        for (const [index, size] of sizes.entries()) ring.push(entry(index + 1, size));

        const kept = [...(ring.after(ring.floor) ?? [])];
        expect(kept.length).toBeLessThanOrEqual(8);
        expect(kept.reduce((sum, { frame }) => sum + frame.length, 0)).toBeLessThanOrEqual(300);
        const all = Array.from({ length: Math.max(0, sizes.length - after) }, (_, n) => after + n + 1);
        expect(revisionsIn(ring, after)).toEqual(after < ring.floor ? undefined : all);
      }),
    );
  });
});
