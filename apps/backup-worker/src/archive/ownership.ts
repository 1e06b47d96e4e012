// Which worker writes the archive of a group? The one whose record lies in owner.json and is renewed. A second one stands by and takes
// over after some silence. There is no lock that could be lost: two that both believe to be the owner do no harm, because a segment is
// only put where none is; this keeps them from doing the work twice.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { layout } from '@switchyard/backup';
import { decodeJson } from '@switchyard/protocol';
import { createTicker, type Clock, type Component, type Logger } from '@switchyard/runtime';
import { z } from 'zod';
import { ObjectStoreError, type ObjectStore } from '../repository/object-store.ts';
import { codeOf } from '../system-error.ts';

const ownerSchema = z.object({
  formatVersion: z.literal(1),
  instance: z.string(),
  /** one process of an instance */
  token: z.string(),
  host: z.string(),
  pid: z.int(),
  sinceMs: z.number(),
  /** grows with each renewal; the reader's own clock says for how long it has not */
  beat: z.int(),
  /** set by an owner that stops */
  released: z.boolean(),
});
type OwnerRecord = z.infer<typeof ownerSchema>;

/** Who owns the archive. */
export interface Ownership extends Component {
  isOwner(): boolean;
  /** The owner as it was last read, for people; null = nobody. */
  owner(): { readonly instance: string; readonly host: string } | null;
  /** Aborted when it is lost; aborted from the beginning while it is not held. */
  held(): AbortSignal;
  /** Resolves when it is held. */
  whenHeld(signal: AbortSignal): Promise<void>;
}

const unreadable: OwnerRecord = {
  formatVersion: 1,
  instance: 'unknown',
  token: 'unreadable',
  host: '',
  pid: 0,
  sinceMs: 0,
  beat: 0,
  released: false,
};
const lookEveryMs = 1_000;
const beatEveryMs = 3_000;
const silenceMs = 10_000;
const settleMs = 300;
const longestRecordBytes = 16 * 1024;
const askWithinMs = 10_000;

/** Ownership of the archive of `group`, for the process `instance`. */
export function createOwnership(options: {
  readonly group: string;
  readonly store: Pick<ObjectStore, 'read' | 'put'>;
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onChange: (isOwner: boolean) => void;
  /** This machine and process, by default. */
  readonly self?: { readonly host: string; readonly pid: number };
}): Ownership {
  const { group, store, instance, clock, logger, onChange } = options;
  const self = options.self ?? { host: hostname(), pid: process.pid };
  const name = layout.owner(group);
  const token = randomUUID();
  const mine = { formatVersion: 1, instance, token, ...self } as const;
  const never = AbortSignal.abort(new Error('this worker does not own the archive'));
  let holding: AbortController | null = null;
  let waiters: (() => void)[] = [];
  let beat = 0;
  let beatenAtMs = Number.NEGATIVE_INFINITY;
  let sinceMs = 0;
  let seen: { readonly key: string; readonly atMs: number; readonly record: OwnerRecord } | null = null;
  let hasLooked = false;

  const read = async (signal: AbortSignal): Promise<OwnerRecord | null> => {
    try {
      const text = (await store.read(name, longestRecordBytes, signal)).toString('utf8');
      const decoded = decodeJson(ownerSchema, text, name);
      // A record that cannot be read says nothing; its writer, if there is one, writes it again.
      return decoded.ok ? decoded.value : unreadable;
    } catch (error) {
      if (error instanceof ObjectStoreError && error.kind === 'missing') return null;
      throw error;
    }
  };
  const write = async (
    how: { readonly released: boolean; readonly ifAbsent?: boolean },
    signal: AbortSignal,
  ): Promise<void> => {
    beat += 1;
    const record: OwnerRecord = { ...mine, sinceMs, beat, released: how.released };
    const body = Buffer.from(`${JSON.stringify(record)}\n`);
    await store.put(name, body, { ...(how.ifAbsent === true ? { ifAbsent: true } : {}), signal });
    beatenAtMs = clock.monotonicMs();
  };

  const win = (): void => {
    holding = new AbortController();
    logger.info({ group, instance }, 'archive.owner');
    const woken = waiters;
    waiters = [];
    for (const wake of woken) wake();
    onChange(true);
  };
  const lose = (to: OwnerRecord): void => {
    const { instance: other, host } = to;
    logger.warn({ group, instance, owner: other, host }, 'archive.owned_by_another');
    holding?.abort(new Error(`${other} owns the archive`));
    holding = null;
    onChange(false);
  };

  const claim = async (was: OwnerRecord | null, signal: AbortSignal): Promise<void> => {
    sinceMs = clock.unixMs();
    try {
      await write({ released: false, ifAbsent: was === null }, signal);
    } catch (error) {
      if (error instanceof ObjectStoreError && error.kind === 'exists') return;
      throw error;
    }
    // Somebody else may claim at this moment: whose record is there after a while has it.
    if (was !== null) await clock.sleep(settleMs, signal);
    if ((await read(signal))?.token === token) win();
  };

  const mayClaim = (record: OwnerRecord | null): boolean => {
    if (record === null || record.released || record.token === token) return true;
    const key = `${record.token} ${String(record.beat)}`;
    if (seen?.key !== key) seen = { key, atMs: clock.monotonicMs(), record };
    const isFirst = !hasLooked;
    hasLooked = true;
    return clock.monotonicMs() - seen.atMs >= silenceMs || (isFirst && isDead(record, self));
  };

  const look = async (stopping: AbortSignal): Promise<void> => {
    const signal = AbortSignal.any([stopping, AbortSignal.timeout(askWithinMs)]);
    const record = await read(signal);
    if (record !== null) seen = { key: seen?.key ?? '', atMs: seen?.atMs ?? 0, record };
    if (holding === null) {
      if (mayClaim(record)) await claim(record, signal);
      return;
    }
    if (record !== null && record.token !== token) return lose(record);
    if (clock.monotonicMs() - beatenAtMs >= beatEveryMs) await write({ released: false }, signal);
  };
  const ticker = createTicker({ name: 'archive-ownership', everyMs: lookEveryMs, run: look, clock, logger });

  return {
    name: 'archive-ownership',
    start: (signal) => ticker.start(signal),
    stop: async () => {
      await ticker.stop();
      if (holding === null) return;
      holding.abort(new Error('the worker stops'));
      holding = null;
      await write({ released: true }, AbortSignal.timeout(2_000)).catch(() => undefined);
    },
    isOwner: () => holding !== null,
    owner: () => (holding !== null ? mine : seen === null || seen.record.released ? null : seen.record),
    held: () => holding?.signal ?? never,
    whenHeld: (signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted();
        if (holding !== null) return resolve();
        waiters.push(resolve);
        signal.addEventListener(
          'abort',
          () => reject(signal.reason instanceof Error ? signal.reason : new Error('It was given up.')),
          { once: true },
        );
      }),
  };
}

// Of this machine, and its process is gone: nobody has to be waited for. One with our own number was an earlier life of this container.
function isDead({ host, pid }: OwnerRecord, self: { readonly host: string; readonly pid: number }): boolean {
  if (host !== self.host) return false;
  if (pid === self.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return codeOf(error) === 'ESRCH';
  }
}
