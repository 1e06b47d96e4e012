import { OWN_DRAIN_REASON, storedInstanceSchema } from '@switchyard/protocol';
import type { Evidence, Instance } from '@switchyard/protocol';
import { commitOf, inputOf, instanceOf } from './catalog-fixture.ts';
import type { Decision } from './commit.ts';
import { eligibilityOf } from './eligibility.ts';
import {
  evictInstance,
  patchInstance,
  registerInstance,
  removeInstance,
  reviveInstance,
  suspectInstance,
} from './instance-transitions.ts';

const ref = { service: 'shop', id: 'a' };
const silence: Evidence = { because: 'silence', detail: 'no heartbeat for 3.1 s' };
const unchanged = { type: 'unchanged' };

/** What would be stored. */
const stored = (decision: Decision): Instance => commitOf(decision).writes[0]?.document as Instance;
const eventOf = (decision: Decision): string => commitOf(decision).event.type;
/** The instance after the decision, as the next one finds it. */
const after = (current: Instance, decision: Decision): Instance => ({
  ...stored(decision),
  revision: current.revision + 1,
});

describe('a registration', () => {
  it('of somebody unknown makes a living instance that must not exist yet, with a deadline', () => {
    const decision = registerInstance(undefined, ref, inputOf({ ttl: '10s', weight: 5, zone: 'west' }), 7_000);

    expect(stored(decision)).toMatchObject({
      service: 'shop',
      id: 'a',
      weight: 5,
      declaredWeight: 5,
      zone: 'west',
      ttlMs: 10_000,
      liveness: 'alive',
      intent: 'in-service',
      sinceMs: 7_000,
      incarnation: 1,
    });
    expect(commitOf(decision)).toMatchObject({
      expect: [{ kind: 'instance', key: 'shop/a', revision: 0 }],
      deadline: { member: 'shop/a', ttlMs: 10_000 },
      service: 'shop',
      event: { type: 'instance.registered', subject: 'shop/a' },
    });
    expect(storedInstanceSchema.parse(stored(decision))).toEqual(stored(decision));
  });

  it('of a new process ends the drain that its predecessor began for itself', () => {
    const current = instanceOf({ intent: 'draining', intentReason: OWN_DRAIN_REASON });

    const decision = registerInstance(current, ref, inputOf(), 9);

    expect(stored(decision)).toMatchObject({ intent: 'in-service' });
    expect(stored(decision).intentReason).toBeUndefined();
  });

  it('repeated changes nothing, in whatever order its metadata stands', () => {
    const first = registerInstance(undefined, ref, inputOf({ meta: { a: '1', b: '2' }, check: { type: 'tcp' } }), 1);
    const current = { ...stored(first), revision: 1 };

    const again = registerInstance(current, ref, inputOf({ check: { type: 'tcp' }, meta: { b: '2', a: '1' } }), 99);

    expect(again).toEqual(unchanged);
  });

  it.each([
    { url: 'http://10.0.0.6:3000' },
    { weight: 2 },
    { zone: 'east' },
    { version: '2' },
    { meta: { a: '1' } },
    { ttl: '4s' },
    { check: { type: 'none' } },
    { role: 'standby' },
  ])('with another description %j updates it and keeps the rest', (more) => {
    const current = instanceOf({ intent: 'draining', intentReason: 'update', sinceMs: 5 });

    const decision = registerInstance(current, ref, inputOf(more), 9_000);

    expect(eventOf(decision)).toBe('instance.updated');
    expect(stored(decision)).toMatchObject({ intent: 'draining', intentReason: 'update', sinceMs: 5, incarnation: 1 });
    expect(commitOf(decision).expect).toEqual([{ kind: 'instance', key: 'shop/a', revision: 1 }]);
  });

  it('takes away what is no longer declared', () => {
    const current = instanceOf({ zone: 'west', version: '1' });

    expect(stored(registerInstance(current, ref, inputOf(), 1))).not.toHaveProperty('zone');
  });

  it('keeps the weight that an operator set, until the owner declares another one', () => {
    const current = instanceOf({ weight: 0 });

    expect(registerInstance(current, ref, inputOf({ weight: 1 }), 1)).toEqual(unchanged);
    expect(stored(registerInstance(current, ref, inputOf({ weight: 3 }), 1))).toMatchObject({
      weight: 3,
      declaredWeight: 3,
    });
  });

  it('of a suspect revives it, and says by what', () => {
    const current = instanceOf({ liveness: 'suspect', livenessReason: 'silent', sinceMs: 5 });

    const decision = registerInstance(current, ref, inputOf(), 9_000);

    expect(eventOf(decision)).toBe('instance.revived');
    expect(stored(decision)).toMatchObject({ liveness: 'alive', sinceMs: 9_000, incarnation: 1 });
    expect(stored(decision)).not.toHaveProperty('livenessReason');
    expect(commitOf(decision).event.data).toMatchObject({ evidence: { because: 'registered' } });
  });

  it('of a dead one begins its next incarnation with a deadline, and does not undo a drain', () => {
    const current = instanceOf({ liveness: 'dead', livenessReason: 'silent', intent: 'maintenance', incarnation: 4 });

    const decision = registerInstance(current, ref, inputOf(), 9_000);

    expect(eventOf(decision)).toBe('instance.registered');
    expect(stored(decision)).toMatchObject({ liveness: 'alive', intent: 'maintenance', incarnation: 5 });
    expect(stored(decision)).not.toHaveProperty('livenessReason');
    expect(commitOf(decision).deadline).toEqual({ member: 'shop/a', ttlMs: 3_000 });
  });

  it.each([
    [{ url: 'http://10.0.0.5:3000/' }, 'http://10.0.0.5:3000'],
    [{ url: 'HTTP://Shop.Example:3000' }, 'http://shop.example:3000'],
    [{ url: 'http://10.0.0.5:3000?' }, 'http://10.0.0.5:3000'],
    [{ url: 'http://10.0.0.5:3000#' }, 'http://10.0.0.5:3000'],
    [{ url: ' http://10.0.0.5:3000\n' }, 'http://10.0.0.5:3000'],
    [{ url: 'http:\\\\10.0.0.5:3000' }, 'http://10.0.0.5:3000'],
    [{ url: 'http://[::1]:3000' }, 'http://[::1]:3000'],
    [{ host: '10.0.0.5', port: 3000 }, 'http://10.0.0.5:3000'],
    [{ host: '2001:DB8::5', port: 3000 }, 'http://[2001:db8::5]:3000'],
  ])('keeps the address %j in its one canonical form', (address, url) => {
    expect(stored(registerInstance(undefined, ref, inputOf({ url: undefined, ...address }), 1)).url).toBe(url);
  });
});

