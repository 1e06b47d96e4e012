import { createMeters } from '@switchyard/proxy';
import { instanceOf, policyOf } from './catalog-fixture.ts';
import { serviceEntry, type ServiceEntry } from './targets.ts';

const context = { meters: createMeters(), random: () => 0, nowMs: () => 0 };
const entryOf = (
  instances: Parameters<typeof serviceEntry>[0]['instances'],
  previous?: ServiceEntry,
  policy?: object,
) => serviceEntry({ name: 'shop', policy: policy && policyOf(policy), instances }, context, previous);
const take = (entry: ServiceEntry, count: number): string =>
  Array.from({ length: count }, () => {
    const result = entry.picker.pick([]);
    return result.picked ? result.candidate.id : '-';
  }).join('');

describe('the entry of a service', () => {
  it('picks those that are eligible and says why not of all others', () => {
    const entry = entryOf([
      instanceOf('b'),
      instanceOf('a'),
      instanceOf('d', { intent: 'draining', intentReason: 'deploy' }),
      instanceOf('e', { liveness: 'dead', livenessReason: 'silent' }),
      instanceOf('s', { liveness: 'suspect' }),
      instanceOf('z', { weight: 0 }),
      instanceOf('u', { url: 'nonsense' }),
    ]);
    expect(take(entry, 4)).toBe('abab');
    expect(entry.lastResort).toBe(false);
    expect(Object.fromEntries(entry.whyNot.map(({ id, reason }) => [id, reason]))).toEqual({
      d: 'draining: deploy',
      e: 'evicted: silent',
      s: 'suspected',
      u: 'its address is not a URL',
      z: 'its weight is 0',
    });
  });

  it('falls back on suspects when nobody is eligible, never on others', () => {
    const entry = entryOf([instanceOf('s', { liveness: 'suspect' }), instanceOf('m', { intent: 'maintenance' })]);
    expect([entry.lastResort, take(entry, 2)]).toEqual([true, 'ss']);
    expect(entry.whyNot).toEqual([{ id: 'm', reason: 'in maintenance' }]);
  });

  it('keeps those in reserve that are ejected here, with the reason, unless fewer than half would be left', () => {
    const ejected = (ids: string) => ({
      ...context,
      ejectionOf: (service: string, id: string) =>
        ids.includes(id)
          ? ({ service, id, kind: 'connect', reason: 'it refused the connection', forMs: 2_000, untilMs: 0 } as const)
          : undefined,
    });
    const instances = ['a', 'b', 'c', 'd'].map((id) => instanceOf(id));
    const entry = serviceEntry({ name: 'shop', policy: undefined, instances }, ejected('ab'));
    expect([take(entry, 4), entry.reserve.map(({ id }) => id).join('')]).toEqual(['cdcd', 'ab']);
    expect(entry.whyNot[0]).toEqual({ id: 'a', reason: 'ejected here for 2.0 s after: it refused the connection' });
    const panicked = serviceEntry({ name: 'shop', policy: undefined, instances }, ejected('abc'));
    expect([take(panicked, 4), panicked.reserve, panicked.whyNot]).toEqual(['abcd', [], []]);
  });

  it('gives up ejections before what probes have shown, and that when they leave too few as well', () => {
    const judgedBy = (ejected: string, probed: string) => ({
      ...context,
      ejectionOf: (service: string, id: string) =>
        ejected.includes(id)
          ? ({ service, id, kind: 'connect', reason: 'it refused the connection', forMs: 2_000, untilMs: 0 } as const)
          : undefined,
      probedOut: (_service: string, id: string) => (probed.includes(id) ? 'left out by probes from here' : undefined),
    });
    const facts = { name: 'shop', policy: undefined, instances: ['a', 'b', 'c', 'd'].map((id) => instanceOf(id)) };
    const outcomes = [
      ['a', 'b'],
      ['abc', 'ab'],
      ['a', 'bcd'],
    ].map(([ejected = '', probed = '']) => {
      const entry = serviceEntry(facts, judgedBy(ejected, probed));
      return [entry.picker.candidates.map(({ id }) => id).join(''), entry.panic];
    });
    expect(outcomes).toEqual([
      ['cd', false],
      ['cd', true],
      ['abcd', true],
    ]);
  });

  it('has nobody when there is nobody', () => {
    expect([take(entryOf([]), 1), entryOf([]).lastResort]).toEqual(['-', false]);
  });

  it('keeps the very picker while its candidates are the same', () => {
    const before = entryOf([instanceOf('a'), instanceOf('b')]);
    const after = entryOf(
      [instanceOf('b', { revision: 9 }), instanceOf('a'), instanceOf('x', { liveness: 'dead' })],
      before,
    );
    expect(after.picker).toBe(before.picker);
  });

  it('goes on where the picker stood when somebody leaves, without a burst to the first', () => {
    const before = entryOf([instanceOf('a'), instanceOf('b'), instanceOf('c')]);
    expect(take(before, 1)).toBe('a');
    expect(take(entryOf([instanceOf('a'), instanceOf('b')], before), 3)).toBe('bab');
  });

  it('takes a new address and a new policy at once', () => {
    const before = entryOf([instanceOf('a')]);
    const moved = entryOf([instanceOf('a', { url: 'http://[::1]:99' })], before);
    expect(moved.picker.candidates[0]).toMatchObject({
      host: '::1',
      port: 99,
      secure: false,
      origin: 'http://[::1]:99',
    });
    expect(entryOf([instanceOf('a')], before, { policy: 'random' }).picker.policy).toBe('random');
    expect(entryOf([instanceOf('a', { url: 'https://shop' })], before).picker.candidates[0]).toMatchObject({
      port: 443,
      secure: true,
    });
  });
});
