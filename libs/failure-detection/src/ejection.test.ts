import {
  createOutlierDetector,
  defaultEjectionSettings,
  isPanic,
  type FailureKind,
  type OutlierDetector,
} from './ejection.ts';

const fail = (
  detector: OutlierDetector,
  nowMs: number,
  more: { readonly id?: string; readonly kind?: FailureKind; readonly instances?: number } = {},
) =>
  detector.failed({
    service: 'shop',
    id: 'a',
    kind: 'connect',
    reason: 'it refused the connection',
    instances: 4,
    nowMs,
    ...more,
  });

describe('the outlier detector', () => {
  it('ejects for a second after one failed connection, and says why', () => {
    const detector = createOutlierDetector();
    expect(fail(detector, 100)).toEqual({
      service: 'shop',
      id: 'a',
      kind: 'connect',
      reason: 'it refused the connection',
      forMs: 1_000,
      untilMs: 1_100,
    });
    expect(detector.nextEndMs()).toBe(1_100);
    expect(detector.end(1_099)).toEqual([]);
    expect(detector.end(1_100)).toHaveLength(1);
    expect([detector.ejectionOf('shop', 'a'), detector.nextEndMs()]).toEqual([undefined, Infinity]);
  });

  it.each(['reset', 'gateway-error', 'timeout'] as const)(
    'ejects after five of %s in a row, not after four',
    (kind) => {
      const detector = createOutlierDetector();
      const outcomes = [1, 2, 3, 4, 5].map((nowMs) => fail(detector, nowMs, { kind })?.forMs);
      expect(outcomes).toEqual([undefined, undefined, undefined, undefined, 1_000]);
      expect(detector.ejectionOf('shop', 'a')?.reason).toMatch(/^5 failures in a row, the last one: /);
    },
  );

  it('begins to count anew after an answer', () => {
    const detector = createOutlierDetector();
    for (let turn = 0; turn < 20; turn += 1) {
      for (let count = 0; count < 4; count += 1) expect(fail(detector, turn, { kind: 'reset' })).toBeUndefined();
      expect(detector.answered('shop', 'a')).toBe(false);
    }
  });

  it('doubles the time at each repetition, to half a minute', () => {
    const detector = createOutlierDetector();
    let nowMs = 0;
    const times = Array.from({ length: 8 }, () => {
      const ejection = fail(detector, nowMs);
      nowMs = ejection?.untilMs ?? Infinity;
      detector.end(nowMs);
      return (ejection?.forMs ?? 0) / 1_000;
    });
    expect(times).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
    expect(detector.countOf('shop', 'a')).toBe(8);
  });

  it('forgets one repetition for each ten calm seconds', () => {
    const detector = createOutlierDetector();
    for (const nowMs of [0, 1_000]) {
      fail(detector, nowMs);
      detector.end(nowMs + 2_000);
      detector.answered('shop', 'a');
    }
    // the second one lasted until 3000
    expect(fail(detector, 13_000)?.forMs).toBe(2_000);
    detector.end(15_000);
    expect(fail(detector, 115_000)?.forMs).toBe(1_000);
  });

  it('ejects at the first failure on trial, and ends the trial with an answer', () => {
    const detector = createOutlierDetector();
    fail(detector, 0);
    expect(detector.answered('shop', 'a')).toBe(true);
    detector.end(1_000);
    expect(fail(detector, 1_001, { kind: 'reset' })?.forMs).toBe(2_000);
    detector.end(4_000);
    expect(detector.answered('shop', 'a')).toBe(false);
    expect(fail(detector, 4_001, { kind: 'reset' })).toBeUndefined();
  });

  it.each([
    [1, ''],
    [2, 'a'],
    [3, 'a'],
    [4, 'ab'],
    [5, 'ab'],
    [10, 'abcde'],
  ])('of %i instances ejects no more than half: "%s"', (instances, ejected) => {
    const detector = createOutlierDetector();
    const ids = 'abcdefghij'.slice(0, instances).split('');
    expect(ids.filter((id) => fail(detector, 0, { id, instances }) !== undefined).join('')).toBe(ejected);
  });

  it('keeps services apart', () => {
    const detector = createOutlierDetector();
    fail(detector, 0, { instances: 2 });
    const other = { service: 'other', id: 'a', kind: 'connect', reason: '', instances: 2, nowMs: 0 } as const;
    expect(detector.failed(other)).toBeDefined();
  });

  it('forgets an instance that left', () => {
    const detector = createOutlierDetector();
    fail(detector, 0);
    detector.retain((_service, id) => id !== 'a');
    expect([detector.ejectionOf('shop', 'a'), detector.countOf('shop', 'a')]).toEqual([undefined, 0]);
    expect(fail(detector, 1)?.forMs).toBe(1_000);
  });
});

describe('settings of a service', () => {
  const seen = (service: string, id: string, nowMs: number) =>
    ({ service, id, kind: 'reset', reason: 'it was reset', instances: 10, nowMs }) as const;

  it('hold for it alone', () => {
    const detector = createOutlierDetector();
    const settings = { ...defaultEjectionSettings, failures: 2, firstMs: 5_000, longestMs: 7_000 };
    expect([detector.failed({ ...seen('shop', 'a', 0), settings }), detector.failed(seen('other', 'a', 0))]).toEqual([
      undefined,
      undefined,
    ]);
    expect(detector.failed({ ...seen('shop', 'a', 1), settings })?.forMs).toBe(5_000);
    expect(detector.failed(seen('other', 'a', 1))).toBeUndefined();
    detector.end(5_001);
    expect(detector.failed({ ...seen('shop', 'a', 5_002), settings })?.forMs).toBe(7_000);
  });

  it.each([
    [0, ''],
    [20, 'ab'],
    [100, 'abcdefghi'],
  ])('that allow %i %% of ten eject "%s"', (mostPercent, expected) => {
    const detector = createOutlierDetector();
    const settings = { ...defaultEjectionSettings, failures: 1, mostPercent };
    const ejected = 'abcdefghij'.split('').filter((id) => detector.failed({ ...seen('shop', id, 0), settings }));
    expect(ejected.join('')).toBe(expected);
  });
});

describe('panic', () => {
  it.each([
    [4, 3, 20, true],
    [10, 3, 20, false],
    [4, 3, 75, false],
    [4, 3, 74, true],
    [3, 3, 100, true],
    [3, 2, 100, false],
  ])('of %i instances %i ejected, where %i %% may be: %s', (instances, ejected, mostPercent, expected) => {
    expect(isPanic({ instances, ejected, mostPercent })).toBe(expected);
  });

  it.each([
    [4, 2, false],
    [3, 1, false],
    [3, 2, true],
    [2, 1, false],
    [1, 1, true],
    [0, 0, false],
  ])('of %i instances %i ejected: %s', (instances, ejected, expected) => {
    expect(isPanic({ instances, ejected })).toBe(expected);
  });
});
