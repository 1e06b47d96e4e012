import type { Evidence, Instance } from '@switchyard/protocol';
import { commitOf, inputOf, instanceOf } from './catalog-fixture.ts';
import type { Decision } from './commit.ts';
import { flapsAfterReturn, isSettled, LONGEST_DAMPING_MS } from './damping.ts';
import type { Flaps } from './damping.ts';
import { eligibilityOf } from './eligibility.ts';
import {
  evictInstance,
  patchInstance,
  registerInstance,
  removeInstance,
  reviveInstance,
  settleInstance,
  suspectInstance,
} from './instance-transitions.ts';

const ref = { service: 'shop', id: 'a' };
const silence: Evidence = { because: 'silence', detail: 'silent' };
const heard: Evidence = { because: 'heartbeat', detail: 'heard' };
const after = (current: Instance, decision: Decision): Instance => ({
  ...(commitOf(decision).writes[0]?.document as Instance),
  revision: current.revision + 1,
});
/** It is suspected and heard again a second later. */
const flap = (current: Instance, atMs: number): Instance => {
  const suspected = after(current, suspectInstance(current, silence, atMs));
  return after(suspected, reviveInstance(suspected, heard, atMs + 1_000));
};
/** It is evicted and registers again a second later. */
const returns = (current: Instance, atMs: number): Instance => {
  const dead = after(current, evictInstance(current, silence, atMs));
  return after(dead, registerInstance(dead, ref, inputOf(), atMs + 1_000));
};

describe('an instance that flaps ten times a minute', () => {
  const damped = [0, 6_000, 12_000, 18_000].reduce((instance, atMs) => flap(instance, atMs), instanceOf());

  it('is left out from its fourth return on, as a last resort, with the time in the reason', () => {
    const before = [0, 6_000, 12_000].reduce((instance, atMs) => flap(instance, atMs), instanceOf());
    expect(eligibilityOf(before)).toEqual({ eligible: true });
    expect(damped.liveness).toBe('alive');
    expect(eligibilityOf(damped)).toEqual({
      eligible: false,
      reason: expect.stringMatching(/^flapping: it went and came back too often, left out until 1970-01-01T00:01:/),
      lastResort: true,
    });
  });

  it('settles when its penalty has decayed, and not before', () => {
    const untilMs = damped.dampedUntilMs ?? 0;
    // 30 s times log2 of a penalty between 3 and 4
    expect(untilMs - 19_000).toBeGreaterThan(47_000);
    expect(untilMs - 19_000).toBeLessThan(60_000);
    expect(settleInstance(damped, untilMs - 1)).toEqual({ type: 'unchanged' });
    const decision = settleInstance(damped, untilMs);
    expect(commitOf(decision).event).toMatchObject({
      type: 'instance.updated',
      data: { evidence: { because: 'settled' } },
    });
    expect(eligibilityOf(after(damped, decision))).toEqual({ eligible: true });
    expect(after(damped, decision)).not.toHaveProperty('dampedUntilMs');
  });

  it('stays left out whatever is registered or patched meanwhile', () => {
    const again = registerInstance(damped, ref, inputOf({ version: '2' }), 20_000);
    expect(after(damped, again)).toMatchObject({ dampedUntilMs: damped.dampedUntilMs, flaps: damped.flaps });
    expect(registerInstance(damped, ref, inputOf(), 20_000)).toEqual({ type: 'unchanged' });
    const patched = patchInstance(damped, ref, { weight: 2 });
    expect(patched.ok && after(damped, patched.value)).toMatchObject({ dampedUntilMs: damped.dampedUntilMs });
  });
});

describe('the penalty', () => {
  it('counts returns after an eviction as well', () => {
    const back = [0, 2_000, 4_000, 6_000].reduce((instance, atMs) => returns(instance, atMs), instanceOf());
    expect(back).toMatchObject({ liveness: 'alive', incarnation: 5, dampedUntilMs: expect.any(Number) });
  });

  it('forgets: a return every two minutes never adds up', () => {
    const back = Array.from({ length: 20 }, (_, n) => n * 120_000).reduce(
      (instance, atMs) => flap(instance, atMs),
      instanceOf(),
    );
    expect(back.dampedUntilMs).toBeUndefined();
    expect(back.flaps?.penalty).toBeLessThan(1.1);
  });

  it('is none for an instance that leaves and registers in order', () => {
    const removed = removeInstance(instanceOf(), ref, { type: 'instance.deregistered', reason: 'stop' });
    expect(removed.ok).toBe(true);
    const fresh = registerInstance(undefined, ref, inputOf(), 9_000);
    expect(after(instanceOf(), fresh)).not.toHaveProperty('flaps');
  });

  it('never leaves out for longer than five minutes, and not at all by a clock that stepped back', () => {
    let flaps: Flaps = {};
    for (let n = 0; n < 5_000; n += 1) flaps = flapsAfterReturn(flaps, 1_000_000 + n);
    expect((flaps.dampedUntilMs ?? 0) - 1_004_999).toBeLessThanOrEqual(LONGEST_DAMPING_MS);
    expect(isSettled(flaps, 1_005_000)).toBe(false);
    expect(isSettled(flaps, 1_005_000 - 3_600_000)).toBe(true);
    // and nothing decays, nothing grows without end
    expect(flapsAfterReturn({ flaps: { penalty: 1, atMs: 5_000_000 } }, 1_000)).toEqual({
      flaps: { penalty: 2, atMs: 1_000 },
    });
  });
});
