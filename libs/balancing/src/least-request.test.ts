import { seededRandom } from '@switchyard/testing';
import { pickerFor } from './policy-table.ts';

const random = seededRandom();
const burdens: Readonly<Record<string, number>> = { idle: 0, busy: 9, heavy: 9 };
const inFlight = ({ id }: { readonly id: string }): number => burdens[id] ?? 0;

describe(`least request (seed ${random.seed})`, () => {
  it('takes the one with less under way of any two', () => {
    const candidates = [
      { id: 'busy', weight: 1 },
      { id: 'idle', weight: 1 },
    ];
    const picker = pickerFor({ policy: 'least-request', candidates, context: { random, inFlight } });
    for (let turn = 0; turn < 200; turn += 1) expect(picker.pick([])).toMatchObject({ candidate: { id: 'idle' } });
  });

  it('divides what is under way by the weight', () => {
    const candidates = [
      { id: 'busy', weight: 1 },
      { id: 'heavy', weight: 4 },
    ];
    const picker = pickerFor({ policy: 'least-request', candidates, context: { random, inFlight } });
    for (let turn = 0; turn < 200; turn += 1) expect(picker.pick([])).toMatchObject({ candidate: { id: 'heavy' } });
  });

  it('spreads evenly while all have the same to do', () => {
    const candidates = ['a', 'b', 'c', 'd'].map((id) => ({ id, weight: 1 }));
    const picker = pickerFor({ policy: 'least-request', candidates, context: { random, inFlight } });
    const counts = new Map<string, number>();
    for (let turn = 0; turn < 8_000; turn += 1) {
      const result = picker.pick([]);
      if (result.picked) counts.set(result.candidate.id, (counts.get(result.candidate.id) ?? 0) + 1);
    }
    for (const { id } of candidates) expect(Math.abs((counts.get(id) ?? 0) - 2_000)).toBeLessThan(250);
  });

  it('never takes an excluded one or a weight of 0, even when one is left', () => {
    const candidates = [
      { id: 'a', weight: 1 },
      { id: 'b', weight: 0 },
      { id: 'c', weight: 1 },
    ];
    const picker = pickerFor({ policy: 'least-request', candidates, context: { random, inFlight } });
    for (let turn = 0; turn < 100; turn += 1) expect(picker.pick(['a'])).toMatchObject({ candidate: { id: 'c' } });
    expect(picker.pick(['a', 'c'])).toMatchObject({ picked: false });
  });
});
