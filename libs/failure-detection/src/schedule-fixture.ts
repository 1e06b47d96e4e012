// What can go wrong within a few seconds? Random schedules of faults for the simulator: everything that ever took a registry down.
import type { SeededRandom } from '@switchyard/testing';

export type Fault =
  /** heartbeats get lost on their way, each with this chance */
  | { readonly type: 'loss'; readonly fromMs: number; readonly untilMs: number; readonly percent: number }
  | { readonly type: 'pause-instance'; readonly who: number; readonly fromMs: number; readonly untilMs: number }
  /** `keepsDecision`: it stalls for so long when it has decided something, before the commit */
  | {
      readonly type: 'pause-monitor';
      readonly who: number;
      readonly fromMs: number;
      readonly untilMs: number;
      readonly keepsDecision: boolean;
    }
  | { readonly type: 'pause-redis'; readonly fromMs: number; readonly untilMs: number }
  | { readonly type: 'step-clock'; readonly atMs: number; readonly byMs: number }
  /** a replica takes over that lacks the last second; `fromMs` to `atMs` nobody answers. `heals`: readers know what was lost */
  | { readonly type: 'failover'; readonly fromMs: number; readonly atMs: number; readonly heals: boolean }
  | { readonly type: 'wipe'; readonly atMs: number; readonly heals: boolean }
  /** `refuses`: its host lives on and says so */
  | { readonly type: 'die'; readonly who: number; readonly atMs: number; readonly refuses: boolean }
  /** silent, but alive */
  | {
      readonly type: 'partition';
      readonly who: readonly number[];
      readonly fromMs: number;
      readonly untilMs: number;
      readonly probes: 'answered' | 'timeout';
    }
  | { readonly type: 'doubt'; readonly who: number; readonly atMs: number; readonly witness: string };

export interface PlannedInstance {
  readonly service: string;
  readonly id: string;
  /** by its kind, a process that hangs answers a probe (its system accepts), or does not, or wants none */
  readonly check: 'tcp' | 'http' | 'none';
  /** ms by which its first heartbeat is late, so that not all come at once */
  readonly phaseMs: number;
}

export interface Schedule {
  readonly ttlMs: number;
  readonly instances: readonly PlannedInstance[];
  /** sorted by nothing; each says when */
  readonly faults: readonly Fault[];
  /** nothing goes wrong after this */
  readonly calmFromMs: number;
}

/** Before it, everybody registers and the monitors' first grace passes. */
const QUIET_MS = 1_500;
const STEP_MS = 3_600_000;

function randomFault(random: SeededRandom, count: number, untilMs: number): Fault {
  const who = random.integer(0, count - 1);
  const atMs = random.integer(QUIET_MS, untilMs);
  const ends = (longestMs: number) => ({ fromMs: atMs, untilMs: atMs + random.integer(50, longestMs) });
  const type = random.integer(0, 11);
  switch (type) {
    case 0:
      return { type: 'loss', ...ends(2_000), percent: random.pick([10, 30, 60, 90]) };
    case 1:
      return { type: 'pause-instance', who, ...ends(2_500) };
    case 2: {
      const keepsDecision = random() < 0.5;
      // a decision that is kept is late for the lease of 500 ms
      const pause = ends(2_500);
      const untilAtLeastMs = keepsDecision ? atMs + 700 : 0;
      const shape = { ...pause, untilMs: Math.max(pause.untilMs, untilAtLeastMs), keepsDecision };
      return { type: 'pause-monitor', who: random.integer(0, 1), ...shape };
    }
    case 3:
      return { type: 'pause-redis', ...ends(2_500) };
    case 4:
      return { type: 'step-clock', atMs, byMs: random.pick([STEP_MS, -STEP_MS]) };
    case 5:
      return { type: 'failover', fromMs: atMs, atMs: atMs + random.pick([0, 200, 1_500]), heals: random() < 0.5 };
    case 6:
      return { type: 'wipe', atMs, heals: random() < 0.5 };
    case 7:
    case 8:
      return { type: 'die', who, atMs, refuses: random() < 0.7 };
    case 9:
    case 10: {
      const some = Array.from({ length: count }, (_, i) => i).filter(() => random() < 0.6);
      return { type: 'partition', who: some, ...ends(3_000), probes: random.pick(['answered', 'timeout']) };
    }
    default:
      return { type: 'doubt', who, atMs, witness: `d${random.integer(1, 3)}` };
  }
}

/** A fleet of up to seven, and up to four things that go wrong with it. */
export function randomSchedule(random: SeededRandom): Schedule {
  const sizes = random.pick([[1], [2], [3], [5], [1, 4], [2, 3], [5, 2]]);
  const kinds = ['tcp', 'tcp', 'http', 'none'] as const;
  const instances = sizes.flatMap((size, service) =>
    Array.from({ length: size }, (_, i) => ({
      service: `s${service}`,
      id: `i${i}`,
      check: random.pick(kinds),
      phaseMs: 50 * random.integer(0, 3),
    })),
  );
  const lastMs = QUIET_MS + random.integer(500, 2_500);
  const faults = Array.from({ length: random.integer(1, 4) }, () => randomFault(random, instances.length, lastMs));
  const ends = faults.map((fault) => ('untilMs' in fault ? fault.untilMs : fault.atMs));
  return { ttlMs: random.pick([500, 700]), instances, faults, calmFromMs: Math.max(...ends) + 50 };
}
