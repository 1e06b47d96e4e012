import { seededRandom } from '@switchyard/testing';
import { learnWeights } from './operation-eta.ts';
import {
  advanceOperation,
  queuedOperation,
  startOperation,
  succeedOperation,
  viewOperation,
  type OperationRecord,
  type PlannedStep,
} from './operation.ts';

const t0 = 1_767_323_045_678;
const plan = [
  { name: 'wait', weight: 8 },
  { name: 'copy', weight: 40 },
  { name: 'prove', weight: 45 },
];

/** A step of a run: how long it takes, and what fraction it has reported after a part of that time. */
interface Phase {
  readonly ms: number;
  readonly everyMs?: number;
  readonly curve?: (part: number) => number;
}

const linear = (part: number): number => part;
const begin = (steps: readonly PlannedStep[]): OperationRecord =>
  startOperation(queuedOperation({ id: 'op', kind: 'backup', subject: 'main', plan: steps }, t0), t0);

/** Plays a run and compares what was promised with what came, from `fromPart` of the whole on. */
function worstError(start: OperationRecord, phases: readonly Phase[], fromPart: number) {
  const totalMs = phases.reduce((sum, { ms }) => sum + ms, 0);
  let record = start;
  let beganMs = 0;
  let worst = 0;
  let promises = 0;
  phases.forEach(({ ms, everyMs = 200, curve = linear }, step) => {
    for (let inStep = 0; inStep < ms; inStep += 100) {
      const nowMs = beganMs + inStep;
      if (inStep % everyMs === 0)
        record = advanceOperation(record, step, { fraction: curve(inStep / ms), atMs: t0 + nowMs });
      if (nowMs < totalMs * fromPart) continue;
      const { etaSeconds } = viewOperation(record, t0 + nowMs);
      const leftMs = totalMs - nowMs;
      // Rounded up to seconds: what is nearly over is not judged by it.
      if (leftMs < 10_000) continue;
      promises += 1;
      worst = Math.max(worst, etaSeconds === null ? 9 : Math.abs(etaSeconds * 1_000 - 500 - leftMs) / leftMs);
    }
    beganMs += ms;
  });
  return { worst, promises, record: succeedOperation(record, {}, t0 + totalMs) };
}

const learned = (phases: readonly Phase[]): OperationRecord =>
  learnWeights(begin(plan), [worstError(begin(plan), phases, 1).record]);

describe('the remaining time', () => {
  const single = [{ name: 'copy', weight: 1 }];
  it.each<[string, readonly Phase[], number]>([
    ['a steady pace', [{ ms: 60_000 }], 0.05],
    ['reports every 3 s', [{ ms: 120_000, everyMs: 3_000 }], 0.1],
    ['a wait before the first byte', [{ ms: 60_000, curve: (part) => Math.max(0, (part - 0.1) / 0.9) }], 0.15],
    ['jumps of a tenth', [{ ms: 200_000, curve: (part) => Math.floor(part * 40) / 40 }], 0.2],
    [
      'a pace that halves early',
      [{ ms: 90_000, curve: (part) => (part < 0.2 ? part * 1.8 : 0.36 + (part - 0.2) * 0.8) }],
      0.5,
    ],
  ])('is within 20 %% of the truth with %s', (_title, phases, fromPart) => {
    const { worst, promises } = worstError(begin(single), phases, fromPart);
    expect(promises).toBeGreaterThan(100);
    expect(worst).toBeLessThan(0.2);
  });

  it('is within 20 % over several steps, once the same work was done before, and for other sizes, too', () => {
    const phases = [{ ms: 5_000, curve: () => 0 }, { ms: 40_000 }, { ms: 25_000 }];
    const again = worstError(learned(phases), phases, 0);
    expect(again.worst).toBeLessThan(0.2);
    const twice = [{ ms: 5_000, curve: () => 0 }, { ms: 80_000 }, { ms: 50_000 }];
    expect(worstError(learned(phases), twice, 0.1).worst).toBeLessThan(0.2);
  });

  it('is within 20 % where a part of a step says nothing of itself, once that was seen', () => {
    // Recorded with a million keys: loading reports up to 0.7, and then two thirds of the time go into the digest.
    const proving = (part: number): number => Math.min(0.7, part * 2);
    const phases = [{ ms: 500 }, { ms: 20_000 }, { ms: 60_000, curve: proving }];
    expect(worstError(learned(phases), phases, 0).worst).toBeLessThan(0.2);
    const slower = [{ ms: 500 }, { ms: 30_000 }, { ms: 90_000, curve: proving }];
    expect(worstError(learned(phases), slower, 0.15).worst).toBeLessThan(0.2);
  });

  it('is within 20 % for a pace that trembles (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 20; round += 1) {
      const paces = Array.from({ length: 400 }, () => 0.7 + random() * 0.6);
      const sum = paces.reduce((total, pace) => total + pace, 0);
      const reached: number[] = [];
      paces.reduce((total, pace) => {
        reached.push(total / sum);
        return total + pace;
      }, 0);
      const curve = (part: number): number => reached[Math.floor(part * reached.length)] ?? 1;
      const { worst } = worstError(begin(single), [{ ms: 80_000, curve }], 0.2);
      expect({ seed: random.seed, round, isClose: worst < 0.2 }).toEqual({ seed: random.seed, round, isClose: true });
    }
  });

  it('grows while nothing moves, and is not promised before there is anything to measure', () => {
    let record = begin(single);
    expect(viewOperation(record, t0 + 5_000).etaSeconds).toBeNull();
    record = advanceOperation(record, 0, { fraction: 0, atMs: t0 });
    expect(viewOperation(record, t0 + 5_000).etaSeconds).toBeNull();
    for (let ms = 200; ms <= 10_000; ms += 200)
      record = advanceOperation(record, 0, { fraction: ms / 20_000, atMs: t0 + ms });
    expect(viewOperation(record, t0 + 10_000).etaSeconds).toBe(10);
    const stalled = viewOperation(record, t0 + 60_000).etaSeconds ?? 0;
    expect(stalled).toBeGreaterThan(60);
  });

  it('keeps few samples, however often it is told', () => {
    let record = begin(single);
    for (let ms = 0; ms < 100_000; ms += 10)
      record = advanceOperation(record, 0, { fraction: ms / 100_000, atMs: t0 + ms });
    expect(record.steps[0]?.samples?.length).toBeLessThanOrEqual(40);
    expect(viewOperation(record, t0 + 50_000 + 50_000).etaSeconds).toBeLessThan(2);
    expect(succeedOperation(record, {}, t0).steps[0]?.samples?.length).toBeLessThanOrEqual(40);
  });

  it('learns only from the same steps of the same kind that succeeded', () => {
    const done = worstError(begin(plan), [{ ms: 100 }, { ms: 4_000 }, { ms: 900 }], 1).record;
    const weights = (from: OperationRecord): number[] =>
      learnWeights(begin(plan), [from]).steps.map((one) => one.weight);
    expect(weights(done)).toEqual([100, 4_000, 900]);
    expect(weights({ ...done, kind: 'verify' })).toEqual([8, 40, 45]);
    expect(weights({ ...done, state: 'failed' })).toEqual([8, 40, 45]);
    expect(weights({ ...done, steps: done.steps.slice(1) })).toEqual([8, 40, 45]);
  });
});
