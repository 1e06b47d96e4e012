import { ok, refuse, RefusalError } from '@switchyard/protocol';
import { ReplicationLinkError } from '@switchyard/replication-link';
import { manualClock } from '@switchyard/testing';
import { isFinished, type OperationRecord, type StoredBackup } from '@switchyard/backup';
import { createBackupWork, operationOf, type BackupWork, type WorkItem } from './backup-work.ts';
import type { Operations } from '../operations/operations.ts';
import type { BackupTaker } from './take-backup.ts';
import { good, manifestOf, quietLogger } from '../test-fixtures.ts';
import type { BackupVerifier } from './verify-backup.ts';

const label = '20260102T030405.678Z-full';
const backup: StoredBackup = { manifest: manifestOf(label), verification: good };
const never = new AbortController().signal;

function memory(): Operations {
  const records = new Map<string, OperationRecord>();
  return {
    load: () => Promise.resolve(),
    list: () => [...records.values()],
    get: (id) => records.get(id),
    add: (record) => {
      records.set(record.id, record);
      return Promise.resolve(ok(record));
    },
    change: (id, step) => {
      const record = records.get(id);
      if (record) records.set(id, step(record));
      return records.get(id);
    },
    watch: () => undefined,
    settled: () => Promise.resolve(),
  };
}

interface Bench {
  readonly work: BackupWork;
  readonly operations: Operations;
  readonly ended: string[];
}

function bench(parts: { take?: BackupTaker; verify?: BackupVerifier; prune?: () => Promise<string[]> }): Bench {
  const operations = memory();
  const ended: string[] = [];
  const work = createBackupWork({
    operations,
    takeBackup: parts.take ?? (() => Promise.resolve(ok(backup))),
    verifyBackup: parts.verify ?? (() => Promise.resolve(ok({ backup, verification: good, refusal: null }))),
    prune: parts.prune ?? (() => Promise.resolve([])),
    metrics: { refresh: () => Promise.resolve(), ended: (task, state) => void ended.push(`${task} ${state}`) },
    clock: manualClock(),
    logger: quietLogger,
  });
  return { work, operations, ended };
}

const item = (data: unknown, attemptsMade = 0): WorkItem => ({
  id: 'repeat:backup-main:17',
  data,
  attemptsMade,
  opts: { attempts: 3 },
});
const job = { task: 'backup', group: 'main' };
const onlyOperation = ({ operations }: Bench): OperationRecord => {
  const [record, ...more] = operations.list();
  if (record === undefined || more.length > 0) throw new Error(`Not one operation: ${operations.list().length}`);
  return record;
};

describe('backup work', () => {
  it('makes an operation of a scheduled job, under an id that fits into a URL', async () => {
    const one = bench({});
    await one.work.process(item(job), never);
    expect(onlyOperation(one)).toMatchObject({
      id: 'repeat-backup-main-17',
      state: 'succeeded',
      result: { label, state: 'verified', keys: 3, removed: [] },
    });
    expect(one.ended).toEqual(['backup succeeded']);
  });

  it('succeeds although old backups could not be removed', async () => {
    const one = bench({ prune: () => Promise.reject(new Error('EROFS')) });
    await one.work.process(item(job), never);
    expect(onlyOperation(one).state).toBe('succeeded');
  });

  it('waits for another try after a passing failure, and fails with its reason at the last one', async () => {
    const one = bench({
      take: () => Promise.reject(new ReplicationLinkError('no_master_link', 'The source is orphaned.')),
    });
    await expect(one.work.process(item(job, 0), never)).rejects.toThrow('orphaned');
    expect(onlyOperation(one)).toMatchObject({
      state: 'queued',
      steps: [{ detail: 'tried again after: The source is orphaned.' }, {}, {}, {}, {}],
    });
    await expect(one.work.process(item(job, 2), never)).rejects.toThrow('orphaned');
    expect(onlyOperation(one)).toMatchObject({
      state: 'failed',
      refusal: { code: 'backup_failed', why: ['no_master_link'], next: expect.stringContaining('replica') },
    });
    expect(one.ended).toEqual(['backup failed']);
  });

  it('does not try again what will not change', async () => {
    const one = bench({ verify: () => Promise.resolve(refuse('not_found', 'There is no such backup.')) });
    await expect(one.work.process(item({ task: 'verify', label }), never)).resolves.toMatchObject({ state: 'failed' });
    expect(onlyOperation(one)).toMatchObject({ kind: 'verify', subject: label, refusal: { code: 'not_found' } });
  });

  it('reports a corrupt backup as a failure with what was found', async () => {
    const bad = { ...good, ok: false, problem: 'data.rdb.zst: it is missing' };
    const refusal = refuse('backup_corrupt', 'It is not what its manifest says.').error;
    const one = bench({ verify: () => Promise.resolve(ok({ backup, verification: bad, refusal })) });
    await one.work.process(item({ task: 'verify', label }), never);
    expect(onlyOperation(one)).toMatchObject({ state: 'failed', refusal, result: { ok: false, problem: bad.problem } });
  });

  it('hides a defect from callers', async () => {
    const one = bench({ take: () => Promise.reject(new TypeError('x is not a function')) });
    await expect(one.work.process(item(job, 2), never)).rejects.toThrow('in the log');
    expect(JSON.stringify(onlyOperation(one))).not.toContain('x is not');
  });

  it('cancels what runs, and does not begin what was cancelled before its turn', async () => {
    let begun = 0;
    const one = bench({
      take: async (_group, { signal }) => {
        begun += 1;
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('given up'))));
        return ok(backup);
      },
    });
    const cancelled = { refusal: refuse('cancelled', 'It was cancelled.').error };
    const { failOperation } = await import('@switchyard/backup');
    const running = one.work.process(item({ ...job, operation: 'op-1' }), never);
    await new Promise(setImmediate);
    expect(one.work.isRunning('op-1')).toBe(true);
    one.operations.change('op-1', (record) => failOperation(record, cancelled, 5));
    one.work.abort('op-1');
    await expect(running).resolves.toMatchObject({ state: 'cancelled' });
    expect(one.work.isRunning('op-1')).toBe(false);

    await one.work.process(item({ ...job, operation: 'op-1' }), never);
    expect(begun).toBe(1);
    expect(onlyOperation(one).state).toBe('cancelled');
  });

  it('leaves work waiting when the worker stops', async () => {
    const stopping = new AbortController();
    const one = bench({
      take: (_group, { signal }) => {
        stopping.abort(new Error('the worker is stopping'));
        return Promise.reject(signal.reason as Error);
      },
    });
    await expect(one.work.process(item(job, 2), stopping.signal)).rejects.toThrow('stopping');
    expect(onlyOperation(one).state).toBe('queued');
    expect(isFinished(onlyOperation(one))).toBe(false);
  });

  it('lets nonsense in the queue pass without work', async () => {
    const one = bench({ take: () => Promise.reject(new RefusalError({ code: 'internal', detail: 'must not run' })) });
    for (const data of [null, 'x', {}, { task: 'format-disk' }, { task: 'verify', label: '../..' }])
      await expect(one.work.process(item(data), never)).resolves.toEqual({ state: 'refused' });
    expect(one.operations.list()).toEqual([]);
  });
});

describe('operationOf', () => {
  it('names its subject', () => {
    expect(operationOf({ task: 'verify', label }, 'op-2', 1)).toMatchObject({
      id: 'op-2',
      kind: 'verify',
      subject: label,
    });
  });
});