describe('a patch', () => {
  it('changes weight and intent, and keeps the reason of the intent that stands', () => {
    const drained = patchInstance(instanceOf(), ref, { intent: 'draining', reason: 'update' });
    if (!drained.ok) throw new Error('it is registered');
    expect(stored(drained.value)).toMatchObject({ intent: 'draining', intentReason: 'update', weight: 1 });

    const weighed = patchInstance(after(instanceOf(), drained.value), ref, { weight: 7 });
    if (!weighed.ok) throw new Error('it is registered');
    expect(stored(weighed.value)).toMatchObject({ intent: 'draining', intentReason: 'update', weight: 7 });
    expect(eventOf(weighed.value)).toBe('instance.updated');
  });

  it('keeps the reason of a weight with the weight, and tells it in the event', () => {
    const weighed = patchInstance(instanceOf({ intent: 'draining', intentReason: 'update' }), ref, {
      weight: 0,
      reason: 'too slow',
    });
    if (!weighed.ok) throw new Error('it is registered');
    expect(stored(weighed.value)).toMatchObject({ weight: 0, weightReason: 'too slow', intentReason: 'update' });
    expect(commitOf(weighed.value).event.data).toMatchObject({
      evidence: { because: 'requested', detail: 'too slow' },
    });

    const slow = after(instanceOf(), weighed.value);
    expect(eligibilityOf({ ...slow, intent: 'in-service' })).toMatchObject({ reason: 'its weight is 0: too slow' });
    expect(registerInstance(slow, ref, inputOf({ weight: 1 }), 1)).toEqual(unchanged);
    expect(stored(registerInstance(slow, ref, inputOf({ weight: 3 }), 1))).not.toHaveProperty('weightReason');
    const drained = patchInstance(slow, ref, { intent: 'in-service' });
    if (!drained.ok) throw new Error('it is registered');
    expect(stored(drained.value)).toMatchObject({ weight: 0, weightReason: 'too slow' });
    const again = patchInstance(slow, ref, { weight: 5 });
    if (!again.ok) throw new Error('it is registered');
    expect(stored(again.value)).not.toHaveProperty('weightReason');
  });

  it('puts back into service without the reason of the drain', () => {
    const current = instanceOf({ intent: 'draining', intentReason: 'update' });

    const decision = patchInstance(current, ref, { intent: 'in-service' });

    if (!decision.ok) throw new Error('it is registered');
    expect(stored(decision.value)).not.toHaveProperty('intentReason');
  });

  it('moves no deadline: only its owner can say that it lives', () => {
    const decision = patchInstance(instanceOf(), ref, { weight: 2 });

    if (!decision.ok) throw new Error('it is registered');
    expect(commitOf(decision.value)).not.toHaveProperty('deadline');
  });

  it('that changes nothing is no change', () => {
    expect(patchInstance(instanceOf(), ref, { weight: 1, intent: 'in-service' })).toEqual({
      ok: true,
      value: unchanged,
    });
  });

  it('refuses an unknown instance, and a revision that has passed', () => {
    expect(patchInstance(undefined, ref, { weight: 1 })).toMatchObject({ ok: false, error: { code: 'not_found' } });
    expect(patchInstance(instanceOf(), ref, { weight: 2 }, 9)).toMatchObject({
      ok: false,
      error: {
        code: 'revision_mismatch',
        detail: 'instance a of service shop has revision 1, and is not at revision 9',
      },
    });
    expect(patchInstance(instanceOf(), ref, { weight: 2 }, 1)).toMatchObject({ ok: true });
  });
});

