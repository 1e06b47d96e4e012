import type { Clock } from '@switchyard/runtime';
import { createDigestPace, type DigestPaceOptions } from './digest-pace.ts';

/** A clock that only notes how long it was slept on. */
const pacing = (options: Omit<DigestPaceOptions, 'clock'> = {}) => {
  const slept: number[] = [];
  const clock: Clock = {
    unixMs: () => 0,
    monotonicMs: () => 0,
    sleep: (ms) => {
      slept.push(ms);
      return Promise.resolve();
    },
  };
  return { pace: createDigestPace({ ...options, clock }), slept: () => slept.reduce((a, b) => a + b, 0) };
};

describe('the pace of a digest', () => {
  it('asks for fewer when they are larger, at once, and for more when they are smaller, slowly', async () => {
    const { pace } = pacing();
    const atFirst = pace.count('key');
    await pace.spent({ ms: 1, unit: 'key', asked: 64, work: 64 * 154 });
    const small = pace.count('key');
    expect(small).toBeGreaterThan(atFirst);
    for (let call = 0; call < 50; call += 1) await pace.spent({ ms: 1, unit: 'key', asked: 160, work: 160 * 154 });
    expect(pace.count('key')).toBeGreaterThan(140);
    expect(pace.count('key')).toBeLessThan(200);
    await pace.spent({ ms: 1, unit: 'key', asked: 160, work: 160 * 20_000 });
    expect(pace.count('key')).toBeLessThan(5);
  });

  it('asks for as many on a busy machine or over a long way, within bounds', async () => {
    for (const [ms, emptyCallMs] of [
      [40, 0],
      [21, 20],
    ] as const) {
      const { pace } = pacing({ emptyCallMs });
      for (let call = 0; call < 500; call += 1) {
        const asked = pace.count('element');
        await pace.spent({ ms, unit: 'element', asked, work: asked * 84 });
      }
      // 780 in a millisecond: a quarter of that, or all.
      expect(pace.count('element')).toBeGreaterThan(emptyCallMs === 0 ? 150 : 600);
    }
  });

  it('begins carefully with each large key', async () => {
    const { pace } = pacing();
    for (let call = 0; call < 50; call += 1) await pace.spent({ ms: 1, unit: 'element', asked: 16, work: 16 * 84 });
    expect(pace.count('element')).toBeGreaterThan(400);
    pace.nextKey();
    expect(pace.count('element')).toBe(16);
  });

  it('keeps its share of the time, and its bytes a second', async () => {
    const byTime = pacing({ dutyPercent: 4 });
    for (let call = 0; call < 100; call += 1) await byTime.pace.spent({ ms: 1, unit: 'key', asked: 10, work: 1 });
    expect(byTime.slept()).toBeCloseTo(2_400, 0);
    const byBytes = pacing({ bytesPerSecond: 1_000_000 });
    for (let call = 0; call < 100; call += 1) await byBytes.pace.spent({ ms: 1, unit: 'key', asked: 10, work: 50_000 });
    expect(byBytes.slept() + 100).toBeCloseTo(5_000, -2);
    const free = pacing();
    for (let call = 0; call < 100; call += 1) await free.pace.spent({ ms: 5, unit: 'key', asked: 10, work: 50_000 });
    expect(free.slept()).toBe(0);
  });
});
