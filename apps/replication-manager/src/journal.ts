// What must survive without Redis? Failovers, and who was primary last: JSON lines in a file of our own, synced one by one.
import { mkdir, open, readFile, rename, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { decodeJson, redisFailoverAmendmentSchema, redisFailoverSchema } from '@switchyard/protocol';
import type { Logger } from '@switchyard/runtime';
import { z } from 'zod';

const recordSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('failover'), entry: redisFailoverSchema }),
  /** The event of the entry was published. */
  z.object({ type: z.literal('announced'), id: z.string() }),
  /** What was learnt about the failover later. */
  z.object({ type: z.literal('amended'), id: z.string(), amendment: redisFailoverAmendmentSchema }),
  /** Whom the majority names, since which epoch. */
  z.object({
    type: z.literal('primary'),
    group: z.string(),
    epoch: z.int(),
    primary: z.object({ name: z.string(), host: z.string(), port: z.int() }),
  }),
]);
/** One line of the journal. */
export type JournalRecord = z.infer<typeof recordSchema>;

/** An append-only file, bounded. */
export interface Journal {
  /** Reads what is there and opens the file; a torn or foreign line is left out and logged. Rejects when it cannot be opened. */
  open(): Promise<readonly JournalRecord[]>;
  /** Resolves when the line is on disk. Appends keep their order. Rejects on I/O errors, or when it is not open. */
  append(record: JournalRecord): Promise<void>;
  close(): Promise<void>;
}

/** Records that are kept; the file is rewritten when it has twice as many. */
export const keptRecords = 1_000;

/** A journal at `path`; its directory is created. */
export const createJournal = (path: string, logger: Logger): Journal => {
  let file: FileHandle | undefined;
  let records: JournalRecord[] = [];
  let queue: Promise<void> = Promise.resolve();

  const rewrite = async (): Promise<void> => {
    records = records.slice(-keptRecords);
    const temporary = `${path}.new`;
    const fresh = await open(temporary, 'w', 0o600);
    try {
      await fresh.writeFile(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
      await fresh.sync();
    } finally {
      await fresh.close();
    }
    await rename(temporary, path);
    await file?.close();
    file = await open(path, 'a', 0o600);
  };

  const write = async (record: JournalRecord): Promise<void> => {
    if (file === undefined) throw new Error(`the journal ${path} is not open`);
    await file.appendFile(`${JSON.stringify(record)}\n`);
    await file.datasync();
    records.push(record);
    if (records.length >= 2 * keptRecords) await rewrite();
  };

  return {
    async open() {
      await mkdir(dirname(path), { recursive: true });
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '';
        throw error;
      });
      const read = recordsOf(text);
      if (read.unreadable > 0) logger.warn({ path, lines: read.unreadable }, 'journal.lines_unreadable');
      records = [...read.records];
      // Also heals a torn last line: the next append would otherwise continue it.
      await rewrite();
      return records;
    },
    append(record) {
      const written = queue.then(() => write(record));
      queue = written.catch(() => undefined);
      return written;
    },
    async close() {
      await queue;
      await file?.close();
      file = undefined;
    },
  };
};

const recordsOf = (text: string): { readonly records: readonly JournalRecord[]; readonly unreadable: number } => {
  const lines = text.split('\n').filter((line) => line !== '');
  const records = lines.flatMap((line) => {
    const decoded = decodeJson(recordSchema, line);
    return decoded.ok ? [decoded.value] : [];
  });
  return { records: records.slice(-keptRecords), unreadable: lines.length - records.length };
};
