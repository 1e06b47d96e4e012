// Thousands of switchovers in a model world with lost commands, lost answers, slow and frozen nodes, dead managers, and
// failovers of Sentinel's own; what must never happen is checked at every step.
import { createWorld } from './switchover-world-fixture.ts';
import { tickMs, type World } from './switchover-world-parts-fixture.ts';
import { switchoverWaits, type SwitchoverState } from './switchover-plan.ts';
import { planOf } from './switchover-plan-fixture.ts';
import { beginSwitchover, stepSwitchover } from './switchover.ts';

// mulberry32; a domain library has no test helpers of other libraries.
const randomOf = (seed: number) => {
  let state = seed >>> 0;
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};
/** The process that carries the machine: a look, a step, commands whose answers come later or never. */
class Manager {
  journal: string;
  state: SwitchoverState;
  down = false;
  upAtMs = 0;
  private readonly world: World;
  private readonly random: () => number;
  private readonly lossy: number;
  private generation = 0;
  private readonly outstanding = new Map<string, number>();

  constructor(world: World, random: () => number, lossy: number) {
    this.world = world;
    this.random = random;
    this.lossy = lossy;
    this.state = beginSwitchover(planOf(world), world.nowMs);
    this.journal = JSON.stringify(this.state);
  }

  kill(forMs: number): void {
    this.down = true;
    this.generation += 1;
    this.outstanding.clear();
    this.upAtMs = this.world.nowMs + forMs;
  }

  turn(): void {
    if (this.state.waitsFor === 'ended' && !this.down) return;
    if (this.down) {
      if (this.world.nowMs < this.upAtMs) return;
      this.down = false;
      this.state = stepSwitchover(
        JSON.parse(this.journal) as SwitchoverState,
        { type: 'resume' },
        this.world.nowMs,
      ).state;
    }
    for (const [key, atMs] of this.outstanding) {
      if (this.world.nowMs - atMs < 300) continue;
      this.outstanding.delete(key);
      this.feed({ type: 'answer', key, outcome: 'lost', detail: 'no answer' });
    }
    const before = this.state.waitsFor;
    const { commands } = this.feed({ type: 'look', look: this.world.look() });
    if (this.state.waitsFor !== before) this.journal = JSON.stringify(this.state);
    for (const command of commands) {
      this.outstanding.set(command.key, this.world.nowMs);
      if (this.random() < this.lossy) continue;
      const { generation } = this;
      const send = (): void =>
        this.world.deliver(command, (outcome, detail) => {
          if (this.random() < this.lossy || this.generation !== generation || !this.outstanding.delete(command.key))
            return;
          this.feed({ type: 'answer', key: command.key, outcome, detail });
        });
      send();
    }
  }

  private feed(input: Parameters<typeof stepSwitchover>[1]): ReturnType<typeof stepSwitchover> {
    const result = stepSwitchover(this.state, input, this.world.nowMs);
    this.state = result.state;
    return result;
  }
}

type Fault =
  | 'none'
  | 'kill-manager'
  | 'freeze-target'
  | 'freeze-other'
  | 'freeze-old'
  | 'kill-old'
  | 'kill-target'
  | 'freeze-acting'
  | 'kill-acting'
  | 'own-failover'
  | 'lossy';
const faults: readonly Fault[] = [
  'none',
  'kill-manager',
  'kill-manager',
  'freeze-target',
  'freeze-other',
  'freeze-old',
  'kill-old',
  'kill-target',
  'freeze-acting',
  'kill-acting',
  'own-failover',
  'lossy',
];

const leisurely: ReadonlySet<string> = new Set([
  'named',
  'heir-known',
  'settings-restored',
  'settings-undone',
  'promotion-forgotten',
]);

interface Run {
  readonly world: World;
  readonly manager: Manager;
  readonly story: readonly string[];
  readonly endedAfterMs: number;
}

