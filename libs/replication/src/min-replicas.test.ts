import { parseInfo } from './info-parser.ts';
import {
  goodReplicas,
  lossPatienceMs,
  minReplicasState,
  stepMinReplicas,
  syncPatienceMs,
  type MinReplicasInput,
  type MinReplicasStep,
} from './min-replicas.ts';

const primary = { name: 'r1', host: '10.0.0.1', port: 1 };
const usual: MinReplicasInput = {
  primary,
  good: 2,
  now: { toWrite: 0, maxLagSeconds: 10 },
  operators: { toWrite: 0, maxLagSeconds: 10 },
  policy: 'availability',
  isCertain: true,
  isNew: false,
  maxLagSeconds: 3,
  nowMs: 0,
};
/** Looks every 100 ms up to `untilMs`; what is set is what the node has from then on. */
const run = (
  inputs: readonly (Partial<MinReplicasInput> & { readonly untilMs: number })[],
): MinReplicasStep & { readonly toWrite: number; readonly changes: readonly string[] } => {
  let step: MinReplicasStep = { state: minReplicasState, set: null, findings: { problems: [], nodes: [] } };
  let now = inputs[0]?.now ?? usual.now;
  let nowMs = 0;
  const changes: string[] = [];
  for (const { untilMs, now: _now, ...input } of inputs) {
    for (; nowMs <= untilMs; nowMs += 100) {
      step = stepMinReplicas(step.state, { ...usual, ...input, now, nowMs });
      if (step.set !== null)
        changes.push(`${String(nowMs)}: ${String(step.set.toWrite)}/${String(step.set.maxLagSeconds)}`);
      now = step.set ?? now;
    }
  }
  return { ...step, toWrite: now?.toWrite ?? -1, changes };
};
const codes = ({ findings }: MinReplicasStep): readonly string[] => findings.problems.map(({ code }) => code);

describe('min-replicas-to-write', () => {
  it('is raised to 1 once replicas have been in sync for a while', () => {
    const end = run([{ untilMs: 5_000 }]);
    expect(end.changes).toEqual([`${String(syncPatienceMs)}: 1/3`]);
    expect(codes(end)).toEqual([]);
  });
  it('is lowered within a second of the loss of the last replica, and raised again after it is back', () => {
    const end = run([{ untilMs: 3_000 }, { untilMs: 6_000, good: 0 }]);
    expect(end.changes.at(-1)).toBe(`${String(3_100 + lossPatienceMs)}: 0/3`);
    expect(codes(end)).toEqual(['wait_primary']);
    expect(end.findings.nodes).toMatchObject([{ port: 1, state: 'wait-primary' }]);
    const back = run([{ untilMs: 3_000 }, { untilMs: 6_000, good: 0 }, { untilMs: 9_000, good: 1 }]);
    expect(back.toWrite).toBe(1);
    expect(codes(back)).toEqual([]);
  });
  it('stays where it is for one late answer', () => {
    expect(run([{ untilMs: 3_000 }, { untilMs: 3_200, good: 0 }, { untilMs: 5_000 }]).changes).toHaveLength(1);
  });
  it('with the policy consistency is never lowered: writes are refused, and that is said', () => {
    const end = run([
      { untilMs: 3_000, policy: 'consistency' },
      { untilMs: 9_000, policy: 'consistency', good: 0 },
    ]);
    expect(end.toWrite).toBe(1);
    expect(end.findings.problems[0]?.detail).toContain('refuses writes');
  });
  it('is not lowered on a primary that is cut off or being replaced', () => {
    const end = run([{ untilMs: 3_000 }, { untilMs: 60_000, good: 0, isCertain: false }]);
    expect(end.toWrite).toBe(1);
    expect(end.findings.problems[0]?.detail).toContain('no majority');
  });
  it('is lowered at once on a new primary that has no replica yet', () => {
    const now = { toWrite: 1, maxLagSeconds: 3 };
    expect(run([{ untilMs: 0, good: 0, isNew: true, isCertain: false, now }]).changes).toEqual(['0: 0/3']);
    expect(run([{ untilMs: 0, good: 0, isNew: true, isCertain: false, now, policy: 'consistency' }]).changes).toEqual(
      [],
    );
  });
  it('never goes below what the operator had while a replica is left, and comes back to it step by step', () => {
    const operators = { toWrite: 2, maxLagSeconds: 5 };
    const now = operators;
    expect(run([{ untilMs: 9_000, operators, now, good: 1 }]).changes).toEqual([]);
    const end = run([
      { untilMs: 3_000, operators, now },
      { untilMs: 6_000, operators, good: 0 },
      { untilMs: 9_000, operators, good: 1 },
      { untilMs: 12_000, operators, good: 2 },
    ]);
    expect(end.changes.map((change) => change.split(' ')[1])).toEqual(['0/5', '1/5', '2/5']);
  });
  it('is left alone where the majority is not known', () => {
    expect(run([{ untilMs: 9_000, isCertain: false }]).changes).toEqual([]);
  });
  it('forgets what it knew of another primary', () => {
    const { state } = run([{ untilMs: 3_000, good: 0 }]);
    expect(state.noneSinceMs).not.toBeNull();
    const next = stepMinReplicas(state, { ...usual, primary: { ...primary, port: 2 }, nowMs: 4_000 });
    expect(next.state).toMatchObject({ primary: '10.0.0.1:2', noneSinceMs: null });
  });
});

it('counts replicas as Redis does', () => {
  const lines = (lag: number, state = 'online'): string =>
    `ip=10.0.0.2,port=5,state=${state},offset=1,lag=${String(lag)}`;
  const info = parseInfo(`role:master\nslave0:${lines(0)}\nslave1:${lines(4)}\nslave2:${lines(0, 'wait_bgsave')}`);
  expect(goodReplicas(info, 3)).toBe(1);
  expect(goodReplicas(info, 4)).toBe(2);
});