describe('a removal', () => {
  it('takes document and deadline away, and names its reason', () => {
    const decision = removeInstance(instanceOf(), ref, { type: 'instance.reaped', reason: 'dead for 60 s' });

    if (!decision.ok) throw new Error('it is registered');
    expect(commitOf(decision.value)).toMatchObject({
      expect: [{ kind: 'instance', key: 'shop/a', revision: 1 }],
      writes: [{ kind: 'instance', key: 'shop/a', document: null }],
      deadline: { member: 'shop/a', remove: true },
      event: { type: 'instance.reaped', data: { service: 'shop', id: 'a', reason: 'dead for 60 s' } },
    });
  });

  it('tells the reader who it was and no more, when a whole instance is given as its name', () => {
    const instance = instanceOf();

    const decision = removeInstance(instance, instance, { type: 'instance.reaped', reason: 'dead' });

    if (!decision.ok) throw new Error('it is registered');
    expect(commitOf(decision.value).event.data).toEqual({ service: 'shop', id: 'a', reason: 'dead' });
  });

  it('refuses an unknown instance, and a revision that has passed', () => {
    const why = { type: 'instance.deregistered', reason: '' } as const;

    expect(removeInstance(undefined, ref, why)).toMatchObject({ error: { code: 'not_found' } });
    expect(removeInstance(instanceOf(), ref, { ...why, precondition: 2 })).toMatchObject({
      error: { code: 'revision_mismatch' },
    });
  });
});

describe('liveness', () => {
  const heard: Evidence = { because: 'heartbeat', detail: 'it was heard again' };

  it('goes from alive to suspect and back, and leaves the deadline alone', () => {
    const suspected = suspectInstance(instanceOf(), silence, 5_000);
    expect(stored(suspected)).toMatchObject({
      liveness: 'suspect',
      livenessReason: silence.detail,
      suspectedBy: 'silence',
      sinceMs: 5_000,
    });
    expect(stored(suspectInstance(instanceOf(), silence, 5_000, 'check'))).toMatchObject({ suspectedBy: 'check' });
    expect(commitOf(suspected)).not.toHaveProperty('deadline');

    const revived = reviveInstance(after(instanceOf(), suspected), heard, 6_000);
    expect(stored(revived)).toMatchObject({ liveness: 'alive', sinceMs: 6_000 });
    expect(stored(revived)).not.toHaveProperty('livenessReason');
    expect(stored(revived)).not.toHaveProperty('suspectedBy');
    expect(commitOf(revived)).not.toHaveProperty('deadline');
  });

  it('ends with an eviction, from suspect or straight from alive, and with it the deadline', () => {
    for (const liveness of ['alive', 'suspect'] as const) {
      const decision = evictInstance(instanceOf({ liveness }), silence, 5_000);

      expect(stored(decision)).toMatchObject({ liveness: 'dead', livenessReason: silence.detail, sinceMs: 5_000 });
      expect(commitOf(decision).deadline).toEqual({ member: 'shop/a', remove: true });
      expect(commitOf(decision).event).toMatchObject({ type: 'instance.evicted', data: { evidence: silence } });
    }
  });

  it('knows no other way', () => {
    for (const liveness of ['suspect', 'dead'] as const) {
      expect(suspectInstance(instanceOf({ liveness }), silence, 1)).toEqual(unchanged);
    }
    for (const liveness of ['alive', 'dead'] as const) {
      expect(reviveInstance(instanceOf({ liveness }), heard, 1)).toEqual(unchanged);
    }
    expect(evictInstance(instanceOf({ liveness: 'dead' }), silence, 1)).toEqual(unchanged);
  });
});
