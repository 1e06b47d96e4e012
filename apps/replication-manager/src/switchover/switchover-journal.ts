// What must a restarted manager know? Which switchover was under way and how far, what is scheduled, and how the last ones ended:
// JSON lines in a file of the group's own. A line is with the system before what it announces is sent.
import { mkdir, open, readFile, rename, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { operationSchema, type Operation } from '@switchyard/protocol';
import type { SavedSetting, SwitchoverState } from '@switchyard/replication';
import type { Logger } from '@switchyard/runtime';
import { z } from 'zod';

/** A request that waits for its time. */
export interface ScheduledSwitchover {
  readonly id: string;
  readonly to: string | null;
  readonly atUnixMs: number;
}

/** One line. */
export type SwitchoverRecord =
  | { readonly type: 'scheduled'; readonly request: ScheduledSwitchover }
  /** `state.plan.id` is the operation; `sentinels` are those whose majority counts. */
  | { readonly type: 'step'; readonly state: SwitchoverState; readonly sentinels: readonly SavedSetting['at'][] }
  | {
      readonly type: 'ended';
      readonly operation: Operation;
      readonly left: readonly SavedSetting[];
      readonly group: string;
    }
  | { readonly type: 'restored'; readonly id: string };

/** What was found. */
export interface SwitchoverMemory {
  readonly underWay: Extract<SwitchoverRecord, { type: 'step' }> | null;
  readonly scheduled: readonly ScheduledSwitchover[];
  readonly ended: readonly Operation[];
  /** Settings that are still to be put back. */
  readonly left: readonly SavedSetting[];
}

/** An append-only file, bounded. */
export interface SwitchoverJournal {
  /** Rejects when it cannot be read or written. */
  open(): Promise<SwitchoverMemory>;
  /** Resolves when the line has left this process; with `durable` when it is on the disk. */
  append(record: SwitchoverRecord, durable?: boolean): Promise<void>;
  close(): Promise<void>;
}

const mostEnded = 50;
/** The file is rewritten when it has as many lines more. */
const mostLines = 1_000;
// Our own lines: what is torn or foreign is left out, the rest is what we wrote.
const lineSchema = z.looseObject({ type: z.enum(['scheduled', 'step', 'ended', 'restored']) });

/** A journal at `path`. */
export const createSwitchoverJournal = (path: string, logger: Logger): SwitchoverJournal => {
  let file: FileHandle | undefined;
  let queue: Promise<unknown> = Promise.resolve();
  let lines = 0;
  const read = async (): Promise<SwitchoverMemory> => {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    return memoryOf(recordsOf(text, path, logger));
  };
  const rewrite = async (memory: SwitchoverMemory): Promise<void> => {
    await writeFile(`${path}.new`, linesOf(memory), { mode: 0o600 });
    await rename(`${path}.new`, path);
    await file?.close();
    file = await open(path, 'a', 0o600);
    lines = 0;
  };
  const write = async (record: SwitchoverRecord, durable: boolean): Promise<void> => {
    if (file === undefined) throw new Error(`the journal ${path} is not open`);
    await file.appendFile(`${JSON.stringify(record)}\n`);
    if (durable) await file.datasync();
    lines += 1;
    // Never in the middle of a switchover, where each millisecond counts.
    if (lines >= mostLines && record.type === 'ended') await rewrite(await read());
  };
  return {
    async open() {
      await mkdir(dirname(path), { recursive: true });
      const memory = await read();
      await rewrite(memory);
      return memory;
    },
    append(record, durable = false) {
      const written = queue.then(async () => write(record, durable));
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

const recordsOf = (text: string, path: string, logger: Logger): readonly SwitchoverRecord[] => {
  let unreadable = 0;
  const records = text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line): readonly SwitchoverRecord[] => {
      try {
        const record = lineSchema.parse(JSON.parse(line));
        if (record.type === 'ended') operationSchema.parse(record['operation']);
        return [record as unknown as SwitchoverRecord];
      } catch {
        unreadable += 1;
        return [];
      }
    });
  if (unreadable > 0) logger.warn({ path, lines: unreadable }, 'journal.lines_unreadable');
  return records;
};

const memoryOf = (records: readonly SwitchoverRecord[]): SwitchoverMemory => {
  let underWay: SwitchoverMemory['underWay'] = null;
  const scheduled = new Map<string, ScheduledSwitchover>();
  const ended = new Map<string, Operation>();
  const left = new Map<string, readonly SavedSetting[]>();
  for (const record of records) {
    if (record.type === 'scheduled') scheduled.set(record.request.id, record.request);
    if (record.type === 'step') {
      underWay = record;
      scheduled.delete(record.state.plan.id);
    }
    if (record.type === 'restored') left.delete(record.id);
    if (record.type !== 'ended') continue;
    const { id } = record.operation;
    scheduled.delete(id);
    ended.set(id, record.operation);
    if (record.left.length > 0) left.set(id, record.left);
    if (underWay?.state.plan.id === id) underWay = null;
  }
  return {
    underWay,
    scheduled: [...scheduled.values()],
    ended: [...ended.values()].slice(-mostEnded),
    left: [...left.values()].flat(),
  };
};

const linesOf = ({ underWay, scheduled, ended, left }: SwitchoverMemory): string => {
  const records: readonly SwitchoverRecord[] = [
    ...ended.map((operation, at): SwitchoverRecord => ({
      type: 'ended',
      operation,
      group: operation.subject,
      left: at === ended.length - 1 ? left : [],
    })),
    ...scheduled.map((request): SwitchoverRecord => ({ type: 'scheduled', request })),
    ...(underWay === null ? [] : [underWay]),
  ];
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
};
