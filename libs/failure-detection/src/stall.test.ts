import { isStalled, stallLimitMs } from './stall.ts';

const silence = { waiting: 3, silentMs: 300, limitMs: 250, doubted: false };

describe('a stall', () => {
  it('is three requests that wait for too long while nothing else is heard', () => {
    expect(isStalled(silence)).toBe(true);
    expect(isStalled({ ...silence, waiting: 2 })).toBe(false);
    expect(isStalled({ ...silence, silentMs: 250 })).toBe(false);
  });

  it('is one request where the instance is doubted already', () => {
    expect(isStalled({ ...silence, waiting: 1, doubted: true })).toBe(true);
    expect(isStalled({ ...silence, waiting: 0, doubted: true })).toBe(false);
  });

  it('is measured by what the instance usually takes, and never shorter than a garbage collection', () => {
    expect([stallLimitMs(5, 1_000), stallLimitMs(200, 1_000)]).toEqual([250, 800]);
    expect([stallLimitMs(5, 10), stallLimitMs(500, 10)]).toEqual([1_000, 2_000]);
  });
});
