import { seededRandom, type SeededRandom } from '@switchyard/testing';
import { addressKey } from './address.ts';
import { parseInfo } from './info-parser.ts';
import type { NodeObservation } from './observation.ts';
import { chooseReplica, type ChoiceInput } from './replica-choice.ts';

const nowMs = 50_000;
const limits = { staleAfterMs: 1_200 };
const lost = { host: '10.0.0.1', port: 1, lineage: 'L' };

interface Sketch {
  readonly host?: string;
  readonly lines?: readonly string[];
  readonly offset?: number;
  readonly priority?: number;
  readonly lineage?: string;
  readonly answeredAgoMs?: number;
}
const replica = (port: number, sketch: Sketch = {}): NodeObservation => ({
  name: `r${String(port)}`,
  host: sketch.host ?? '10.0.0.2',
  port,
  info: parseInfo(
    [
      'role:slave',
      `run_id:run${String(port)}`,
      `master_replid:${sketch.lineage ?? 'L'}`,
      `slave_repl_offset:${String(sketch.offset ?? 100)}`,
      `slave_priority:${String(sketch.priority ?? 100)}`,
      ...(sketch.lines ?? []),
    ].join('\n'),
  ),
  savePoints: null,
  answeredAtMs: nowMs - (sketch.answeredAgoMs ?? 100),
  failure: null,
});
const choose = (nodes: readonly NodeObservation[], more: Partial<ChoiceInput> = {}): ReturnType<typeof chooseReplica> =>
  chooseReplica({ nodes, lost, limits, nowMs, ...more });

describe('the choice of a replica', () => {
  it('takes the one with most data, whatever its priority, place or verification', () => {
    const nodes = [
      replica(2, { offset: 900, priority: 1, host: '10.0.0.9' }),
      replica(3, { offset: 901, host: '10.0.0.1' }),
    ];
    const { chosen, candidates } = choose(nodes, { verified: new Set(['10.0.0.9:2']) });
    expect(chosen?.port).toBe(3);
    expect(candidates.map(({ behindBytes }) => behindBytes)).toEqual([0, 1]);
  });
  it('of two with the same data takes the verified one, then the one elsewhere, then the preferred one', () => {
    const here = replica(2, { host: '10.0.0.1', priority: 1 });
    const there = replica(3, { priority: 50 });
    const other = replica(4, { priority: 10 });
    expect(choose([here, there, other]).candidates.map(({ port }) => port)).toEqual([4, 3, 2]);
    const verified = new Set([addressKey(here)]);
    expect(choose([here, there, other], { verified }).chosen?.port).toBe(2);
    const domains = { [addressKey(other)]: 'rack1', '10.0.0.1:1': 'rack1', [addressKey(here)]: 'rack2' };
    expect(choose([here, there, other], { domains }).candidates.map(({ port }) => port)).toEqual([2, 3, 4]);
  });
  it.each([
    ['says nothing', replica(2, { answeredAgoMs: 5_000 }), 'does not answer'],
    ['is told never to', replica(2, { priority: 0 }), 'replica-priority is 0'],
    ['has another stream', replica(2, { lineage: 'M' }), 'another stream'],
    ['has nothing yet', replica(2, { offset: -1 }), 'no copy'],
    ['loads', replica(2, { lines: ['loading:1'] }), 'loading'],
    ['is half copied', replica(2, { lines: ['master_sync_in_progress:1'] }), 'not whole'],
    ['calls itself primary', replica(2, { lines: ['role:master'] }), 'calls itself primary'],
  ])('refuses one that %s', (_why, node, reason) => {
    const { chosen, refused } = choose([node]);
    expect(chosen).toBeNull();
    expect(refused[0]?.reason).toContain(reason);
  });
  it('without a known stream goes by the one that most have, and by none when they differ', () => {
    const unknown = { lost: { ...lost, lineage: null } };
    const [a, b, c] = [replica(2, { offset: 1 }), replica(3, { offset: 2 }), replica(4, { lineage: 'M', offset: 9 })];
    expect(choose([a, b, c], unknown).chosen?.port).toBe(3);
    expect(choose([a, c], unknown).chosen).toBeNull();
  });

  it('holds its promises in 1000 random groups', () => {
    const random = seededRandom();
    for (let round = 0; round < 1_000; round += 1) {
      const input = randomGroup(random);
      const { chosen, candidates, refused } = chooseReplica(input);
      const where = `seed ${String(random.seed)}, round ${String(round)}`;
      const others = input.nodes.filter((node) => addressKey(node) !== addressKey(input.lost));
      expect([where, candidates.length + refused.length]).toEqual([where, others.length]);
      // By rules that are written down here once more, not taken from what is tested.
      const usable = others.filter(
        (node) =>
          nowMs - (node.answeredAtMs ?? -Infinity) <= limits.staleAfterMs &&
          node.info?.role === 'replica' &&
          node.info.lineage === 'L' &&
          node.info.offset !== null &&
          !node.info.loading &&
          node.info.priority !== 0,
      );
      expect([where, chosen === null]).toEqual([where, usable.length === 0]);
      const shuffled = chooseReplica({ ...input, nodes: input.nodes.toSorted(() => random() - 0.5) });
      expect([where, shuffled.chosen]).toEqual([where, chosen]);
      if (chosen === null) continue;
      const most = Math.max(...usable.map((node) => node.info?.offset ?? -1));
      expect([where, chosen.offset]).toEqual([where, most]);
      const equals = candidates.filter(({ offset }) => offset === most);
      expect([where, chosen.verified]).toEqual([where, equals.some(({ verified }) => verified)]);
      const asVerified = equals.filter(({ verified }) => verified === chosen.verified);
      expect([where, chosen.elsewhere]).toEqual([where, asVerified.some(({ elsewhere }) => elsewhere)]);
      const asFar = asVerified.filter(({ elsewhere }) => elsewhere === chosen.elsewhere);
      expect([where, chosen.priority]).toEqual([where, Math.min(...asFar.map(({ priority }) => priority))]);
    }
  });
});

const randomGroup = (random: SeededRandom): ChoiceInput => {
  const ports = Array.from({ length: random.integer(0, 6) }, (_none, at) => at + 1);
  const nodes = ports.map((port) =>
    replica(port, {
      host: `10.0.0.${String(random.integer(1, 3))}`,
      offset: random.pick([-1, 100, 100, 100, 101, 250]),
      priority: random.pick([0, 1, 100, 100, 100]),
      lineage: random.pick(['L', 'L', 'L', 'M']),
      answeredAgoMs: random.pick([0, 100, 1_200, 1_201, 60_000]),
      lines: random.pick([[], [], [], ['loading:1'], ['role:master']]),
    }),
  );
  const verified = new Set(nodes.filter(() => random() < 0.3).map(addressKey));
  const domains =
    random() < 0.5 ? Object.fromEntries(nodes.map((node) => [addressKey(node), random.pick(['a', 'b'])])) : {};
  return { nodes, lost, limits, nowMs, verified, domains };
};
