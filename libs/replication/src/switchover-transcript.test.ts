// Transcripts of switchovers: what is seen and what is sent, as text that can be read. To accept what the machine says now, run
// with SWITCHYARD_ACCEPT_TRANSCRIPTS=1 and read the difference.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createWorld } from './switchover-world-fixture.ts';
import type { World } from './switchover-world-parts-fixture.ts';
import { planOf } from './switchover-plan-fixture.ts';
import { beginSwitchover, stepSwitchover } from './switchover.ts';

const directory = new URL('transcripts/', import.meta.url);

/** Runs one switchover; `meddle` is told the step and may break something once. */
const transcriptOf = (meddle: (world: World, waitsFor: string) => void): string => {
  const world = createWorld(() => 0.04);
  let state = beginSwitchover(planOf(world), 0);
  const lines: string[] = [];
  let waits = '';
  while (state.waitsFor !== 'ended' && world.nowMs < 60_000) {
    world.tick();
    if (state.waitsFor !== waits) {
      waits = state.waitsFor;
      lines.push(`${String(world.nowMs).padStart(5)}  waits for ${waits}`);
    }
    meddle(world, waits);
    const step = stepSwitchover(state, { type: 'look', look: world.look() }, world.nowMs);
    state = step.state;
    for (const command of step.commands) {
      const words = command.type === 'redis' ? command.words.join(' ') : command.type;
      lines.push(`${String(world.nowMs).padStart(5)}    ${command.at.name} < ${words}`);
      world.deliver(command, (outcome, detail) => {
        state = stepSwitchover(state, { type: 'answer', key: command.key, outcome, detail }, world.nowMs).state;
      });
    }
  }
  for (const note of state.notes) lines.push(`       | ${note}`);
  lines.push(`       ${state.outcome ?? 'not ended'}: ${state.heir?.name ?? state.plan.from.name} is primary`);
  return `${lines.join('\n')}\n`;
};

const stories: Readonly<Record<string, (world: World, waitsFor: string) => void>> = {
  'switchover-calm': () => undefined,
  'switchover-frozen-target': (world, waitsFor) => {
    const target = world.nodes[1];
    if (waitsFor !== 'replicas-level' || target === undefined || target.frozenUntilMs > 0) return;
    target.frozenSinceMs = world.nowMs;
    target.frozenUntilMs = world.nowMs + 3_000;
  },
  'switchover-frozen-after-the-order': (world, waitsFor) => {
    const target = world.nodes[1];
    // The Sentinel has taken the order, and has not carried it out.
    const ordered = world.sentinels[0]?.failover?.stage === 'start';
    if (waitsFor !== 'promoted' || !ordered || target === undefined || target.frozenUntilMs > 0) return;
    target.frozenSinceMs = world.nowMs;
    target.frozenUntilMs = world.nowMs + 3_000;
  },
  'switchover-primary-dies': (world, waitsFor) => {
    const primary = world.nodes[0];
    if (waitsFor !== 'replicas-level' || primary?.alive !== true) return;
    primary.alive = false;
    primary.frozenSinceMs = world.nowMs;
    world.excused = true;
  },
};

describe('the transcript of a switchover', () => {
  it.each(Object.keys(stories))('%s is as it was', (name) => {
    const told = transcriptOf(stories[name] ?? ((): void => undefined));
    const file = new URL(`${name}.switchover`, directory);
    if (process.env['SWITCHYARD_ACCEPT_TRANSCRIPTS'] === '1') writeFileSync(file, told);
    expect(existsSync(file)).toBe(true);
    expect(told).toBe(readFileSync(file, 'utf8'));
    expect(told).not.toContain('not ended');
  });
});
