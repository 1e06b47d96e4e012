import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@switchyard/runtime';
import { createJournal, keptRecords, type Journal, type JournalRecord } from './journal.ts';

const primaryAt = (epoch: number): JournalRecord => ({
  type: 'primary',
  group: 'main',
  epoch,
  primary: { name: 'r1', host: '127.0.0.1', port: 4731 },
});

describe('the journal', () => {
  let directory: string;
  let path: string;
  const logged: string[] = [];
  const logger = createLogger('test', { level: 'warn', destination: { write: (line) => logged.push(line) } });
  const journal = (): Journal => createJournal(path, logger);
  const reread = async (): Promise<readonly JournalRecord[]> => {
    const one = journal();
    const records = await one.open();
    await one.close();
    return records;
  };
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'switchyard-test-journal-'));
    path = join(directory, 'deeper', 'failovers.jsonl');
    logged.length = 0;
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it('keeps what was appended, in that order, over restarts', async () => {
    const first = journal();
    expect(await first.open()).toEqual([]);
    await Promise.all([first.append(primaryAt(1)), first.append(primaryAt(2))]);
    await first.close();
    const second = journal();
    expect(await second.open()).toEqual([primaryAt(1), primaryAt(2)]);
    await second.append(primaryAt(3));
    await second.close();
    expect(await reread()).toHaveLength(3);
  });

  it('goes on after a crash in the middle of a line, and says so', async () => {
    const first = journal();
    await first.open();
    await first.append(primaryAt(1));
    await first.close();
    await appendFile(path, '{"type":"primary","gro');

    const second = journal();
    expect(await second.open()).toEqual([primaryAt(1)]);
    await second.append(primaryAt(2));
    await second.close();
    expect(logged.join()).toContain('journal.lines_unreadable');
    expect(await reread()).toEqual([primaryAt(1), primaryAt(2)]);
  });

  it('leaves out lines of another kind, as a later version may write them', async () => {
    const first = journal();
    await first.open();
    await first.close();
    await writeFile(path, `{"type":"of tomorrow"}\n${JSON.stringify(primaryAt(5))}\nnull\n`);
    expect(await reread()).toEqual([primaryAt(5)]);
  });

  it('does not grow beyond twice what it keeps', async () => {
    const first = journal();
    await first.open();
    for (let epoch = 1; epoch <= 2 * keptRecords + 5; epoch += 1) await first.append(primaryAt(epoch));
    await first.close();
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    expect(lines.length).toBe(keptRecords + 5);
    expect(JSON.parse(lines.at(-1) ?? '')).toEqual(primaryAt(2 * keptRecords + 5));
  }, 30_000);

  it('refuses what it cannot write, instead of pretending', async () => {
    await expect(journal().append(primaryAt(1))).rejects.toThrow('is not open');
    await writeFile(join(directory, 'deeper'), 'a file where the directory should be');
    await expect(journal().open()).rejects.toThrow();
  });
});
