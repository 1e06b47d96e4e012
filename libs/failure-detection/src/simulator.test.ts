import { seededRandom } from '@switchyard/testing';
import type { CatalogFacts } from './index.ts';
import { randomSchedule } from './schedule-fixture.ts';
import type { Schedule } from './schedule-fixture.ts';
import { simulate } from './simulator-fixture.ts';
import type { Sabotage } from './simulator-fixture.ts';

/** About 0.5 ms each. */
const SCHEDULES = 100_000;
/** With a guard taken away, the first violation comes long before. */
const SABOTAGED = 20_000;
const DEADLINE_MS = 900_000;

const { seed } = seededRandom();

interface Violation {
  /** As SWITCHYARD_TEST_SEED it makes this schedule the first one. */
  readonly seed: number;
  readonly violations: readonly string[];
  readonly schedule: Schedule;
}

/** The first violation among so many schedules, each of a seed of its own. */
function firstViolation(count: number, sabotage?: Sabotage): Violation | undefined {
  for (let n = 0; n < count; n += 1) {
    const random = seededRandom(seed + n);
    const schedule = randomSchedule(random);
    const violations = simulate(schedule, random, sabotage);
    if (violations.length > 0) return { seed: random.seed, violations, schedule };
  }
  return undefined;
}

describe(`a fleet in which heartbeats get lost, clocks step and everything stalls (SWITCHYARD_TEST_SEED=${seed})`, () => {
  it(
    `keeps every invariant in ${SCHEDULES} schedules`,
    () => {
      expect(firstViolation(SCHEDULES)).toBeUndefined();
    },
    DEADLINE_MS,
  );

  const alone = (facts: CatalogFacts): CatalogFacts => ({ ...facts, count: () => ({ recorded: 1, living: 1 }) });
  it.each<[string, Sabotage, RegExp]>([
    ['grace', { settings: { maxGapMs: Infinity, lateSweepMs: Infinity } }, /I1/],
    ['mistrust of a late sweep', { settings: { lateSweepMs: Infinity } }, /I1/],
    ['guard of crowds', { settings: { crowdMinimum: Infinity } }, /I2/],
    ['guard of the last one', { facts: alone }, /I3/],
    ['registration of the unknown', { deafToBeats: true }, /in the end: .* is alive, but/],
    ['fence', { unfenced: true }, /I6|heard/],
  ])(
    'notices when the %s is missing',
    (_guard, sabotage, violation) => {
      expect(firstViolation(SABOTAGED, sabotage)?.violations.join()).toMatch(violation);
    },
    DEADLINE_MS,
  );
});
