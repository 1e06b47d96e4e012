import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuse } from '@switchyard/protocol';
import { systemClock } from '@switchyard/runtime';
import { quietLogger } from '../test-fixtures.ts';
import { createOperationRunner, type DirectWork, type OperationRunner } from './operation-runner.ts';
import { createOperations, type Operations } from './operations.ts';

describe('work that needs no queue', () => {
  let directory: string;
  let operations: Operations;
  let runner: OperationRunner;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-runner-'));
    operations = createOperations(directory, quietLogger);
    runner = createOperationRunner({ operations, clock: systemClock, logger: quietLogger });
  });
  afterEach(async () => {
    await runner.stop?.();
    await rm(directory, { recursive: true, force: true });
  });

  const begin = async (run: DirectWork['run']): Promise<string> => {
    const begun = await runner.begin({ kind: 'test', subject: 'main', plan: [{ name: 'all', weight: 1 }], run });
    if (!begun.ok) throw new Error(begun.error.detail);
    return begun.value.id;
  };

  it('ends with its result', async () => {
    const id = await begin(async ({ report }) => {
      report(0, { fraction: 0.5, detail: 'half' });
      return { ok: true, value: { keys: 3 } };
    });
    await runner.ended(id);

    expect(operations.get(id)).toMatchObject({ state: 'succeeded', result: { keys: 3 } });
  });

  it('ends with its refusal, and with what it found all the same', async () => {
    const id = await begin(async () => ({ ...refuse('not_restorable', 'no such moment'), result: { nearest: 7 } }));
    await runner.ended(id);

    expect(operations.get(id)).toMatchObject({
      state: 'failed',
      refusal: { code: 'not_restorable' },
      result: { nearest: 7 },
    });
  });

  it('is cancelled by its signal', async () => {
    const id = await begin(async ({ signal }) => {
      await systemClock.sleep(60_000, signal);
      return { ok: true, value: {} };
    });

    expect(runner.cancel(id)).toBe(true);
    await runner.ended(id);

    expect(operations.get(id)?.state).toBe('cancelled');
    expect(runner.cancel(id)).toBe(false);
  });

  it('says how it ended when it could not be cut off any more', async () => {
    const id = await begin(async ({ signal }) => {
      await systemClock.sleep(20, new AbortController().signal);
      return { ok: true, value: { aborted: signal.aborted } };
    });

    runner.cancel(id);
    await runner.ended(id);

    expect(operations.get(id)).toMatchObject({ state: 'succeeded', result: { aborted: true } });
  });

  it('keeps a defect out of sight, and goes on', async () => {
    const id = await begin(async () => {
      throw new TypeError('secret');
    });
    await runner.ended(id);

    expect(operations.get(id)).toMatchObject({ state: 'failed', refusal: { code: 'internal' } });
    expect(JSON.stringify(operations.get(id))).not.toContain('secret');
  });
});
