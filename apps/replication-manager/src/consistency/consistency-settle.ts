// Which of these keys are really different on a replica? Reads them on both sides, again and again, until each has stood still.
import { judgeKey, noSuspicion, type KeyState, type Suspicion } from '@switchyard/replication';
import type { DigestedKey, DigestReader } from '@switchyard/redis';
import type { Clock } from '@switchyard/runtime';

/** Keys of one database, and who has them. */
export interface SettleOptions {
  readonly primary: DigestReader;
  readonly replica: DigestReader;
  readonly database: number;
  readonly names: readonly Buffer[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What came of it. */
export interface Settled {
  readonly different: readonly Buffer[];
  /** They changed all the time, or the replica did not keep up. */
  readonly unsettled: readonly Buffer[];
}

/** Keys that are read at once, by round: the fewer, the less time for a change between the two sides. */
const batches = [256, 128, 64, 16, 4, 1, 1, 1, 1, 1, 1, 1] as const;
/** From here on one at a time: more keys than this would take too long. */
const mostAlone = 2_000;
const betweenRoundsMs = 120;
const longestCatchUpMs = 2_000;
const lookEveryMs = 5;

/** Settles all of them, or says which could not be. Rejects when a node does not answer, or with the signal's reason. */
export const settleKeys = async (options: SettleOptions): Promise<Settled> => {
  const { clock, signal } = options;
  const different: Buffer[] = [];
  let open: readonly Pending[] = options.names.map((name) => ({ name, suspicion: noSuspicion }));
  for (const [round, size] of batches.entries()) {
    if (open.length === 0) break;
    if (round > 0) await clock.sleep(betweenRoundsMs, signal);
    const batch = open.length > mostAlone ? Math.max(16, size) : size;
    const still: Pending[] = [];
    for (let at = 0; at < open.length; at += batch) {
      signal.throwIfAborted();
      for (const one of await readOnce(options, open.slice(at, at + batch))) {
        if (one.verdict === 'different') different.push(one.name);
        if (one.verdict === 'unsure') still.push({ name: one.name, suspicion: one.suspicion });
      }
    }
    open = still;
  }
  return { different, unsettled: open.map(({ name }) => name) };
};

interface Pending {
  readonly name: Buffer;
  readonly suspicion: Suspicion;
}

const readOnce = async (
  options: SettleOptions,
  keys: readonly Pending[],
): Promise<readonly ({ readonly name: Buffer } & ReturnType<typeof judgeKey>)[]> => {
  const { primary, replica, database } = options;
  const names = keys.map(({ name }) => name);
  const before = await primary.keys(database, names);
  const caughtUp = await catchUp(options);
  const there = await replica.keys(database, names);
  const doubtful = keys.flatMap((one, at) =>
    there.keys[at]?.hash === before.keys[at]?.hash ? [] : [{ ...one, at, before: before.keys[at] }],
  );
  if (doubtful.length === 0) return [];
  const after = await primary.keys(
    database,
    doubtful.map(({ name }) => name),
  );
  return doubtful.map((one, index) => ({
    name: one.name,
    ...judgeKey(one.suspicion, {
      before: stateOf(one.before),
      replica: stateOf(there.keys[one.at]),
      after: stateOf(after.keys[index]),
      primaryNowMs: after.nowMs,
      replicaNowMs: there.nowMs,
      caughtUp,
    }),
  }));
};

/** Whether the replica has everything that the primary had when this was called. */
const catchUp = async ({ primary, replica, clock, signal }: SettleOptions): Promise<boolean> => {
  const target = await primary.offset();
  if (target === null) return false;
  const startedMs = clock.monotonicMs();
  for (;;) {
    const offset = await replica.offset();
    if (offset !== null && offset >= target) return true;
    if (clock.monotonicMs() - startedMs > longestCatchUpMs) return false;
    await clock.sleep(lookEveryMs, signal);
  }
};

const stateOf = (key: DigestedKey | null | undefined): KeyState => ({
  hash: key?.hash ?? null,
  expiresAtMs: key?.expiresAtMs ?? null,
});
