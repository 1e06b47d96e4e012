// Thousands of rollbacks in a model world with lost commands, lost answers, dead and frozen primaries, dead workers, failovers of
// Sentinel's own and strangers who change roles; what must never happen is checked at every step.
import { seededRandom } from '@switchyard/testing';
import type { RollbackPlan, RollbackState } from './rollback-plan.ts';
import { createRollbackWorld, worldPlan } from './rollback-world-fixture.ts';
import { beginRollback, stepRollback } from './rollback.ts';

const tickMs = 20;
const longestMs = 400_000;

interface Run {
  readonly state: RollbackState;
  readonly world: ReturnType<typeof createRollbackWorld>;
  readonly tookMs: number;
}

function simulate(seed: number, plan: RollbackPlan, trouble: number): Run {
  const random = seededRandom(seed);
  const world = createRollbackWorld({ plan, random, trouble });
  let state = beginRollback(plan, 0);
  let journal = state;
  let downUntilMs: number | null = null;
  const cancelAtMs = random() < trouble / 4 ? random() * 2_000 : Infinity;
  let isCancelled = false;
  while (state.waitsFor !== 'ended' && world.now() < longestMs) {
    world.tick(tickMs);
    const nowMs = world.now();
    if (downUntilMs !== null) {
      if (nowMs < downUntilMs) continue;
      downUntilMs = null;
      state = stepRollback(journal, { type: 'resume' }, nowMs).state;
      journal = state;
    }
    if (random() < trouble * 0.01) {
      downUntilMs = nowMs + random() * 15_000;
      world.died();
      continue;
    }
    if (nowMs >= cancelAtMs && !isCancelled) {
      isCancelled = true;
      state = stepRollback(state, { type: 'cancel' }, nowMs).state;
    }
    const step = stepRollback(state, { type: 'look', look: world.look() }, nowMs);
    state = step.state;
    journal = state;
    for (const command of step.commands) {
      state = stepRollback(state, world.carryOut(command), nowMs).state;
      // Killed between two commands: what was sent is not written down.
      if (random() < trouble * 0.002) {
        downUntilMs = nowMs + random() * 5_000;
        world.died();
        break;
      }
    }
  }
  return { state, world, tookMs: world.now() };
}

function check({ state, world }: Run): string[] {
  const { primary, replica, named, restarted, intruded, patience } = world.facts();
  const wrong = [...world.broken];
  const must = (holds: boolean, what: string): void => void (holds || wrong.push(what));
  must(state.waitsFor === 'ended', `it still waits for ${state.waitsFor}`);
  must(['done', 'undone', 'refused'].includes(String(state.outcome)), `it ended as ${state.outcome}`);
  const left = state.left.filter(({ kind }) => kind === 'sentinel').length;
  must(patience.filter((value) => value !== '1000').length <= left, 'Sentinels kept our settings');
  if (intruded) return wrong;
  const holder = named.host === primary.at.host ? primary : replica;
  // A primary that was restarted comes with what its own disk held, and its replicas follow.
  if (holder.data !== 'disk' && holder.alive) {
    if (state.outcome === 'done') must(holder.data === 'target', `done, with the data ${holder.data}`);
    else must(holder.data === 'before' || holder.data === 'safety', `${state.outcome}, with the data ${holder.data}`);
  }
  if (primary.alive && !restarted && named.host === primary.at.host && world.now() >= primary.frozenUntilMs) {
    must(primary.role === 'primary', 'the primary was left as a replica');
    must(primary.pausedUntilMs <= world.now() + state.plan.limits.pauseMs, 'the writers stay paused');
  }
  return wrong;
}

describe('rollback, simulated', () => {
  it.each(['sentinel', 'single'] as const)('ends well when nothing goes wrong (%s)', (kind) => {
    const run = simulate(1, worldPlan(kind), 0);
    expect(check(run)).toEqual([]);
    expect(run.state).toMatchObject({ outcome: 'done', left: [], reason: null });
  });

  it('keeps every promise in a thousand troubled worlds', () => {
    const first = seededRandom().integer(0, 2 ** 31);
    const ends = new Map<string, number>();
    for (let at = 0; at < 1_000; at += 1) {
      const seed = first + at;
      const random = seededRandom(seed);
      const plan = worldPlan(random() < 0.75 ? 'sentinel' : 'single', random() < 0.7 ? 'swapdb' : 'plain');
      const run = simulate(seed, plan, random() < 0.5 ? 0.3 : 1);
      const wrong = check(run);
      const story = { seed, wrong, kind: plan.kind, loads: plan.loads, notes: run.state.notes };
      if (wrong.length > 0) throw new Error(JSON.stringify(story));
      ends.set(String(run.state.outcome), (ends.get(String(run.state.outcome)) ?? 0) + 1);
    }
    for (const outcome of ['done', 'undone', 'refused']) expect(ends.get(outcome)).toBeGreaterThan(20);
  });
});
