import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { advanceOperation, startOperation, succeedOperation, viewOperation } from '@switchyard/backup';
import { operationOf } from '../backups/backup-work.ts';
import { createOperations, type Operations } from './operations.ts';
import { quietLogger } from '../test-fixtures.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchyard-test-operations-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const open = async (): Promise<Operations> => {
  const operations = createOperations(directory, quietLogger);
  await operations.load();
  return operations;
};
const operation = (id: string, createdAtMs = 1): ReturnType<typeof operationOf> =>
  operationOf({ task: 'backup', group: 'main' }, id, createdAtMs);

describe('operations', () => {
  it('are known after a restart: ended ones as they were, others waiting to be tried again', async () => {
    const before = await open();
    for (const [index, id] of ['done', 'busy', 'new'].entries()) await before.add(operation(id, index));
    before.change('done', (record) => succeedOperation(startOperation(record, 5), { label: 'x' }, 9));
    before.change('busy', (record) => startOperation(record, 5));
    before.change('busy', (record) => advanceOperation(record, 2, { fraction: 0.5 }));
    await before.settled();

    const after = await open();
    expect(after.list().map((record) => [record.id, record.state])).toEqual([
      ['new', 'queued'],
      ['busy', 'queued'],
      ['done', 'succeeded'],
    ]);
    expect(after.get('done')).toEqual(before.get('done'));
    const busy = after.get('busy');
    expect(busy && viewOperation(busy, 10).steps[0]?.detail).toBe('the worker was restarted');
  });

  it('are cancelled by a restart where nobody takes them up again', async () => {
    const before = await open();
    await before.add({ ...operation('rehearsed'), kind: 'rehearsal' });
    before.change('rehearsed', (record) => startOperation(record, 5));
    await before.settled();
    const after = await open();
    expect(after.get('rehearsed')).toMatchObject({
      state: 'cancelled',
      refusal: { next: expect.stringContaining('again') },
    });
  });

  it('are written when their state changes, not at every step', async () => {
    const operations = await open();
    await operations.add(operation('one'));
    operations.change('one', (record) => startOperation(record, 5));
    await operations.settled();
    await rm(join(directory, 'one.json'));
    operations.change('one', (record) => advanceOperation(record, 1, { fraction: 0.5 }));
    await operations.settled();
    expect(await readdir(directory)).toEqual([]);
    expect(operations.get('one')?.steps[1]?.fraction).toBe(0.5);
  });

  it('are bounded: too many waiting ones are refused, old ended ones are forgotten on the disk too', async () => {
    const operations = await open();
    for (let index = 0; index < 210; index += 1) {
      await operations.add(operation(`old-${index}`, index));
      operations.change(`old-${index}`, (record) => succeedOperation(record, {}, index));
    }
    await operations.settled();
    expect([operations.list().length, (await readdir(directory)).length]).toEqual([200, 200]);
    expect(operations.get('old-9')).toBeUndefined();
    for (let index = 0; index < 20; index += 1) await operations.add(operation(`new-${index}`));
    expect(await operations.add(operation('one-more'))).toMatchObject({ ok: false, error: { code: 'overloaded' } });
    await operations.settled();
  });

  it('survive foreign and cut-off files', async () => {
    await (await open()).add(operation('whole'));
    await writeFile(join(directory, 'cut.json'), '{"id":"cut"');
    await writeFile(join(directory, 'other.json'), '{"id":"elsewhere","state":"queued"}');
    await writeFile(join(directory, 'null.json'), 'null');
    await writeFile(join(directory, 'notes.txt'), 'hello');
    expect((await open()).list().map((record) => record.id)).toEqual(['whole']);
  });

  it('go on in memory when the disk does not take them', async () => {
    const operations = await open();
    await operations.add(operation('one'));
    await rm(directory, { recursive: true });
    operations.change('one', (record) => startOperation(record, 5));
    await operations.settled();
    expect(operations.get('one')?.state).toBe('running');
  });
});