const run = (seed: number, only?: Fault): Run => {
  const random = randomOf(seed);
  const world = createWorld(random);
  const picked = only === undefined ? [faults[Math.floor(random() * faults.length)] ?? 'none'] : [only];
  if (only === undefined && random() < 0.4) picked.push(faults[Math.floor(random() * faults.length)] ?? 'none');
  const manager = new Manager(world, random, picked.includes('lossy') ? 0.15 : 0);
  // A fault strikes a moment after some step has begun.
  const due = picked.map((fault) => ({
    fault,
    step: switchoverWaits[Math.floor(random() * switchoverWaits.length)] ?? 'promoted',
    delayMs: Math.floor(random() * random() * 15) * tickMs,
    atMs: Infinity,
  }));
  const story: string[] = [];
  const [r1, r2, r3] = world.nodes;
  const [s1] = world.sentinels;
  if (r1 === undefined || r2 === undefined || r3 === undefined || s1 === undefined) throw new Error('no world');
  const freeze = (one: { frozenUntilMs: number; frozenSinceMs?: number }): void => {
    one.frozenUntilMs = world.nowMs + 100 + Math.floor(random() * 6_000);
    if (one.frozenSinceMs !== undefined) one.frozenSinceMs = world.nowMs;
  };
  const strike = (fault: Fault): void => {
    story.push(`${String(world.nowMs)} ${fault} at ${manager.state.waitsFor}`);
    const hit = fault.endsWith('target') ? r2 : fault.endsWith('other') ? r3 : null;
    // By then it may be primary itself: what it loses is not lost by us.
    if (hit?.role === 'primary') world.excused = true;
    if (fault === 'kill-manager') manager.kill(200 + random() * 3_000);
    if (fault === 'freeze-target') freeze(r2);
    if (fault === 'freeze-other') freeze(r3);
    if (fault === 'freeze-acting') freeze(s1);
    if (fault === 'kill-acting') s1.alive = false;
    if (fault === 'kill-target') r2.alive = false;
    if (fault === 'freeze-old' || fault === 'kill-old') {
      world.excused = true;
      if (fault === 'freeze-old') freeze(r1);
      else {
        r1.alive = false;
        r1.frozenSinceMs = world.nowMs;
      }
    }
    if (fault === 'own-failover' && s1.failover === null) {
      world.excused = true;
      world.beginFailover(world.sentinels[1] ?? s1, false);
    }
  };
  let waits = '';
  const endMs = 75_000;
  let endedAtMs = Infinity;
  let calmMs = 0;
  while (world.nowMs < endMs && world.nowMs < endedAtMs + 16_000) {
    for (const one of due) {
      if (one.atMs === Infinity && one.step === manager.state.waitsFor) one.atMs = world.nowMs + one.delayMs;
      if (one.atMs !== world.nowMs || manager.state.waitsFor === 'ended') continue;
      strike(one.fault);
    }
    world.tick();
    // Where nothing is urgent a manager under load looks less often.
    if (!leisurely.has(manager.state.waitsFor) || world.nowMs % (6 * tickMs) === 0) manager.turn();
    // A Sentinel that falls silent with the promotion in hand may promote later, under writers that had to be released.
    const { waitsFor, promotionAsked, aborted } = manager.state;
    world.uncertain ||= waitsFor === 'promotion-forgotten';
    // And when a replica is away at the same time, the bound that holds the old primary cannot be kept.
    world.excused ||= waitsFor === 'settings-undone' && promotionAsked && !aborted;
    if (manager.state.waitsFor !== waits) story.push(`${String(world.nowMs)} ${(waits = manager.state.waitsFor)}`);
    if (manager.state.waitsFor === 'ended') endedAtMs = Math.min(endedAtMs, world.nowMs);
    calmMs = world.isCalm() ? calmMs + tickMs : 0;
    if (endedAtMs < Infinity && calmMs > 400 && world.nowMs > endedAtMs + 400) break;
  }
  return { world, manager, story, endedAfterMs: endedAtMs };
};

const judge = ({ world, manager, endedAfterMs }: Run): readonly string[] => {
  const found = [...new Set(world.violations)].slice(0, 10);
  const { state } = manager;
  if (state.waitsFor !== 'ended') found.push(`it never ended: ${state.waitsFor}`);
  if (endedAfterMs > 60_000) found.push(`it took ${String(endedAfterMs)} ms`);
  for (const setting of state.plan.saved) {
    if (state.left.some(({ at, name }) => at.port === setting.at.port && name === setting.name)) continue;
    const node = world.nodes.find(({ at }) => at.port === setting.at.port);
    const sentinel = world.sentinels.find(({ at }) => at.port === setting.at.port);
    const now =
      setting.kind === 'config'
        ? node?.config.get(setting.name)
        : String(setting.name === 'INFO-PERIOD' ? sentinel?.infoPeriodMs : sentinel?.failoverTimeoutMs);
    if ((node?.alive ?? sentinel?.alive) === true && now !== setting.value)
      found.push(`${setting.name} of ${setting.at.name} is ${String(now)}`);
  }
  const writable = world.nodes.filter(
    (node) => node.alive && node.role === 'primary' && world.nowMs >= node.frozenUntilMs,
  );
  if (writable.length > 1) found.push(`several primaries at the end: ${writable.map(({ at }) => at.name).join()}`);
  if (world.nodes.some((node) => node.pausedUntilMs > world.nowMs)) found.push('a pause was left');
  const final = world.named();
  if (final !== null && final.alive && !world.excused) {
    const kept = new Set(final.log);
    const lost = [...world.acked.keys()].filter((id) => !kept.has(id));
    if (lost.length > (world.uncertain ? 24 : 0)) found.push(`${String(lost.length)} acknowledged writes are lost`);
    if (state.outcome === 'switched' && final.at.port !== state.heir?.port) found.push('somebody else is primary');
  }
  if (!world.nodes.some((node) => node.log.length > 0)) found.push('every copy is gone');
  return found;
};

describe('a simulated switchover', () => {
  it('without faults moves the role, loses nothing, and copies nobody anew', () => {
    const result = run(7, 'none');
    expect(judge(result)).toEqual([]);
    expect(result.manager.state).toMatchObject({
      outcome: 'switched',
      level: true,
      fencedInTime: true,
      notes: expect.any(Array),
      left: [],
    });
    expect(result.world.nodes.map(({ fullSyncs }) => fullSyncs)).toEqual([0, 0, 0]);
  });

  it('keeps its promises in 10,000 schedules with faults', () => {
    const first = Number(process.env['SWITCHYARD_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    const count =
      process.env['SWITCHYARD_TEST_SEED'] === undefined ? 10_000 : Number(process.env['SWITCHYARD_TEST_RUNS'] ?? 1);
    const outcomes: Record<string, number> = {};
    for (let seed = first; seed < first + count; seed += 1) {
      const result = run(seed);
      const found = judge(result);
      const story = [...result.story, ...result.manager.state.notes].join('\n');
      if (found.length > 0) throw new Error(`seed ${String(seed)}: ${found.join('; ')}\n${story}`);
      const { outcome } = result.manager.state;
      outcomes[outcome ?? 'none'] = (outcomes[outcome ?? 'none'] ?? 0) + 1;
    }
    // Each way out is met; otherwise the faults are too tame to prove anything.
    const least = Math.min(...['switched', 'undone', 'superseded'].map((outcome) => outcomes[outcome] ?? 0));
    expect(least).toBeGreaterThanOrEqual(Math.floor(count / 100));
  }, 300_000);
});
