// Is long work told as it is, cancelled only while that is safe, and bounded?
import { operationSchema, ok, refuse } from '@switchyard/protocol';
import { createLogger, systemClock } from '@switchyard/runtime';
import { createRedisOperations, type OperationPlan } from './redis-operations.ts';

const logger = createLogger('test', { env: { SWITCHYARD_LOG_LEVEL: 'silent' } });
const create = () => createRedisOperations({ clock: systemClock, logger });
const plan = (work: OperationPlan['work']): OperationPlan => ({
  kind: 'rebuild',
  subject: 'main/r2',
  steps: ['look', 'copy'],
  work,
});
const begun = (operations: ReturnType<typeof create>, work: OperationPlan['work']): string => {
  const result = operations.begin(plan(work));
  if (!result.ok) throw new Error(result.error.detail);
  return result.value.id;
};

describe('An operation', () => {
  it('tells its steps, how far it is, and its result', async () => {
    const operations = create();
    const { promise, resolve } = Promise.withResolvers<void>();
    const id = begun(operations, async (run) => {
      run.step('look', 'done', 'fine');
      run.step('copy', 'running');
      run.progress(40, 3);
      await promise;
      run.step('copy', 'done');
      return ok({ bytes: 7 });
    });
    expect(id).toMatch(/^redis-rebuild-/);
    expect(await operations.ended(id, 5)).toMatchObject({ state: 'running', percent: 40, etaSeconds: 3 });
    resolve();
    const end = await operations.ended(id, 5_000);
    expect(operationSchema.parse(end)).toMatchObject({
      state: 'succeeded',
      percent: 100,
      result: { bytes: 7 },
      steps: [
        { name: 'look', state: 'done', detail: 'fine' },
        { name: 'copy', state: 'done' },
      ],
    });
  });

  it('that succeeded does not tell of steps that it did without', async () => {
    const operations = create();
    const id = begun(operations, async (run) => {
      run.step('look', 'done');
      return ok({});
    });
    expect((await operations.ended(id, 5_000))?.steps).toEqual([{ name: 'look', state: 'done', detail: null }]);
  });

  it('tells why it failed, also when it broke', async () => {
    const operations = create();
    const refused = begun(operations, async () => refuse('no_replica', 'nobody is fit'));
    const broke = begun(operations, async () => {
      throw new Error('a defect');
    });
    expect(await operations.ended(refused, 5_000)).toMatchObject({ state: 'failed', problem: { code: 'no_replica' } });
    expect(await operations.ended(broke, 5_000)).toMatchObject({ state: 'failed', problem: { code: 'internal' } });
  });

  it('is cancelled while that is safe, and not any more once it has to be finished', async () => {
    const operations = create();
    const waiting: OperationPlan['work'] = (run) =>
      new Promise((resolve) => {
        run.signal.addEventListener('abort', () => resolve(refuse('cancelled', 'as was wished')));
      });
    const first = begun(operations, waiting);
    expect(operations.cancel(first).ok).toBe(true);
    expect(await operations.ended(first, 5_000)).toMatchObject({ state: 'cancelled' });
    const { promise, resolve } = Promise.withResolvers<void>();
    const second = begun(operations, async (run) => {
      run.commit();
      await promise;
      return ok({});
    });
    expect(operations.cancel(second)).toMatchObject({ ok: false, error: { code: 'conflict' } });
    resolve();
    expect(await operations.ended(second, 5_000)).toMatchObject({ state: 'succeeded' });
    expect(operations.cancel(second)).toMatchObject({ ok: false, error: { code: 'conflict' } });
  });

  it('is refused when too many are under way, and all of them end with the manager', async () => {
    const operations = create();
    const waiting: OperationPlan['work'] = (run) =>
      new Promise((resolve) => {
        run.signal.addEventListener('abort', () => resolve(refuse('cancelled', 'the manager stops')));
      });
    const results = Array.from({ length: 17 }, () => operations.begin(plan(waiting)));
    expect(results.filter((result) => result.ok)).toHaveLength(16);
    expect(results.at(-1)).toMatchObject({ ok: false, error: { code: 'overloaded' } });
    await operations.stop?.();
    expect(operations.list().every(({ state }) => state === 'cancelled')).toBe(true);
  });
});
