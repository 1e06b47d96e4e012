import { policyNameSchema } from '@switchyard/protocol';
import { pickerFor, policyTable } from './policy-table.ts';

const context = { random: () => 0, inFlight: () => 0 };
const candidates = ['a', 'b', 'c'].map((id) => ({ id, weight: 1 }));

describe('the table of policies', () => {
  it('has every policy a service may name', () => {
    expect(Object.keys(policyTable).sort()).toEqual([...policyNameSchema.options].sort());
  });

  it('makes pickers that name their policy, keep it when followed, and hand out the newest objects', () => {
    for (const policy of policyNameSchema.options) {
      const first = pickerFor({ policy, candidates, context });
      const newer = candidates.map((candidate) => ({ ...candidate }));
      const second = pickerFor({ policy, candidates: newer, context }, first);
      expect([first.policy, second.policy]).toEqual([policy, policy]);
      const result = second.pick([]);
      expect(result.picked && newer.includes(result.candidate)).toBe(true);
    }
  });

  it('starts afresh when the service changes its policy', () => {
    const first = pickerFor({ policy: 'random', candidates, context });
    expect(pickerFor({ policy: 'round-robin', candidates, context }, first).pick([])).toMatchObject({
      candidate: { id: 'a' },
    });
  });
});
