import { instanceOf } from './catalog-fixture.ts';
import { eligibilityOf } from './eligibility.ts';

describe('eligibility', () => {
  it('is given to a living member in service that has a weight', () => {
    expect(eligibilityOf(instanceOf())).toEqual({ eligible: true });
    expect(eligibilityOf(instanceOf({ role: 'active', weight: 0.5 }))).toEqual({ eligible: true });
  });

  it.each([
    [
      { liveness: 'dead', livenessReason: 'its address refuses connections' },
      'evicted: its address refuses connections',
    ],
    [{ liveness: 'dead' }, 'evicted'],
    [{ intent: 'draining', intentReason: 'update' }, 'draining: update'],
    [{ intent: 'draining' }, 'draining'],
    [{ intent: 'maintenance', intentReason: 'disk' }, 'in maintenance: disk'],
    [{ role: 'standby' }, 'on standby: the active instance takes the traffic'],
    [{ weight: 0 }, 'its weight is 0'],
  ] as const)('is refused for good to %j', (more, reason) => {
    expect(eligibilityOf(instanceOf(more))).toEqual({ eligible: false, reason, lastResort: false });
  });

  it('leaves a suspect as the last resort', () => {
    expect(eligibilityOf(instanceOf({ liveness: 'suspect', livenessReason: 'silent' }))).toEqual({
      eligible: false,
      reason: 'suspected: silent',
      lastResort: true,
    });
  });

  it('never makes a last resort of a suspect that is wanted out for another reason', () => {
    for (const more of [
      { intent: 'draining' },
      { intent: 'maintenance' },
      { role: 'standby' },
      { weight: 0 },
    ] as const) {
      expect(eligibilityOf(instanceOf({ liveness: 'suspect', ...more }))).toMatchObject({ lastResort: false });
    }
  });
});
