import { seededRandom } from '@switchyard/testing';
import { chooseSource, type SourceCandidate } from './source-choice.ts';

const rules = { maxLagBytes: 1_000, primaryAllowed: false };

function node(name: string, facts: Partial<SourceCandidate> = {}): SourceCandidate {
  return {
    name,
    host: '10.0.0.1',
    port: 6379,
    role: 'replica',
    state: 'ok',
    offset: 100,
    lagBytes: 0,
    link: 'up',
    ...facts,
  };
}

const primary = node('r1', { role: 'primary', lagBytes: null, link: null });

describe('chooseSource', () => {
  it('takes the replica with the smallest lag, and the first by name when equal', () => {
    const choose = (...nodes: SourceCandidate[]): string | undefined => {
      const choice = chooseSource(nodes, rules);
      return choice.ok ? choice.value.source.name : undefined;
    };
    expect(choose(primary, node('r2', { lagBytes: 50 }), node('r3', { lagBytes: 40 }))).toBe('r3');
    expect(choose(node('r3'), node('r2'), primary)).toBe('r2');
  });

  it.each<[Partial<SourceCandidate>, string]>([
    [{ role: 'primary', link: null }, 'it is the primary: copying it would leave a ghost replica in Sentinel'],
    [{ link: 'down' }, 'its link to the primary is down'],
    [{ link: null }, 'its link to the primary is down'],
    [{ state: 'link-down' }, 'its link to the primary is down'],
    [{ state: 'syncing' }, 'it is copying its data from the primary'],
    [{ state: 'loading' }, 'it is loading its data'],
    [{ state: 'unreachable' }, 'it cannot be reached'],
    [{ state: 'stray-primary', role: 'primary' }, 'it believes to be the primary, and the Sentinels name another'],
    [{ role: 'unknown' }, 'its role is unknown'],
    [{ lagBytes: null }, 'its lag is unknown'],
    [{ lagBytes: 1_001 }, 'it is 1001 bytes behind, more than the 1000 allowed'],
  ])('refuses a node with %j and says why', (facts, reason) => {
    const alone = chooseSource([node('r2', facts)], rules);
    expect(alone).toMatchObject({
      ok: false,
      error: { code: 'no_replica', why: [expect.stringContaining(`r2: ${reason}`)] },
    });
    const besides = chooseSource([node('r2', facts), node('r3', { lagBytes: 1_000 })], rules);
    expect(besides).toMatchObject({
      ok: true,
      value: { source: { name: 'r3' }, refused: [{ name: 'r2', reason: expect.stringContaining(reason) }] },
    });
  });

  it('copies a primary that no Sentinel watches, but only when no replica is fit', () => {
    const lenient = { ...rules, primaryAllowed: true };
    expect(chooseSource([primary], lenient)).toMatchObject({
      ok: true,
      value: { source: { name: 'r1' }, refused: [] },
    });
    expect(chooseSource([primary, node('r2', { lagBytes: 999 })], lenient)).toMatchObject({
      value: { source: { name: 'r2' } },
    });
    expect(chooseSource([node('r1', { role: 'primary', state: 'stray-primary' })], lenient).ok).toBe(false);
  });

  it('says so when nothing is known', () => {
    expect(chooseSource([], rules)).toMatchObject({
      error: { code: 'no_replica', why: ['The group has no known node.'] },
    });
  });

  it('never copies an unfit node, accounts for every node, and does not depend on their order (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 1_000; round += 1) {
      const nodes = Array.from({ length: random.integer(0, 5) }, (_, index) =>
        node(`r${index}`, {
          role: random.pick(['primary', 'replica', 'unknown']),
          state: random.pick(['ok', 'ok', 'ok', 'loading', 'syncing', 'link-down', 'unreachable', 'stray-primary']),
          link: random.pick(['up', 'up', 'down', null]),
          lagBytes: random.pick([null, 0, 10, 1_000, 1_001]),
        }),
      );
      const choice = chooseSource(nodes, rules);
      const context = { seed: random.seed, round };
      expect({ ...context, choice: chooseSource(nodes.toReversed(), rules).ok }).toEqual({
        ...context,
        choice: choice.ok,
      });
      if (!choice.ok) {
        expect({ ...context, count: choice.error.why?.length }).toEqual({
          ...context,
          count: Math.max(1, nodes.length),
        });
        continue;
      }
      const { source, refused } = choice.value;
      expect({ ...context, source }).toMatchObject({
        ...context,
        source: { role: 'replica', state: 'ok', link: 'up' },
      });
      expect(source.lagBytes).toBeLessThanOrEqual(rules.maxLagBytes);
      expect([source.name, ...refused.map((one) => one.name)].toSorted((a, b) => a.localeCompare(b))).toEqual(
        nodes.map((one) => one.name),
      );
    }
  });
});
