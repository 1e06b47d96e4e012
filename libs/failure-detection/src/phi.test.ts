import { createPhiWatch, phiAfter } from './phi.ts';

describe('phi', () => {
  it('reaches 8 after 18.4 mean intervals, and is 0 for somebody just heard', () => {
    expect(phiAfter(18_420, 1_000)).toBeCloseTo(8, 2);
    expect([phiAfter(0, 1_000), phiAfter(-5, 1_000), phiAfter(5, 0)]).toEqual([0, 0, 0]);
  });

  it('is that of the longest silence of a service, by the rhythm of each instance', () => {
    const watch = createPhiWatch({ maxMembers: 100, maxServices: 10 });
    let nowMs = 0;
    const sample = (silentMs: number) =>
      watch.sample(nowMs, [
        // beats every 200 ms, sampled at any moment
        { member: 'shop/a', service: 'shop', heardAtMs: nowMs - ((nowMs / 2_000) % 5) * 40, ttlMs: 3_000 },
        { member: 'shop/b', service: 'shop', heardAtMs: nowMs - silentMs, ttlMs: 3_000 },
      ]);
    for (; nowMs < 200_000; nowMs += 2_000) sample(100);
    const calm = sample(100).get('shop') ?? 0;
    const silent = sample(4_000).get('shop') ?? 0;
    expect(calm).toBeLessThan(1);
    // 20 intervals, although the TTL would have allowed one second each
    expect(silent).toBeGreaterThan(6);
  });

  it('keeps to its limits and forgets who is gone', () => {
    const watch = createPhiWatch({ maxMembers: 2, maxServices: 1 });
    const beats = ['a/1', 'b/1', 'c/1'].map((member) => ({
      member,
      service: member[0] ?? '',
      heardAtMs: 0,
      ttlMs: 3_000,
    }));
    expect([...watch.sample(1_000, beats).keys()]).toEqual(['a']);
    expect([...watch.sample(1_000, [])]).toEqual([]);
  });
});
