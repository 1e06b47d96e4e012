import { operationSchema, type Refusal } from '@switchyard/protocol';
import { seededRandom } from '@switchyard/testing';
import {
  advanceOperation,
  backupPlan,
  failOperation,
  forgettable,
  interruptOperation,
  isFinished,
  percentOf,
  queuedOperation,
  startOperation,
  succeedOperation,
  verifyPlan,
  viewOperation,
  type OperationRecord,
} from './operation.ts';

const nowMs = 1_767_323_045_678;
const broken: Refusal = { code: 'backup_failed', detail: 'The source went away.' };
const cancelled: Refusal = { code: 'cancelled', detail: 'Cancelled by a person.' };
const plan = [
  { name: 'first', weight: 1 },
  { name: 'second', weight: 3 },
];
const queued = queuedOperation({ id: 'op-1', kind: 'backup', subject: 'main', plan }, nowMs);
const running = startOperation(queued, nowMs);

describe('an operation', () => {
  it('weighs its steps and says 100 only when it has succeeded', () => {
    const percents = [
      queued,
      running,
      advanceOperation(running, 0, { fraction: 0.5 }),
      advanceOperation(running, 1, {}),
      advanceOperation(running, 1, { fraction: 0.5 }),
      advanceOperation(running, 1, { fraction: 1 }),
      succeedOperation(running, {}, nowMs),
    ].map(percentOf);
    expect(percents).toEqual([0, 0, 12, 25, 62, 99, 100]);
  });

  it('guesses the remaining time from the time it took so far, once there is something to measure', () => {
    const half = advanceOperation(running, 1, { fraction: 1 / 3 });
    expect(viewOperation(half, nowMs + 10_000)).toMatchObject({ percent: 50, etaSeconds: 10 });
    expect(viewOperation(half, nowMs + 100).etaSeconds).toBeNull();
    expect(viewOperation(running, nowMs + 10_000).etaSeconds).toBeNull();
    expect(viewOperation(succeedOperation(half, {}, nowMs), nowMs + 10_000).etaSeconds).toBeNull();
  });

  it('tells a failure as a problem and marks the step it failed in', () => {
    const failed = viewOperation(
      failOperation(advanceOperation(running, 1, { detail: 'r2' }), { refusal: broken }, nowMs + 5),
      nowMs + 9,
    );
    expect(failed).toMatchObject({
      state: 'failed',
      finishedAt: '2026-01-02T03:04:05.683Z',
      steps: [
        { name: 'first', state: 'done' },
        { name: 'second', state: 'failed', detail: 'r2' },
      ],
      problem: { code: 'backup_failed', status: 502, instance: '/v1/operations/op-1' },
    });
    expect(viewOperation(failOperation(queued, { refusal: cancelled }, nowMs), nowMs)).toMatchObject({
      state: 'cancelled',
      startedAt: null,
    });
  });

  it('waits when it was interrupted, says why, and begins anew when it is tried again', () => {
    const waiting = interruptOperation(advanceOperation(running, 1, { fraction: 0.9 }), 'no replica is fit');
    expect(viewOperation(waiting, nowMs)).toMatchObject({
      state: 'queued',
      percent: 0,
      startedAt: null,
      steps: [{ detail: 'no replica is fit' }, { state: 'waiting', detail: null }],
    });
    const again = startOperation(waiting, nowMs + 60_000);
    expect(again).toEqual({ ...running, startedAtMs: nowMs + 60_000 });
    const ended = succeedOperation(running, {}, nowMs);
    expect(interruptOperation(ended, 'x')).toBe(ended);
  });

  it('never goes backwards, never leaves an end, and always fits its contract (random)', () => {
    const random = seededRandom();
    for (let round = 0; round < 300; round += 1) {
      let record: OperationRecord = startOperation(
        queuedOperation(
          { id: 'op', kind: 'k', subject: 's', plan: random.pick([backupPlan, verifyPlan, plan]) },
          nowMs,
        ),
        nowMs,
      );
      for (let step = 0; step < 20; step += 1) {
        const before = record;
        const context = { seed: random.seed, round, step };
        const dice = random.integer(0, 20);
        if (dice === 0) record = succeedOperation(record, { label: 'x' }, nowMs + step);
        else if (dice === 1)
          record = failOperation(record, { refusal: random.pick([broken, cancelled]) }, nowMs + step);
        else record = advanceOperation(record, random.integer(0, 4), { fraction: random() * 3 - 1 });
        if (isFinished(before)) expect({ ...context, record }).toEqual({ ...context, record: before });
        expect({ ...context, back: percentOf(record) < percentOf(before) }).toEqual({ ...context, back: false });
        expect({
          ...context,
          ok: operationSchema.safeParse(viewOperation(record, nowMs + step * 1_000)).success,
        }).toEqual({ ...context, ok: true });
      }
    }
  });
});

describe('forgettable', () => {
  it('lets the oldest finished ones go and never unfinished work', () => {
    const finished = (id: string, atMs: number): OperationRecord => ({ ...succeedOperation(running, {}, atMs), id });
    const records = [finished('new', 9), { ...running, id: 'busy' }, finished('old', 1), finished('older', 0)];
    expect(forgettable(records, 4)).toEqual([]);
    expect(forgettable(records, 2)).toEqual(['older', 'old']);
    expect(forgettable(records, 0)).toEqual(['older', 'old', 'new']);
  });
});
