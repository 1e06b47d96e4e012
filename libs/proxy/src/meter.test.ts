import { seededRandom } from '@switchyard/testing';
import { createLatencyHistogram } from './latency-histogram.ts';
import { createMeters } from './meter.ts';

const random = seededRandom();

describe(`latency (seed ${random.seed})`, () => {
  it('gives quantiles that are at most 6.25 % too high, over six decades', () => {
    const histogram = createLatencyHistogram();
    const values = Array.from({ length: 5_000 }, () => 0.001 * 10 ** (6 * random()) * (1 + random()));
    for (const value of values) histogram.record(value);
    values.sort((one, other) => one - other);
    for (const quantile of [0.5, 0.9, 0.95, 0.99, 1]) {
      const exact = values[Math.ceil(quantile * values.length) - 1] as number;
      const told = histogram.quantileMs(quantile);
      expect(told).toBeGreaterThanOrEqual(exact);
      expect(told).toBeLessThanOrEqual(exact * 1.0626 + 0.002);
    }
    expect(histogram.count).toBe(5_000);
  });

  it('counts up to a bound and survives what no clock should say', () => {
    const histogram = createLatencyHistogram();
    for (const ms of [1, 2, 3, 1_000, 1e12, -5, Number.NaN]) histogram.record(ms);
    expect(histogram.countUpTo(10)).toBe(5);
    expect(histogram.countUpTo(5_000)).toBe(6);
    expect(histogram.countUpTo(Number.POSITIVE_INFINITY)).toBe(7);
    expect(histogram.sumMs).toBe(1_000_000_001_006);
  });

  it('is empty when nothing was recorded', () => {
    expect([createLatencyHistogram().quantileMs(0.99), createLatencyHistogram().count]).toEqual([0, 0]);
  });
});

describe('meters', () => {
  it('forget instances that are gone, but not while something is under way there', () => {
    const meters = createMeters();
    meters.of('s', 'busy').inFlight = 1;
    const kept = meters.of('s', 'kept');
    meters.of('s', 'gone').requests = 5;
    meters.retain((_service, id) => id === 'kept');
    const ids: string[] = [];
    meters.each((_service, id) => ids.push(id));
    expect(ids).toEqual(['busy', 'kept']);
    expect(meters.of('s', 'kept')).toBe(kept);
  });

  it('show recent latencies and forget them after two turns', () => {
    const meters = createMeters();
    const { recent, latency } = meters.of('s', 'a');
    recent.record(10);
    latency.record(10);
    meters.turn();
    expect(recent.count).toBe(1);
    meters.turn();
    expect([recent.count, recent.quantileMs(0.5), latency.count]).toEqual([0, 0, 1]);
  });
});
