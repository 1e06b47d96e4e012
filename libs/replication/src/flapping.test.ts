import { defaultFlappingLimits, flappingOf, flappingProblems } from './flapping.ts';

const minute = 60_000;
const at = (minutes: number, kind: 'failover' | 'switchover' = 'failover') => ({
  id: `main-${String(minutes)}`,
  kind,
  startedAtMs: minutes * minute,
});
const flapping = (
  entries: readonly ReturnType<typeof at>[],
  acknowledgedAt: number | null = null,
): readonly string[] | null => {
  const acknowledged = acknowledgedAt === null ? null : { atMs: acknowledgedAt * minute, by: 'ann', reason: 'disk' };
  return flappingOf(entries, acknowledged, defaultFlappingLimits)?.ids ?? null;
};

describe('flapping', () => {
  it('is more than three failovers within ten minutes, in whatever order they are listed', () => {
    expect(flapping([at(0), at(3), at(9)])).toBeNull();
    expect(flapping([at(9), at(0), at(10), at(3)])).toEqual(['main-0', 'main-3', 'main-9', 'main-10']);
    expect(flapping([at(0), at(3), at(9), at(11)])).toBeNull();
  });
  it('does not end by waiting, but when it is acknowledged; then it begins anew', () => {
    const run = [at(0), at(1), at(2), at(3)];
    expect(flapping([...run, at(1_000)])).toHaveLength(4);
    expect(flapping(run, 4)).toBeNull();
    expect(flapping([...run, at(5), at(6), at(7)], 4)).toBeNull();
    expect(flapping([...run, at(5), at(6), at(7), at(8)], 4)).toEqual(['main-5', 'main-6', 'main-7', 'main-8']);
  });
  it('does not count switchovers', () => {
    expect(flapping([at(0), at(1, 'switchover'), at(2, 'switchover'), at(3)])).toBeNull();
  });
  it('is a grave problem with what to do; a short down-after is an advice', () => {
    const view = { downAfterMs: 100 } as never;
    const sentinels = [{ name: 's1', view } as never, { name: 's2', view: null } as never];
    const run = { ids: ['main-1'], fromMs: 0, toMs: minute };
    const problems = flappingProblems({ name: 'main', sentinels }, run);
    expect(problems.map(({ code, advice }) => [code, advice])).toEqual([
      ['flapping', false],
      ['short_down_after', true],
    ]);
    expect(problems[0]?.next).toContain('/acknowledge');
    expect(flappingProblems({ name: 'main', sentinels: [] }, null)).toEqual([]);
  });
});
